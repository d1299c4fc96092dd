"""The sink ``access_line``: one short line for each request that has ended.

``2026-11-21 09:00:01 POST /v1/chat/completions -> 200 (1.234s) [openai] STREAMING``

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

from netrunner.offers import SinkFactory
from netrunner.sinks.lines import LineSettings, LineSink, local_time, words
from netrunner.values import Record


def line(record: Record) -> str:
    """Return the line for ``record``; its time is local, and that of the end."""
    method, path, served_by = words(record.method, record.path, record.provider or record.route)
    mark = " STREAMING" if record.streaming else ""
    ended = local_time(int(record.at_accept + record.duration_s))
    return f"{ended} {method} {path} -> {record.status} ({record.duration_s:.3f}s) [{served_by}]{mark}\n"


class AccessLine(LineSink):
    """Writes such lines."""

    line = staticmethod(line)


plugin = SinkFactory(
    name="access_line",
    build=AccessLine,
    settings=LineSettings,
    doc="Writes one short line for each request that has ended.",
)
