"""What each token and each model used over time, as charts of their requests.

Pure. This module must not read the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netrunner.figures import is_failure
from netrunner.values import Record
from netrunner.web.dashboard.charts import Chart, Shape, Span, bars, ceiling
from netrunner.web.dashboard.rows import UNKNOWN, brief

MOST_RECORDS = 5000
"""That are looked at, the newest."""
MOST_CHARTS = 8
"""Of tokens, and of models: those with most requests."""


def of_tokens(records: Sequence[Record], span: Span, now_s: float) -> list[Chart]:
    """Return a chart for each token."""
    return _charts(records, span, now_s, "token", lambda record: record.token)


def of_models(records: Sequence[Record], span: Span, now_s: float) -> list[Chart]:
    """Return a chart for each model, as its provider knows it."""
    return _charts(records, span, now_s, "model", lambda record: record.upstream_model or record.model)


def _charts(
    records: Sequence[Record], span: Span, now_s: float, kind: str, whose: Callable[[Record], str | None]
) -> list[Chart]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(whose(record) or UNKNOWN, []).append(record)
    most = sorted(groups.items(), key=lambda one: (-len(one[1]), one[0]))[:MOST_CHARTS]
    return [_chart(f"{kind}-{number}", name, group, span, now_s) for number, (name, group) in enumerate(most)]


def _chart(key: str, name: str, records: Sequence[Record], span: Span, now_s: float) -> Chart:
    slot_s = span.minutes * 60
    last = int(now_s // slot_s)
    good, failed = [0.0] * span.slots, [0.0] * span.slots
    for record in records:
        place = int(record.at_accept // slot_s) - (last - span.slots + 1)
        if 0 <= place < span.slots:
            (failed if is_failure(record) else good)[place] += 1
    top = ceiling(max(one + other for one, other in zip(good, failed, strict=True)))
    tokens = sum(one.usage.total or 0 for one in records if one.usage)
    figure = f"{brief(len(records))} requests, {brief(tokens)} tokens"
    shapes = (
        Shape("good", "answered", False, bars(good, top, failed)),
        Shape("failed", "failed", False, bars(failed, top)),
    )
    return Chart(key, name, figure, f"{brief(top)} requests", f"{figure} in the {span.words}.", shapes)
