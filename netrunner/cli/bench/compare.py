"""Two runs side by side: how each figure changed, and whether that is for the better.

Pure. This module must not read files or print anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LESS_IS_BETTER = (
    "average_latency_ms",
    "p50_latency_ms",
    "p90_latency_ms",
    "p99_latency_ms",
    "error_rate",
    "first_byte_ms.p50",
    "first_byte_ms.p99",
    "first_token_ms.p50",
    "first_token_ms.p99",
    "gap_ms.p50",
    "gap_ms.p99",
    "proxy_ms.p50",
    "proxy_ms.p99",
    "upstream_ms.p50",
    "upstream_ms.p99",
)
_MORE_IS_BETTER = ("throughput_rps", "tokens.output_per_second", "tokens_per_second.p50")
_SAME = ("base_url", "endpoint", "dialect", "stream", "requests", "concurrency", "rate", "duration_s")
_LEAST_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs."""

    name: str
    before: float
    after: float
    change: float | None
    """Relative: 0.1 is 10 % more; None where there is nothing to relate to."""
    worse: float
    """By how much it is worse, relative to before; negative where it is better."""


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """Return a row for each figure that both reports have."""
    return [*_rows(before, after, _LESS_IS_BETTER, 1), *_rows(before, after, _MORE_IS_BETTER, -1)]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return what was asked for in one of both and not in the other: name, before, after."""
    return [(name, before.get(name), after.get(name)) for name in _SAME if before.get(name) != after.get(name)]


def _rows(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, ...], sign: int) -> Iterator[Row]:
    for name in names:
        one, other = _figure(before, name), _figure(after, name)
        if one is not None and other is not None:
            change = (other - one) / one if one > _LEAST_RATE else None
            # An error where there was none is as much worse as anything can be.
            worse = sign * (change if change is not None else float(other > _LEAST_RATE))
            yield Row(name, one, other, change, worse)


def _figure(report: Mapping[str, Any], name: str) -> float | None:
    found: Any = report
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
