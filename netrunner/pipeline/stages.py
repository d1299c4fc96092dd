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
_ALL = b", ".join(b"%b;dur=%%.3f" % stage.encode() for stage, _ in STAGES) + b"%b"


class Marked(Protocol):
    """An exchange, as far as it matters here."""

    timings: dict[str, float]
    started: float
    clock: IClock


class ServerTiming:
    """Writes the value of ``Server-Timing`` (W3C Server Timing) in milliseconds; its stages sum up to the commit.

    Args:
        lag: Of the reactor; told beside the stages, and no part of the sum.
    """

    __slots__ = ("_lag",)

    def __init__(self, lag: Lag) -> None:
        self._lag = lag

    def commit(self, exchange: Marked) -> bytes:
        """Mark that the answer of ``exchange`` is committed now, and return the value."""
        marks = exchange.timings
        marks["committed"] = now = exchange.clock.seconds() - exchange.started
        try:
            body, routed, sent, first = marks["body"], marks["routed"], marks["upstream_sent"], marks["first_byte"]
        except KeyError:
            return _some(marks, now).encode() + self._lag.field
        filtered = marks.get("filtered", body)
        return _ALL % (
            body * 1e3,
            (filtered - body) * 1e3,
            (routed - filtered) * 1e3,
            (sent - routed) * 1e3,
            (first - sent) * 1e3,
            (now - first) * 1e3,
            self._lag.field,
        )


def _some(marks: dict[str, float], now: float) -> str:
    """Return the stages that were reached, and the one during which the answer was made."""
    reached = [mark for _, mark in STAGES if mark in marks and mark != "committed"]
    until = [mark for _, mark in STAGES].index(reached[-1]) + 2 if reached else 1
    told = []
    begin = 0.0
    for number, (stage, mark) in enumerate(STAGES[:until]):
        # A stage that was skipped took no time: what has no body to wait for, a chain without filters.
        end = now if number == until - 1 else marks.get(mark, begin)
        told.append(f"{stage};dur={(end - begin) * 1e3:.3f}")
        begin = end
    return ", ".join(told)
