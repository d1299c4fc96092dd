"""One configuration's sinks after another's: those before have their last records and are stopped, then the next begin.

Whatever hangs, all of it ends within the limit of the process, a reload that is under way included.

This module must not know what sinks do, nor how they are started and stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from netrunner.interfaces import IClock
from netrunner.journal.feeds import Feeds, Sink

STOP_S = 5.0
"""How long a reload waits for sinks to take their last records, and again for them to stop."""

Stop = Callable[[float], Deferred[Any]]
"""Ends something, within so many seconds."""


class Shifts:
    """Which sinks are fed, one configuration's after another's.

    Args:
        feeds: Feeds them.
        clock: Times their ends.
    """

    log = Logger()

    def __init__(self, feeds: Feeds, clock: IClock) -> None:
        self._feeds = feeds
        self._clock = clock
        self._turns = DeferredLock()
        """Sinks are started and stopped one after the other."""
        self._newest: Sequence[Sink] = ()
        self._changing: Deferred[None] | None = None
        self._left_s: Callable[[], float] = lambda: STOP_S
        self._over = False
        """Whether the process should have ended by now."""

    def start(self, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        """Feed ``sinks`` once no other process does; ``ready`` starts them."""
        self._feeds.start(sinks, ready)

    def replace(self, stop: Stop, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        """Feed other sinks, which ``ready`` starts; those before have their last records, then ``stop`` them."""
        self._newest = sinks

        def change() -> Deferred[None]:
            self._changing = Deferred.fromCoroutine(self._change(stop, sinks, ready))
            return self._changing

        self._turns.run(change).addErrback(lambda failure: self.log.failure("sinks were not replaced", failure))

    def stop(self, stop: Stop, left_s: Callable[[], float]) -> Deferred[Any]:
        """Hand the last records over, then ``stop`` the sinks.

        Args:
            stop: Stops those of the last configuration.
            left_s: Tells how long everything may take from now on, a reload that is under way included.
        """
        self._left_s = left_s
        limit = self._clock.callLater(left_s(), self._cut_short)

        def end() -> Deferred[Any]:
            if limit.active():
                limit.cancel()
            return Deferred.fromCoroutine(self._leave(self._feeds.stop, stop))

        return self._turns.run(end)

    async def _change(self, stop: Stop, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        await self._leave(self._feeds.finish, stop)
        # Sinks that another reload is to replace have their records nevertheless, unless the limit is over.
        if self._newest is sinks or not self._over:
            self._feeds.start(sinks, ready)

    async def _leave(self, finish: Stop, stop: Stop) -> None:
        await finish(self._left_s())
        await stop(self._left_s())

    def _cut_short(self) -> None:
        """End what the reload under way waits for; what it would wait for after that has but a moment."""
        self._over = True
        if self._changing is not None:
            self._changing.cancel()
