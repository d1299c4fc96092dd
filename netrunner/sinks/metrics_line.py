"""The sink ``metrics_line``: one line ``REQUEST_METRICS {...}`` a request, for whoever reads times out of a log.

The stages of a request become three spans: until its body was here, until it was sent to the provider that answered
(filters, the choice of a candidate, earlier attempts), and from there to the last byte. A stage that the request
never reached has no span: null.

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

import msgspec

from netrunner.linefile import one_line
from netrunner.offers import SinkFactory
from netrunner.sinks.entry import milliseconds
from netrunner.sinks.lines import LineSettings, LineSink
from netrunner.times import stamp
from netrunner.values import Record


def line(record: Record) -> str:
    """Return the line for ``record``."""
    return f"REQUEST_METRICS {one_line(msgspec.json.encode(_metrics(record))).decode()}\n"


def _metrics(record: Record) -> dict[str, object]:
    timings = record.timings
    body, sent = timings.get("body"), timings.get("upstream_sent")
    return {
        "timestamp": stamp(record.at_accept),
        "custom_model": record.model,
        "actual_model": record.upstream_model,
        "status": record.status,
        "lookup_ms": _span(body or 0.0, sent),
        "body_process_ms": _span(0.0, body),
        "upstream_ms": None if sent is None else _span(sent, timings.get("last_byte", record.duration_s)),
        "total_ms": milliseconds(record.duration_s),
        "streaming": record.streaming,
        "path": record.path,
    }


def _span(since: float, until: float | None) -> float | None:
    return None if until is None else milliseconds(max(0.0, until - since))


class MetricsLine(LineSink):
    """Writes such lines."""

    line = staticmethod(line)


plugin = SinkFactory(
    name="metrics_line",
    build=MetricsLine,
    settings=LineSettings,
    doc="Writes the times of each request as one line.",
)
