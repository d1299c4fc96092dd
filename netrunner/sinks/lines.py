"""Lines to standard output or to a file, and text that cannot break one: what the sinks for people and programs share.

A batch of lines is in the file as a whole or not at all. A file that was renamed or removed by whoever rotates it is
made anew; one that was cut short in place is simply appended to.

This module must not know what a line says.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.settings import setting
from netrunner.values import Record

_BLOCK = 65536
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON lets stand in a string though some reader ends a line there, or a terminal obeys it."""


class LineFile:
    """A file that lines are appended to; a new one is readable and writable for its owner only.

    Args:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def open(self) -> int:
        """Return the descriptor of the file; opened when it is not, and then a torn last line is cut off."""
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o600)
            _mend(self._descriptor)
        return self._descriptor

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def follow(self) -> None:
        """See to it that what is open is what ``path`` names: somebody may have renamed it."""
        if self._descriptor is not None:
            try:
                there = os.stat(self.path)
            except FileNotFoundError:
                self.close()
            else:
                if not os.path.samestat(there, os.fstat(self._descriptor)):
                    self.close()

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self.open()).st_size

    def append(self, data: bytes) -> None:
        """Append whole lines with one write.

        Raises:
            OSError: if the file takes less than all of it; what it took is cut off again.
        """
        self.follow()
        descriptor, before = self.open(), self.size()
        written = 0
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(f"{self.path} took {written} of {len(data)} bytes")
        finally:
            if written < len(data):
                os.ftruncate(descriptor, before)


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


def _mend(descriptor: int) -> None:
    """Cut a file off after its last line end."""
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


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


def one_line(document: bytes) -> bytes:
    """Return JSON with everything escaped that could end a line or turn a terminal's head; it means the same.

    Args:
        document: One JSON document, or several, one a line: line feeds are left alone.
    """
    if document.isascii():
        return document
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode()).encode()
