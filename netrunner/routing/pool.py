"""The candidates of one name, in the order in which one request asks them.

Whoever does not take a body of that size, or is left alone by its breaker, is not asked. Those of a lower priority
number come first, those that are paused last; among equals the strategy decides.

Pure: it is told the time. This module must not know of providers beyond their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from netrunner.errors import Overloaded
from netrunner.routing.table import Candidate
from netrunner.routing.targets import Target

MAX_CANDIDATES = 5
"""Asked for one request at most."""
IDLE_S = 3600.0
"""Of those that were not asked for so long, the one that takes the smallest bodies comes first."""
EXPLORED_EACH = 20
"""One in so many requests goes to the target that was asked longest ago, so that its latency stays known."""
_FINAL = ((b"x-should-retry", b"false"),)


class Member:
    """One candidate of a pool, and what is known of its target."""

    __slots__ = ("candidate", "credit", "target")

    def __init__(self, candidate: Candidate, target: Target) -> None:
        self.candidate = candidate
        self.target = target
        self.credit = 0.0
        """How far it is behind its share of the requests."""


Strategy = Callable[[list[Member], float], list[Member]]


class Pool:
    """The candidates of one name.

    Args:
        name: What callers ask for, for messages.
        members: In the configuration's order.
        strategy: How it is chosen among those of one priority.
    """

    def __init__(self, name: str, members: Sequence[Member], strategy: str = "priority") -> None:
        self._name = name
        self._members = tuple(members)
        self._strategy: Strategy = _STRATEGIES[strategy]()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Everyone in it, in the configuration's order."""
        return tuple(member.candidate for member in self._members)

    def order(self, now_s: float, body_bytes: int) -> tuple[Candidate, ...]:
        """Return who is asked for one request, best first, five at most.

        Args:
            now_s: Time.
            body_bytes: Of the request.

        Raises:
            Overloaded: ``model_selection_error`` if nobody can be asked.
        """
        fit = [one for one in self._members if body_bytes <= _most(one)]
        usable = [one for one in fit if one.target.admits(now_s)]
        if not usable:
            raise self._nobody(fit, now_s, body_bytes)
        ready = [one for one in usable if one.target.paused_until <= now_s]
        ordered = self._strategy(ready, now_s) if ready else []
        if len(ready) < len(usable):
            paused = [one for one in usable if one.target.paused_until > now_s]
            ordered += sorted(paused, key=lambda one: one.target.paused_until)
        return tuple(one.candidate for one in ordered[:MAX_CANDIDATES])

    def _nobody(self, fit: Sequence[Member], now_s: float, body_bytes: int) -> Overloaded:
        if not fit:
            message = f"No target of the model {self._name!r} takes a request of {body_bytes} bytes."
            return Overloaded(message, code="model_selection_error", headers=_FINAL)
        wait_s = min(one.target.open_until or now_s for one in fit) - now_s
        message = f"All targets of the model {self._name!r} are failing."
        return Overloaded(message, code="model_selection_error", retry_after_s=wait_s)


def _most(member: Member) -> float:
    most = member.candidate.max_request_bytes
    return math.inf if most is None else most


def _used_at(member: Member) -> float:
    used_at = member.target.used_at
    return -math.inf if used_at is None else used_at


def _by_priority() -> Strategy:
    """Return the strategy by which the least recently used of the first priority comes first."""

    def key(now_s: float) -> Callable[[Member], tuple[float, ...]]:
        def of(one: Member) -> tuple[float, ...]:
            used_at, priority = _used_at(one), one.candidate.priority
            if now_s - used_at > IDLE_S:
                return priority, 0, _most(one), used_at
            return priority, 1, used_at

        return of

    return lambda members, now_s: sorted(members, key=key(now_s))


def _by_weight() -> Strategy:
    """Return the strategy that gives each of the first priority its share of the requests, evenly mixed."""
    return lambda members, _: _by_share(members, lambda one: one.candidate.weight)


def _in_turn() -> Strategy:
    """Return the strategy that asks those of the first priority one after the other."""
    return lambda members, _: _by_share(members, lambda one: 1.0)


def _by_share(members: list[Member], share: Callable[[Member], float]) -> list[Member]:
    first = min(one.candidate.priority for one in members)
    among = [one for one in members if one.candidate.priority == first]
    for one in among:
        one.credit += share(one)
    among.sort(key=lambda one: (share(one) == 0, -one.credit))
    among[0].credit -= sum(map(share, among))
    others = [one for one in members if one.candidate.priority != first]
    return among + sorted(others, key=lambda one: (one.candidate.priority, -share(one)))


def _by_latency() -> Strategy:
    """Return the strategy by which the quickest comes first, those whose latency nobody knows before it."""
    number = 0

    def order(members: list[Member], now_s: float) -> list[Member]:
        nonlocal number
        number += 1
        if number % EXPLORED_EACH == 0:
            return sorted(members, key=lambda one: (one.candidate.priority, _used_at(one)))
        return sorted(members, key=lambda one: (one.candidate.priority, one.target.latency_s or 0.0, _used_at(one)))

    return order


def _by_load() -> Strategy:
    """Return the strategy by which the one with the fewest requests in progress comes first."""
    return lambda members, _: sorted(
        members, key=lambda one: (one.candidate.priority, one.target.in_flight, _used_at(one))
    )


_STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "priority": _by_priority,
    "weighted": _by_weight,
    "round_robin": _in_turn,
    "least_latency": _by_latency,
    "least_busy": _by_load,
}
