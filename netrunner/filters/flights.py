"""Questions that are being asked, so that who asks the same meanwhile waits for the answer instead.

This module must not know how an answer comes about.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime

from netrunner.filters.kept import Kept
from netrunner.interfaces import IClock


class Flight:
    """One question that somebody asks."""

    def __init__(self, flights: Flights, key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._waiting: list[Deferred[Kept | None]] = []

    def land(self, answer: Kept | None) -> None:
        """Give those who wait the answer; None if there is none for them. Idempotent."""
        self._flights.forget(self._key, self)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:
                one.callback(answer)

    async def landed(self, within_s: float, clock: IClock) -> Kept | None:
        """Return the answer; None if there is none for others, or not so soon."""
        landing: Deferred[Kept | None] = Deferred()
        landing.addTimeout(within_s, clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
        self._waiting.append(landing)
        try:
            return await landing
        except NotInTime:
            return None


class Flights:
    """All that are under way, by the keys of their questions."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def get(self, key: bytes) -> Flight | None:
        """Return the one of a question, if somebody asks it."""
        return self._flights.get(key)

    def lead(self, key: bytes) -> Flight | None:
        """Begin one; None if somebody asks already. Whoever began it lands it, whatever happens."""
        if key in self._flights:
            return None
        flight = self._flights[key] = Flight(self, key)
        return flight

    def forget(self, key: bytes, flight: Flight) -> None:
        """One has landed."""
        if self._flights.get(key) is flight:
            del self._flights[key]

    def clear(self) -> None:
        """Let nobody wait any more."""
        for flight in list(self._flights.values()):
            flight.land(None)
