"""The sink ``jsonl``: every record as one line of JSON, for programs.

The file is appended to with one write per batch. A line that a crash has torn is cut off at the next start, so
that every line that is followed by another is whole.

This module must not keep records: a batch is in the file when ``write`` returns.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import msgspec
from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.settings import setting
from netrunner.values import Record

_BLOCK = 65536


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JsonlSettings:
    """Settings of the sink ``jsonl``."""

    path: str = setting(doc="File to append to; made with mode 0600.", form="path")


@implementer(ILogSink, IStartable)
class Jsonl:
    """Appends records to a file."""

    def __init__(self, settings: JsonlSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._descriptor: int | None = None
        self._encoder = msgspec.json.Encoder()

    def start(self) -> None:
        """Open the file and cut off a torn last line."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.settings.path, flags, 0o600)
        _mend(self._descriptor)

    def stop(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def write(self, records: Sequence[Record]) -> None:
        """Append one line for each record.

        Raises:
            OSError: if the file takes no more; what it took of the batch is cut off again.
        """
        if self._descriptor is None:
            self.start()
        assert self._descriptor is not None
        data = self._encoder.encode_lines(records)
        written = os.write(self._descriptor, data)
        if written < len(data):
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OSError(f"{self.settings.path} took {written} of {len(data)} bytes")


def _mend(descriptor: int) -> None:
    """Cut the file off after its last line end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, end)
