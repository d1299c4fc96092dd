"""What is in progress, for those who look on: followers hear of every exchange, watchers see one of them flow.

Followers hear of all ends of a turn of the reactor at its end, one follower after the other: that costs a third of
telling each in between. Nobody looking costs nothing. This module must not know who looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from netrunner.errors import ExchangeError, Overloaded
from netrunner.http.flush import Flush
from netrunner.interfaces import ICaller, IClock, IWatcher
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.recording import Recording
from netrunner.values import Outcome, Record

AT_ONCE = 20
"""So many streams of a token are ended in one turn, so that who asks meanwhile is answered in between."""


class Follower(Protocol):
    """Hears of every end; must not block, must not raise."""

    def ended(self, record: Record) -> None:
        """An exchange has ended."""


class Live:
    """The exchanges in progress, of all configurations that are still in use.

    Args:
        turns: Tells when a turn of the reactor ends; None tells followers of each end at once.
        clock: Calls in later turns; None ends all that a token asked for in one.
    """

    def __init__(self, turns: Flush | None = None, clock: IClock | None = None) -> None:
        self.inflight: dict[str, Exchange] = {}
        self._turns = turns
        self._clock = clock
        self._followers: dict[Follower, Callable[[Exchange], None] | None] = {}
        self._began: tuple[Callable[[Exchange], None], ...] = ()
        self._ended: list[Exchange] = []
        """What followers have not heard of yet."""

    def follow(self, follower: Follower, began: Callable[[Exchange], None] | None = None) -> None:
        """Tell ``follower`` of all that ends from now on, and ``began`` at once of all that begins."""
        self._settle({**self._followers, follower: began})

    def unfollow(self, follower: Follower) -> None:
        """Tell it nothing more; idempotent."""
        self._settle({one: began for one, began in self._followers.items() if one is not follower})

    def _settle(self, followers: dict[Follower, Callable[[Exchange], None] | None]) -> None:
        self.flush()
        self._followers = followers
        self._began = tuple(began for began in followers.values() if began is not None)

    def began(self, exchange: Exchange) -> None:
        """Take note of a new exchange."""
        self.inflight[exchange.id] = exchange
        for began in self._began:
            began(exchange)

    def ended(self, exchange: Exchange) -> None:
        """Take note of its end."""
        self.inflight.pop(exchange.id, None)
        self._ended.append(exchange)
        if self._turns is None:
            self.flush()
        elif len(self._ended) == 1:
            self._turns.add(self)

    def flush(self) -> None:
        """Let followers hear of everything that has ended; who asks one of them in between calls this before."""
        if self._ended:
            records = [exchange.record() for exchange in self._ended]
            self._ended = []
            for follower in self._followers:
                for record in records:
                    follower.ended(record)

    def watch(self, id: str, watcher: IWatcher) -> bool:
        """Let ``watcher`` see the rest of an exchange in progress; return whether there is one of that id."""
        exchange = self.inflight.get(id)
        if exchange is None:
            return False
        if exchange.recording is None:
            exchange.recording = Recording()
        exchange.recording.watch([watcher])
        return True

    def unwatch(self, id: str, watcher: IWatcher) -> None:
        """Show it nothing more; idempotent."""
        exchange = self.inflight.get(id)
        if exchange is not None and exchange.recording is not None:
            exchange.recording.unwatch(watcher)

    def holders(self) -> set[ICaller]:
        """Return the tokens that what is in progress was asked with."""
        return {exchange.holder for exchange in self.inflight.values() if exchange.holder is not None}

    def end_of(self, holder: ICaller, error: ExchangeError) -> None:
        """End everything in progress that was asked with one token: ``error`` says why."""
        self._end([one for one in self.inflight.values() if one.holder is holder], error)

    def _end(self, exchanges: list[Exchange], error: ExchangeError) -> None:
        now = exchanges if self._clock is None else exchanges[:AT_ONCE]
        for exchange in now:
            if exchange.outcome is None and exchange.work is not None:
                exchange.work.stop(Outcome.CANCELLED, error)
        if self._clock is not None and len(now) < len(exchanges):
            self._clock.callLater(0, self._end, exchanges[len(now) :], error)

    def end(self, id: str) -> bool:
        """End an exchange in progress, as an operator; return whether there was one of that id."""
        exchange = self.inflight.get(id)
        if exchange is None or exchange.work is None:
            return False
        exchange.work.stop(Outcome.CANCELLED, Overloaded("The request was ended by an operator.", code="cancelled"))
        return True
