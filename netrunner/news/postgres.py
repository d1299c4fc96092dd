"""Notices by PostgreSQL: each is part of the transaction that makes the change, and heard when it is committed.

A thread of the database connects, then the reactor waits for the socket: nothing is polled, and no thread waits.

This module must not say what is in a notice; ``netrunner.store.notices`` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import StoreError
from netrunner.interfaces import IClock
from netrunner.store.notices import listen, noticed

if TYPE_CHECKING:
    from netrunner.store.threads import Store

_AGAIN = backoffPolicy(0.1, 5.0)


class PostgresWire:
    """A connection that listens, made again whenever it is lost.

    Args:
        database: Returns the database.
        reactor: What it runs on.
        clock: Time.
    """

    log = Logger()

    def __init__(self, database: Callable[[], Store], reactor: Any, clock: IClock) -> None:
        self._database = database
        self._reactor = reactor
        self._clock = clock
        self._running = False
        self._failures = 0
        self._connection: _Listening | None = None
        self._again: IDelayedCall | None = None

    def start(self, heard: Callable[[str, str], object], missed: Callable[[], object]) -> None:
        """Connect, and again whenever the connection is lost."""
        self._heard, self._missed = heard, missed
        self._running = True
        self._connect()

    def stop(self) -> None:
        """Hang up."""
        self._running = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._connection is not None:
            self._connection.close()

    async def tell(self, topic: str, id: str) -> None:
        """Do nothing: whoever made the change has told of it in the same transaction."""

    def _connect(self) -> None:
        connecting = Deferred.fromCoroutine(self._database().read(listen))
        connecting.addCallbacks(self._connected, self._not_connected)
        connecting.addErrback(lambda failure: self.log.failure("notices of the database", failure))

    def _connected(self, raw: Any) -> None:
        connection = _Listening(raw, self._heard, self._lost, self._reactor)
        if not self._running:
            connection.close()
            return
        if self._failures:
            self.log.info("notices of the database are heard again")
        self._failures = 0
        self._connection = connection
        connection.start()
        self._missed()

    def _not_connected(self, failure: Failure) -> None:
        failure.trap(StoreError)
        self._try_again(failure.getErrorMessage())

    def _lost(self) -> None:
        self._connection = None
        if self._running:
            self._try_again("the connection was lost")

    def _try_again(self, reason: str) -> None:
        if not self._failures:
            self.log.warn("notices of the database are not heard for now: {reason}", reason=reason)
        self._failures += 1
        if self._running:
            self._again = self._clock.callLater(_AGAIN(self._failures), self._connect)


@implementer(IReadDescriptor)
class _Listening:
    """A connection of the driver's own, as the reactor reads it."""

    def __init__(self, raw: Any, heard: Callable[[str, str], object], lost: Callable[[], object], reactor: Any) -> None:
        self._raw, self._heard, self._lost, self._reactor = raw, heard, lost, reactor
        # The driver closes its own whenever it likes, and the number may be somebody else's then.
        self._number = os.dup(raw.fileno())

    def start(self) -> None:
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._number

    def logPrefix(self) -> str:
        return "notices"

    def doRead(self) -> Any:
        # Typed as a Failure, which the reactor would wrap once more: what it takes is the exception.
        try:
            for topic, id in noticed(self._raw):
                self._heard(topic, id)
        except StoreError:
            return ConnectionLost()
        return None

    def connectionLost(self, reason: Failure) -> None:
        self.close()
        self._lost()

    def close(self) -> None:
        if self._number >= 0:
            self._reactor.removeReader(self)
            os.close(self._number)
            self._number = -1
            self._raw.close()
