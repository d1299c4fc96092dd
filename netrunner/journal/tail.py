"""The newest records of a lane in memory, so that readers who keep up need not read files.

This module must not know who reads.
"""

from __future__ import annotations

from bisect import bisect_right

from netrunner.values import Record

MAX_RECORDS = 2048
"""Some 4 KB each, as long as a reader is slow or away."""


class Tail:
    """Records by the offset behind their OUTCOME, oldest first; the oldest go when there are too many."""

    def __init__(self) -> None:
        self.begin = 0
        """Records that end after this offset are all here."""
        self._ends: list[int] = []
        self._records: list[Record] = []

    @property
    def end(self) -> int:
        """The offset behind the newest record."""
        return self._ends[-1] if self._ends else self.begin

    def add(self, end: int, record: Record) -> None:
        """Take the next record."""
        self._ends.append(end)
        self._records.append(record)
        if len(self._ends) > MAX_RECORDS:
            self._drop(MAX_RECORDS // 4)

    def after(self, offset: int, until: int, most: int) -> tuple[list[Record], int]:
        """Return records that end behind ``offset`` and not behind ``until``, and the offset behind the last one.

        Only if ``offset`` is not before ``begin``.
        """
        first = bisect_right(self._ends, offset)
        last = min(bisect_right(self._ends, until), first + most)
        return self._records[first:last], self._ends[last - 1] if last > first else offset

    def forget(self, offset: int) -> None:
        """Drop what ends up to ``offset``: everybody has read it, and what is kept is not in the processor's way."""
        self._drop(bisect_right(self._ends, offset))

    def _drop(self, count: int) -> None:
        if count > 0:
            self.begin = self._ends[count - 1]
            del self._ends[:count]
            del self._records[:count]
