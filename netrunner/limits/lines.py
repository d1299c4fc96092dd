"""Lines that several processes share: who came first goes first, whichever process it came to.

Each who waits has a ticket, and keeps its place for as long as its process says so; who stands first is called by a
message when there may be room. A process that dies leaves its places within seconds.

This module must not count.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from netrunner.interfaces import IClock
from netrunner.limits.redis import Redis, Unavailable
from netrunner.limits.scripts import KEEP, LEAVE

LEASE_US = 3_000_000
"""How long a place is kept for a process that says nothing."""
KEEP_S = 1.0
_BATCH = 200
"""Most places kept by one script."""

Heard = Callable[[str], object]


class Hears(Protocol):
    """A connection by which tickets are called."""

    def start(self) -> None: ...

    def stop(self) -> Any: ...


class Place:
    """One who waits, or may have to."""

    __slots__ = ("_call", "keys", "stands", "ticket")

    def __init__(self, ticket: str, keys: tuple[str, str], call: Callable[[], object]) -> None:
        self.ticket = ticket
        self.keys = keys
        """The line, and who keeps its place there."""
        self.stands = False
        """Whether it is in the line, and nothing that could take it out of there is under way."""
        self._call = call

    def call(self) -> None:
        """It may be this one's turn."""
        self._call()


class SharedLines:
    """The places of this process in all lines.

    Args:
        redis: Where the lines are.
        clock: Time, for keeping places.
        boot_id: Names this process among those that ever shared.
        hears: Makes the connection by which they are called, of what hears a ticket and what is told that some
            may have been missed. It is made for the first who waits.
    """

    def __init__(
        self, redis: Redis, clock: IClock, boot_id: str, hears: Callable[[Heard, Callable[[], object]], Hears]
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._boot_id = boot_id
        self._make = hears
        self._hears: Hears | None = None
        self._numbers = itertools.count(1)
        self._places: dict[str, Place] = {}
        self._keeping: IDelayedCall | None = None

    def stop(self) -> Any:
        """Hang up; places are left by themselves."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        return None if self._hears is None else self._hears.stop()

    def place(self, account: str, call: Callable[[], object]) -> Place:
        """Return a place for one who may have to wait.

        Args:
            account: Key of what it waits for.
            call: Called whenever it may be its turn.
        """
        ticket = f"{self._boot_id}:{next(self._numbers)}"
        place = self._places[ticket] = Place(ticket, (f"{account}|line", f"{account}|kept"), call)
        return place

    def stood(self, place: Place) -> None:
        """It is in the line: keep it there, and hear when it is called."""
        place.stands = True
        if self._hears is None:
            self._hears = self._make(self._heard, self._missed)
            self._hears.start()
        if self._keeping is None:
            self._keeping = self._clock.callLater(KEEP_S, self._keep)

    def forget(self, place: Place) -> None:
        """It waits no longer, and the line knows."""
        self._places.pop(place.ticket, None)

    def leave(self, place: Place) -> None:
        """It does not want to wait any more: whoever is next may go."""
        if self._places.pop(place.ticket, None) is not None:
            left = Deferred.fromCoroutine(self._redis.run(LEAVE, place.keys, [place.ticket]))
            left.addErrback(lambda failure: failure.trap(Unavailable))

    def _heard(self, ticket: str) -> None:
        place = self._places.get(ticket)
        if place is not None:
            place.call()

    def _missed(self) -> None:
        """Anybody may have been called."""
        for place in list(self._places.values()):
            place.call()

    def _keep(self) -> None:
        """Keep the places, and take those over that were given up."""
        self._keeping = None
        standing = [place for place in self._places.values() if place.stands]
        if not self._places:
            return
        self._keeping = self._clock.callLater(KEEP_S, self._keep)
        places = iter(standing)
        while batch := list(itertools.islice(places, _BATCH)):
            self._keep_some(batch)

    def _keep_some(self, batch: Sequence[Place]) -> None:
        keys = [key for place in batch for key in place.keys]
        kept = Deferred.fromCoroutine(self._redis.run(KEEP, keys, [LEASE_US, *(place.ticket for place in batch)]))
        kept.addErrback(self._not_kept, batch)

    def _not_kept(self, failure: Failure, batch: Sequence[Place]) -> None:
        """Redis is away: each finds out by itself what becomes of it."""
        failure.trap(Unavailable)
        for place in batch:
            place.call()
