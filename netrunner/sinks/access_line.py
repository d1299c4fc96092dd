"""The sink ``access_line``: one short line for each request that has ended.

``2026-11-21 09:00:01 POST /v1/chat/completions -> 200 (1.234s) [openai] STREAMING``

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.settings import setting
from netrunner.sinks.lines import Lines, local_time, words
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessLineSettings:
    """Settings of the sink ``access_line``."""

    path: str | None = setting(None, doc="File to append to instead of standard output.", form="path")


@implementer(ILogSink, IStartable)
class AccessLine:
    """Writes lines to standard output or to a file."""

    def __init__(self, settings: AccessLineSettings, environment: IEnvironment) -> None:
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
    """Return the line for ``record``; its time is local, and that of the end."""
    method, path, served_by = words(record.method, record.path, record.provider or record.route)
    mark = " STREAMING" if record.streaming else ""
    ended = local_time(int(record.at_accept + record.duration_s))
    return f"{ended} {method} {path} -> {record.status} ({record.duration_s:.3f}s) [{served_by}]{mark}\n"
