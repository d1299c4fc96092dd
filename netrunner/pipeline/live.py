"""What is in progress, for those who look on: followers hear of every exchange, watchers see one of them flow.

Nobody looking costs nothing. This module must not know who looks.
"""

from __future__ import annotations

from typing import Protocol

from netrunner.errors import Overloaded
from netrunner.interfaces import IWatcher
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.recording import Recording
from netrunner.values import Outcome, Record


class Follower(Protocol):
    """Hears of every exchange; must not block, must not raise."""

    def began(self, exchange: Exchange) -> None:
        """An exchange is in progress."""

    def ended(self, record: Record) -> None:
        """It has ended."""


class Live:
    """The exchanges in progress, of all configurations that are still in use."""

    def __init__(self) -> None:
        self.inflight: dict[str, Exchange] = {}
        self._followers: tuple[Follower, ...] = ()

    def follow(self, follower: Follower) -> None:
        """Tell ``follower`` of everything from now on."""
        self._followers = (*self._followers, follower)

    def unfollow(self, follower: Follower) -> None:
        """Tell it nothing more; idempotent."""
        self._followers = tuple(one for one in self._followers if one is not follower)

    def began(self, exchange: Exchange) -> None:
        """Take note of a new exchange."""
        self.inflight[exchange.id] = exchange
        for follower in self._followers:
            follower.began(exchange)

    def ended(self, record: Record) -> None:
        """Take note of its end."""
        self.inflight.pop(record.id, None)
        for follower in self._followers:
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

    def end(self, id: str) -> bool:
        """End an exchange in progress, as an operator; return whether there was one of that id."""
        exchange = self.inflight.get(id)
        if exchange is None or exchange.work is None:
            return False
        exchange.work.stop(Outcome.CANCELLED, Overloaded("The request was ended by an operator.", code="cancelled"))
        return True
