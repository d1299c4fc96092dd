"""``/api/health/targets``: how each target fares, as JSON.

This module must not change anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.routing.table import Table
from netrunner.routing.targets import Target, Targets
from netrunner.values import Answer
from netrunner.web.gate import Gate, Guarded, ends_here
from netrunner.web.pages import JSON

_encode = msgspec.json.Encoder().encode


class TargetsPage(Guarded):
    """Tells of every target of the configuration.

    Args:
        gate: Who is let in.
        targets: What is known of each.
        table: The names that lead to them.
        clock: Time.
    """

    def __init__(self, gate: Gate, targets: Targets, table: Table, clock: IClock) -> None:
        super().__init__(gate)
        self._targets = targets
        self._clock = clock
        self._names: dict[tuple[str, str], list[str]] = {}
        for name in table.names():
            for one in table.candidates(name):
                self._names.setdefault((one.provider, one.model), []).append(name)

    async def answer(self, request: Request) -> Answer | None:
        """Tell everything."""
        ends_here(request)
        body = _encode({"targets": self.told()})
        return Answer(200, [*JSON, (b"cache-control", b"no-store")], body)

    def told(self) -> list[dict[str, Any]]:
        """Return what is told of each."""
        now = self._clock.seconds()
        return [self._told(one, now) for one in self._targets]

    def _told(self, target: Target, now: float) -> dict[str, Any]:
        state = target.state(now)
        until = target.paused_until if state == "paused" else target.open_until
        return {
            "provider": target.provider,
            "model": target.model,
            "names": self._names.get((target.provider, target.model), []),
            "state": state,
            "state_ends_in_s": None if state in ("closed", "probing") or until is None else round(until - now, 3),
            "failures_in_a_row": target.failures,
            "attempts": target.asked,
            "failed": target.failed,
            "in_flight": target.in_flight,
            "latency_s": None if target.latency_s is None else round(target.latency_s, 6),
            "last_used_s_ago": None if target.used_at is None else round(now - target.used_at, 3),
        }
