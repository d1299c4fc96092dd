"""Figures as pictures: rates, failures, latency and tokens over time, the stages of one exchange, tokens against time.

Pure. A picture is numbers in the ``d`` and the geometry of an SVG, never a style; text beside it says the same.

This module must not know where figures come from, nor write any markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from netrunner.web.dashboard.figures import Minute, total
from netrunner.web.dashboard.rows import UNKNOWN, brief, duration

WIDTH, HEIGHT = 600, 120
"""Units of a chart's view box; it is stretched to the room there is."""


class Span(msgspec.Struct, frozen=True):
    """A stretch of time that ends now, in slots."""

    name: str
    words: str
    ago: str
    slots: int
    minutes: int
    """Of each slot."""


SPANS = {
    span.name: span
    for span in (
        Span("1h", "last hour", "an hour ago", 60, 1),
        Span("6h", "last 6 hours", "6 hours ago", 72, 5),
        Span("24h", "last 24 hours", "24 hours ago", 96, 15),
    )
}


class Shape(msgspec.Struct, frozen=True):
    """One series of a chart."""

    key: str
    label: str
    is_line: bool
    d: str


class Chart(msgspec.Struct, frozen=True):
    """One chart and what it says in words."""

    key: str
    title: str
    figure: str
    """Of the whole span, large."""
    top: str
    """What the upper edge stands for."""
    summary: str
    shapes: tuple[Shape, ...]
    bottom: str = ""
    """What the lower edge stands for, where that is not nothing."""


def charts(slots: Sequence[Minute], span: Span) -> tuple[Chart, ...]:
    """Return the four charts of what happened over ``span``."""
    whole = total(slots)
    return (
        _rate(slots, span, whole),
        _failures(slots, span, whole),
        _latency(slots, span, whole),
        _tokens(slots, span),
    )


def _rate(slots: Sequence[Minute], span: Span, whole: Minute) -> Chart:
    failed = [slot.failures / span.minutes for slot in slots]
    good = [(slot.requests - slot.failures) / span.minutes for slot in slots]
    most = max(slot.requests / span.minutes for slot in slots)
    top = ceiling(most)
    summary = f"{whole.requests} requests in the {span.words}, {_number(most)} in the busiest minute."
    if span.minutes > 1:
        summary = f"{whole.requests} requests in the {span.words}, at the most {_number(most)} a minute."
    shapes = (
        Shape("good", "answered", False, bars(good, top, failed)),
        Shape("failed", "failed", False, bars(failed, top)),
    )
    return Chart("rate", "Requests", brief(whole.requests), f"{_number(top)} a minute", summary, shapes)


def _failures(slots: Sequence[Minute], span: Span, whole: Minute) -> Chart:
    shares = [100 * slot.failures / slot.requests if slot.requests else 0.0 for slot in slots]
    top = min(100.0, ceiling(max(shares)))
    share = 100 * whole.failures / whole.requests if whole.requests else 0.0
    summary = f"{whole.failures} of {whole.requests} requests failed in the {span.words}: {_number(share)} %."
    shapes = (Shape("failed", "failed", False, bars(shares, top)),)
    return Chart("failures", "Errors", f"{_number(share)} %", f"{_number(top)} %", summary, shapes)


def _latency(slots: Sequence[Minute], span: Span, whole: Minute) -> Chart:
    """Return the chart of percentiles; a logarithmic one, since a slow answer takes a thousand times a quick one."""
    lines = {share: [_logarithm(slot.percentile(share)) for slot in slots] for share in (0.5, 0.95, 0.99)}
    bottom, top = _decades([value for line in lines.values() for value in line if value is not None] or [0.0])
    told = ", ".join(f"{share:.0%} within {_seconds(whole.percentile(share))}" for share in lines)
    summary = f"Of all requests in the {span.words}: {told}." if whole.requests else f"No request in the {span.words}."
    shapes = tuple(
        Shape(f"p{share * 100:.0f}", f"p{share * 100:.0f}", True, line(lines[share], top, bottom)) for share in lines
    )
    figure = _seconds(whole.percentile(0.5))
    return Chart("latency", "Median latency", figure, _round(10.0**top), summary, shapes, _round(10.0**bottom))


def _logarithm(seconds: float | None) -> float | None:
    return None if seconds is None else math.log10(max(0.001, seconds))


