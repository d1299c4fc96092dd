"""When requests begin: as soon as another has ended, or at a rate whatever becomes of those before.

With a rate, a request is due at its time also while all connections allowed are in use; it then begins late, and its
latency counts from when it was due, so that a server which stalls is not spared the requests it kept from being sent
(coordinated omission).

Pure. This module must not ask what time it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be sent."""

    concurrency: int
    """Most requests at once."""
    requests: int | None = None
    """How many; None for as many as there is time for."""
    duration_s: float | None = None
    """Seconds after which none begins; None for as long as it takes."""
    rate: float | None = None
    """Requests per second; None for as fast as they are answered."""


class Schedule:
    """Which request may begin now; times are seconds since the beginning."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.begun = 0

    def take(self, now_s: float, in_flight: int) -> float | None:
        """Let a request begin and return when it was due; None if none may."""
        if in_flight >= self.plan.concurrency or self.is_over(now_s):
            return None
        due_s = self._due_s(now_s)
        if due_s > now_s:
            return None
        self.begun += 1
        return due_s

    def wait_s(self, now_s: float, in_flight: int) -> float | None:
        """Return the seconds until time alone lets the next begin; None if it is not for time to do that."""
        if self.plan.rate is None or in_flight >= self.plan.concurrency or self.is_over(now_s):
            return None
        return max(0.0, self._due_s(now_s) - now_s)

    def is_over(self, now_s: float) -> bool:
        """Return whether no request begins any more."""
        plan = self.plan
        if plan.requests is not None and self.begun >= plan.requests:
            return True
        if plan.duration_s is None:
            return False
        return now_s >= plan.duration_s or self._due_s(now_s) >= plan.duration_s

    def missed(self, now_s: float) -> int:
        """Return how many were due and have never begun."""
        plan = self.plan
        if plan.rate is None:
            return 0
        until_s = now_s if plan.duration_s is None else min(now_s, plan.duration_s)
        due = math.ceil(until_s * plan.rate)
        return max(0, (due if plan.requests is None else min(due, plan.requests)) - self.begun)

    def _due_s(self, now_s: float) -> float:
        return now_s if self.plan.rate is None else self.begun / self.plan.rate
