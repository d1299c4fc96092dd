"""The sink ``console``: one line a request, for people.

``2026-11-21 09:00:00 [4c1d9be2] POST /v1/chat/completions -> https://api.openai.com:443 [openai] 200 1.234s done``

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

from netrunner.ids import short
from netrunner.offers import SinkFactory
from netrunner.sinks.lines import LineSettings, LineSink, local_time, words
from netrunner.values import Record

UNMATCHED = "-"
"""The route of a record whose path leads nowhere."""


def line(record: Record) -> str:
    """Return the line for ``record``; times are local."""
    served_by = record.provider or record.route
    method, path, upstream, served_by, outcome, error = words(
        record.method, record.path, _destination(record), served_by, record.outcome, record.error or ""
    )
    return (
        f"{local_time(int(record.at_accept))} [{short(record.id)}] {method} {path} -> {upstream} [{served_by}]"
        f" {record.status} {record.duration_s:.3f}s {outcome}{error and ' '}{error}\n"
    )


def _destination(record: Record) -> str:
    if record.upstream is None and record.status == 404 and record.route == UNMATCHED:
        return "NOT_FOUND"
    return record.upstream or "-"


class Console(LineSink):
    """Writes such lines."""

    line = staticmethod(line)


plugin = SinkFactory(
    name="console",
    build=Console,
    settings=LineSettings,
    doc="Writes one line a request.",
)
