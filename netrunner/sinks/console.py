"""The sink ``console``: one line a request, for people.

``2026-11-21 09:00:00 [0193a1b2] POST /v1/chat/completions -> https://api.openai.com:443 [openai] 200 1.234s done``

This module must not write anything of a body, a query or a credential.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TextIO

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.settings import setting
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Settings of the sink ``console``."""

    path: str | None = setting(None, doc="File to append to instead of standard output.", form="path")


@implementer(ILogSink, IStartable)
class Console:
    """Writes lines to standard output or to a file."""

    def __init__(self, settings: ConsoleSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._file: TextIO | None = None

    def start(self) -> None:
        """Open the file; a new one is readable for its owner only."""
        if self.settings.path is not None:
            descriptor = os.open(self.settings.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def stop(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    async def write(self, records: Sequence[Record]) -> None:
        """Write one line for each record, all at once."""
        out = self._file or sys.stdout
        out.write("".join(line(record) for record in records))
        out.flush()


def line(record: Record) -> str:
    """Return the line for ``record``; times are local."""
    foreign = [record.method, record.path, record.upstream or "-", record.provider or record.route, record.error or ""]
    together = "".join(foreign)
    if not together.isprintable() or " " in together:
        foreign = [_plain(text) for text in foreign]
    method, path, upstream, served_by, error = foreign
    return (
        f"{_second(int(record.at_accept))} [{record.id[:8]}] {method} {path} -> {upstream} [{served_by}]"
        f" {record.status} {record.duration_s:.3f}s {record.outcome}{error and ' '}{error}\n"
    )


@lru_cache(maxsize=8)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _plain(text: str) -> str:
    """Return ``text`` with everything escaped that could end a line, part a word or turn a terminal's head."""
    return "".join(one if one.isprintable() and one != " " else f"\\u{{{ord(one):x}}}" for one in text)
