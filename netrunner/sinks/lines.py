"""Lines to standard output or to a file, and text that cannot break one: what the sinks for people and programs share.

This module must not know what a line says.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.linefile import LineFile
from netrunner.settings import setting
from netrunner.values import Record


class Lines:
    """Lines for people: to standard output, or appended to a file.

    Args:
        path: The file; None means standard output.
    """

    def __init__(self, path: str | None) -> None:
        self._file = None if path is None else LineFile(path)

    def open(self) -> None:
        """Open the file, if there is one."""
        if self._file is not None:
            self._file.open()

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def write(self, text: str) -> None:
        """Write whole lines, all at once; raises ``OSError`` when they do not go in."""
        if self._file is not None:
            self._file.append(text.encode())
        else:
            sys.stdout.write(text)
            sys.stdout.flush()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """Settings of a sink that writes a line for each record."""

    path: str | None = setting(None, doc="File to append to instead of standard output.", form="path")


@implementer(ILogSink, IStartable)
class LineSink:
    """Writes what ``line`` makes of each record, to standard output or to a file."""

    line: Callable[[Record], str]
    """Returns the line of a record, its end included; a static method of each such sink."""

    def __init__(self, settings: LineSettings, environment: IEnvironment) -> None:
        self._lines = Lines(settings.path)

    def start(self) -> None:
        """Open the file; a new one is readable for its owner only."""
        self._lines.open()

    def stop(self) -> None:
        """Close the file."""
        self._lines.close()

    async def write(self, records: Sequence[Record]) -> None:
        """Write one line for each record, all at once."""
        self._lines.write("".join(map(self.line, records)))


@lru_cache(maxsize=8)
def local_time(at: int) -> str:
    """Return a Unix time as local date and time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def words(*foreign: str) -> tuple[str, ...]:
    """Return texts from outside so that each is one word: nothing in it ends a line or turns a terminal's head."""
    together = "".join(foreign)
    if together.isprintable() and " " not in together:
        return foreign
    return tuple(map(_word, foreign))


def _word(text: str) -> str:
    return "".join(one if one.isprintable() and one != " " else f"\\u{{{ord(one):x}}}" for one in text)
