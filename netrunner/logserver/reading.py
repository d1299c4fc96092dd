"""The reading of the folder at the start, and those who wait for it.

Until it is over nobody can tell what is stored already. So nothing is listed, and nothing is stored either: a message
that comes again would be there twice. Its sender waits, its body unread, for ``WAIT_S`` at the most; a folder that
cannot be read is tried again every ``RETRY_S``, and whoever sends meanwhile is told to come again.

This module must not touch files itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.errors import Overloaded
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.logserver.index import Index

WAIT_S = 5.0
"""How long a sender may wait. While it is not read nobody sees that it has gone, so this is short."""
RETRY_S = 5.0


class Reading:
    """Reads the folder until that has succeeded once.

    Args:
        index: What knows afterwards what is there.
        read: Returns another index, of what is in the folder.
        clock: Tells when to try again.
    """

    log = Logger()

    def __init__(self, index: Index, read: Callable[[], Awaitable[Index]], clock: IClock) -> None:
        self._index = index
        self._read = read
        self._clock = clock
        self._waiting: set[Deferred[None]] = set()
        self._again: IDelayedCall | None = None
        self._failed = False
        self._stopped = False
        self.over = False
        """Whether the index knows what is in the folder."""

    def begin(self) -> None:
        """Read it."""
        self._again = None

        async def read() -> Index:
            return await self._read()

        Deferred.fromCoroutine(read()).addCallbacks(self._succeeded, self._did_not)

    def stop(self) -> None:
        """Do not try again."""
        self._stopped = True
        if self._again is not None:
            self._again.cancel()

    def check(self) -> None:
        """Refuse whoever has to know what is in the folder; raises ``Overloaded`` until it is read."""
        if self._failed:
            message = "The folder of the logs cannot be read, which is tried again."
            raise Overloaded(message, code="folder_unreadable", retry_after_s=RETRY_S)
        if not self.over:
            raise Overloaded("The folder is being read.", code="not_indexed", retry_after_s=1)

    async def wait(self, request: Request) -> None:
        """Let a sender wait until the folder is read.

        Raises:
            Overloaded: when that takes too long, or the folder cannot be read.
            CancelledError: when the sender is seen to go.
        """
        if not self.over and not self._failed:
            waiting: Deferred[None] = Deferred()
            limit = self._clock.callLater(WAIT_S, waiting.callback, None)
            request.on_disconnect = waiting.cancel
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
                request.on_disconnect = None
                if limit.active():
                    limit.cancel()
        self.check()

    def _succeeded(self, found: Index) -> None:
        self._index.adopt(found)
        self.over, self._failed = True, False
        self.log.info("{count} exchanges are known", count=len(self._index))
        self._let_go()

    def _did_not(self, failure: Failure) -> None:
        if not isinstance(failure.value, OSError):
            self.log.failure("the folder cannot be read", failure)
        elif not self._failed:
            reason = failure.value.strerror or str(failure.value)
            self.log.error("the folder cannot be read; nothing is stored until it can be: {reason}", reason=reason)
        self._failed = True
        self._let_go()
        if not self._stopped:
            self._again = self._clock.callLater(RETRY_S, self.begin)

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            one.callback(None)