def _tokens(slots: Sequence[Minute], span: Span) -> Chart:
    taken = [slot.tokens_in / span.minutes for slot in slots]
    made = [slot.tokens_out / span.minutes for slot in slots]
    top = ceiling(max(one + other for one, other in zip(taken, made, strict=True)))
    sums = sum(slot.tokens_in for slot in slots), sum(slot.tokens_out for slot in slots)
    summary = f"{brief(sums[0])} tokens in and {brief(sums[1])} out in the {span.words}."
    shapes = (
        Shape("out", "out", False, bars(made, top, taken)),
        Shape("in", "in", False, bars(taken, top)),
    )
    return Chart("tokens", "Tokens", brief(sum(sums)), f"{brief(top)} a minute", summary, shapes)


def ceiling(value: float) -> float:
    """Return the first of 1, 2, 5, 10, 20, ... (and of 0.1, 0.2, ...) that is not below ``value``; 1 for nothing."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)


def bars(values: Sequence[float], top: float, below: Sequence[float] | None = None) -> str:
    """Return a path with one bar for each value that is not zero, standing on those ``below``."""
    step = WIDTH / len(values)
    parts = []
    for index, value in enumerate(values):
        if value > 0:
            base = HEIGHT * (1 - (below[index] if below else 0) / top)
            height = max(1.0, HEIGHT * value / top)
            x = index * step
            parts.append(f"M{x + step * 0.1:.1f} {base:.1f}v{-height:.1f}h{step * 0.8:.1f}v{height:.1f}z")
    return "".join(parts)


def line(values: Sequence[float | None], top: float, bottom: float = 0) -> str:
    """Return a path through the values that are known; one that stands alone is as wide as its slot."""
    step = WIDTH / len(values)
    parts = []
    before: float | None = None
    for index, value in enumerate(values):
        if value is not None:
            y = HEIGHT * (1 - (value - bottom) / (top - bottom))
            x = index * step
            parts.append(f"{'M' if before is None else 'L'}{x + step * 0.1:.1f} {y:.1f}h{step * 0.8:.1f}")
        before = value
    return "".join(parts)


class Stage(msgspec.Struct, frozen=True):
    """One stretch of an exchange's time, placed on a line of 1000 units."""

    key: str
    label: str
    seconds: float
    x: float
    width: float


_STAGES = (
    ("body", "reading the request"),
    ("upstream_sent", "choosing a provider, connecting"),
    ("first_byte", "waiting for the first byte"),
    ("last_byte", "passing the answer on"),
)


def stages(timings: Mapping[str, float], duration_s: float) -> tuple[Stage, ...]:
    """Return the stages of an exchange one after the other, of those that it reached."""
    whole = max(duration_s, 0.000001)
    found = []
    at = 0.0
    for key, label in _STAGES:
        until = timings.get(key)
        if until is None or until < at:
            continue
        until = min(until, whole)
        found.append(Stage(key, label, until - at, round(1000 * at / whole, 1), round(1000 * (until - at) / whole, 1)))
        at = until
    return tuple(found)


class Scatter(msgspec.Struct, frozen=True):
    """Points of tokens against seconds; both grow by ten from line to line."""

    left: str
    right: str
    bottom: str
    top: str
    """What the edges stand for."""
    grid: str
    good: str
    failed: str
    """Paths of one small mark for each point."""


def scatter(points: Iterable[tuple[float, float, bool]]) -> Scatter:
    """Return the picture of ``(tokens, seconds, whether it failed)``; what has no tokens is not in it."""
    known = [
        (math.log10(max(1.0, tokens)), math.log10(max(0.001, seconds)), bad)
        for tokens, seconds, bad in points
        if tokens
    ]
    left, right = _decades([x for x, _, _ in known] or [1.0])
    bottom, top = _decades([y for _, y, _ in known] or [0.0])
    paths: dict[bool, list[str]] = {False: [], True: []}
    for x, y, failed in known:
        paths[failed].append(
            f"M{WIDTH * (x - left) / (right - left):.1f} {2 * HEIGHT * (1 - (y - bottom) / (top - bottom)):.1f}h0"
        )
    upright = [f"M{WIDTH * step / (right - left):.1f} 0V{2 * HEIGHT}" for step in range(right - left + 1)]
    level = [f"M0 {2 * HEIGHT * step / (top - bottom):.1f}H{WIDTH}" for step in range(top - bottom + 1)]
    edges = brief(10.0**left), brief(10.0**right), _round(10.0**bottom), _round(10.0**top)
    return Scatter(*edges, "".join(upright + level), "".join(paths[False]), "".join(paths[True]))


def _decades(logarithms: Sequence[float]) -> tuple[int, int]:
    """Return the whole powers of ten around all of them, two at the least."""
    low = math.floor(min(logarithms))
    return low, max(low + 1, math.ceil(max(logarithms)))


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _round(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else duration(value)
