"""Where the time of an exchange went: its stages, one after the other, and the ``Server-Timing`` that tells them.

This module must not measure anything itself but the moment an answer is committed.
"""

from __future__ import annotations

from typing import Protocol

from netrunner.interfaces import IClock
from netrunner.pipeline.lag import Lag

STAGES = (
    ("recv", "body"),
    ("filters", "filtered"),
    ("route", "routed"),
    ("connect", "upstream_sent"),
    ("upstream", "first_byte"),
    ("hold", "committed"),
)
"""Each stage and the mark that ends it, in the order they are gone through; each begins where the one before ended."""
_FILTERED = b", ".join(b"%b;dur=%%.3f" % stage.encode() for stage, _ in STAGES) + b"%b"
_PLAIN = _FILTERED.replace(b" filters;dur=%.3f,", b"")


class Marked(Protocol):
    """An exchange, as far as it matters here."""

    timings: dict[str, float]
    started: float
    clock: IClock


class ServerTiming:
    """Writes the value of ``Server-Timing`` (W3C Server Timing) in milliseconds.

    Its stages sum up to the commit; one that was not gone through, as that of filters without any, is left out.

    Args:
        lag: Of the reactor; told beside the stages, and no part of the sum.
        filters: Whether there are any that requests go through.
    """

    __slots__ = ("_filters", "_lag", "_stages")

    def __init__(self, lag: Lag, filters: bool) -> None:
        self._lag = lag
        self._filters = filters
        self._stages = tuple(one for one in STAGES if filters or one[0] != "filters")

    def commit(self, exchange: Marked) -> bytes:
        """Mark that the answer of ``exchange`` is committed now, and return the value."""
        marks = exchange.timings
        marks["committed"] = now = exchange.clock.seconds() - exchange.started
        try:
            body, routed, sent, first = marks["body"], marks["routed"], marks["upstream_sent"], marks["first_byte"]
        except KeyError:
            return self._some(marks, now).encode() + self._lag.field
        connect, upstream, hold = (sent - routed) * 1e3, (first - sent) * 1e3, (now - first) * 1e3
        if not self._filters:
            return _PLAIN % (body * 1e3, (routed - body) * 1e3, connect, upstream, hold, self._lag.field)
        filtered = marks["filtered"]
        filters, route = (filtered - body) * 1e3, (routed - filtered) * 1e3
        return _FILTERED % (body * 1e3, filters, route, connect, upstream, hold, self._lag.field)

    def _some(self, marks: dict[str, float], now: float) -> str:
        """Return the stages that were gone through, and the one during which the answer was made."""
        reached = [mark in marks for _, mark in self._stages[:-1]]
        current = len(reached) - reached[::-1].index(True) if any(reached) else 0
        told = []
        begin = 0.0
        for number, (stage, mark) in enumerate(self._stages[: current + 1]):
            end = now if number == current else marks.get(mark)
            if end is not None:
                told.append(f"{stage};dur={(end - begin) * 1e3:.3f}")
                begin = end
        return ", ".join(told)
