"""The sink ``jsonl``: every record as one line of JSON, for programs.

The file is appended to with one write per batch, and rotated by size. What ``write`` returns tells which file that
was and how long it then was; after a crash everything behind that is cut off, since it comes again. So each record
is in the files once. Where somebody else has rotated them, a torn last line is cut off and nothing else.

This module must not keep records: a batch is in the file when ``write`` returns.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Literal

from zope.interface import implementer

from netrunner.figures import is_failure
from netrunner.interfaces import IEnvironment, ILogSink, IResumes, IStartable
from netrunner.linefile import LineFile, older
from netrunner.offers import SinkFactory
from netrunner.settings import setting
from netrunner.sinks.entry import lines
from netrunner.values import Record

_MARK = re.compile(r"(\d+):(\d+):(\d+)")
"""Device, inode and size in bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JsonlSettings:
    """Settings of the sink ``jsonl``."""

    path: str = setting(doc="File to append to; made with mode 0600.", form="path")
    max_bytes: int = setting(10485760, minimum=0, doc="Bytes at which a new file is begun; 0 never does.")
    keep: int = setting(5, minimum=0, doc="Older files that are kept, as `path.1` and so on.")
    only: Literal["all", "failures"] = setting(
        "all", doc="What is written: all records, or those of requests that failed, an error log."
    )


@implementer(ILogSink, IStartable, IResumes)
class Jsonl:
    """Appends records to a file."""

    def __init__(self, settings: JsonlSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._file = LineFile(settings.path)

    def start(self) -> None:
        """Open the file and cut off a torn last line."""
        self._file.open()

    def stop(self) -> None:
        """Close the file."""
        self._file.close()

    def resume(self, mark: str | None) -> str:
        """Cut off what was written after ``mark``; nothing if its file is gone, or is another one by now."""
        found = _MARK.fullmatch(mark or "")
        if found is not None:
            self._cut_back(*map(int, found.groups()))
        return self._mark()

    def _cut_back(self, device: int, inode: int, size: int) -> None:
        newest = self.settings.path
        paths = [newest, *(older(newest, number) for number in range(1, self.settings.keep + 1))]
        for number, path in enumerate(paths):
            if _is(path, device, inode):
                if _cut(path, size):
                    # Newer files were begun after the mark, so that all of them comes again.
                    for newer in paths[:number]:
                        _empty(newer)
                return

    async def write(self, records: Sequence[Record]) -> str:
        """Append one line for each record that is asked for; return the file and its size.

        Raises:
            OSError: if the file takes no more; what it took of the batch is cut off again.
        """
        if self.settings.only == "failures":
            records = [record for record in records if is_failure(record)]
        data = lines(records)
        self._file.follow()
        size = self._file.size()
        if self.settings.max_bytes and size and size + len(data) > self.settings.max_bytes:
            self._file.rotate(self.settings.keep)
        if data:
            self._file.append(data)
        return self._mark()

    def _mark(self) -> str:
        status = os.fstat(self._file.open())
        return f"{status.st_dev}:{status.st_ino}:{status.st_size}"


def _is(path: str, device: int, inode: int) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


def _cut(path: str, size: int) -> bool:
    """Cut a file back to ``size`` bytes; return whether it is the file that once ended there, with a whole line."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            return False
        os.ftruncate(descriptor, size)
        return True
    finally:
        os.close(descriptor)


def _empty(path: str) -> None:
    try:
        os.truncate(path, 0)
    except FileNotFoundError:
        pass


plugin = SinkFactory(
    name="jsonl",
    build=Jsonl,
    settings=JsonlSettings,
    doc="Appends each record to a file, as a line of JSON.",
)
