"""The sink ``metrics_line``: one line ``REQUEST_METRICS {...}`` a request, for whoever reads times out of a log.

The stages of a request become three spans: until its body was here, until it was sent to the provider that answered
(filters, the choice of a candidate, earlier attempts), and from there to the last byte. A stage that the request
never reached has no span: null.

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.settings import setting
from netrunner.sinks.entry import milliseconds
from netrunner.sinks.lines import Lines, one_line
from netrunner.times import stamp
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricsLineSettings:
    """Settings of the sink ``metrics_line``."""

    path: str | None = setting(None, doc="File to append to instead of standard output.", form="path")


@implementer(ILogSink, IStartable)
class MetricsLine:
    """Writes lines to standard output or to a file."""

    def __init__(self, settings: MetricsLineSettings, environment: IEnvironment) -> None:
        self._lines = Lines(settings.path)

    def start(self) -> None:
        """Open the file; a new one is readable for its owner only."""
        self._lines.open()

    def stop(self) -> None:
        """Close the file."""
        self._lines.close()

    async def write(self, records: Sequence[Record]) -> None:
        """Write one line for each record, all at once."""
        self._lines.write("".join(map(line, records)))


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
