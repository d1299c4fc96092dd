"""Finding records in the journal upward from an id: those next to it, without a look at all that came since.

Records stand in a lane by their ends, so one that began early may stand in any segment after. ``Places`` finds out once
for each segment which of its records began before it; all others are in the order of segments.

This module must not write.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path

import msgspec

from netrunner.errors import Expired
from netrunner.ids import made_at
from netrunner.journal import frames
from netrunner.journal.frames import Frame, Kind
from netrunner.journal.records import record_of, walk
from netrunner.journal.segments import Reader, Span, first_id
from netrunner.journal.verify import LANES, journals
from netrunner.query import Found, Query, between, look_through
from netrunner.values import Record

SLACK_S = 1.0
"""Between the times of ids, of segments and of files, all of them by the same clock."""


class _Id(msgspec.Struct):
    """What is read of a record to know where it belongs."""

    id: str


class _Known(msgspec.Struct, frozen=True):
    """What is known of a segment."""

    first: str
    """Before all ids but those of ``late``."""
    until: int
    """The offset up to which it was read."""
    highest: str = ""
    """The highest id in it."""
    late: tuple[tuple[str, int], ...] = ()
    """Ids of records that began before the segment, each with the offset of its OUTCOME."""


class _Part(msgspec.Struct, frozen=True):
    """A segment in which records are looked for."""

    reader: Reader
    span: Span
    known: _Known


_ids = msgspec.msgpack.Decoder(_Id)


class Places:
    """The journals of a state folder, and which segment holds what.

    Args:
        state: The state folder.
        most: Records that are looked at for a page, and as many again to learn where they are.
    """

    def __init__(self, state: Path, most: int) -> None:
        self._state = state
        self._most = most
        self._known: dict[Path, _Known] = {}

    def page(self, query: Query, limit: int) -> Found:
        """Return up to ``limit`` records that match and are next to ``query.after``.

        Where too little is known yet, nothing is found and nothing searched; whoever asks again is one step farther.
        """
        low, high = between(query)
        assert low is not None, "there is an after"
        readers = [Reader(folder, lane) for folder in journals(self._state) for lane in LANES]
        try:
            parts = self._parts(readers, low)
            if parts is None:
                return Found([], query.after)
            records = _upward(parts, low)
            if high is not None:
                records = takewhile(lambda record: record.id < high, records)
            return look_through(query, records, limit, self._most)
        finally:
            for reader in readers:
                reader.close()

    def _parts(self, readers: Sequence[Reader], low: str) -> list[_Part] | None:
        """Return the segments that hold ids above ``low``; None if that is not known yet."""
        rows = [(reader, span) for reader in readers for span in reader.spans]
        there = {span.segment.path for _, span in rows}
        self._known = {path: known for path, known in self._known.items() if path in there}
        parts = []
        left = self._most
        for reader, span in rows:
            if _written_since(span, made_at(low) - SLACK_S):
                known, looked = self._learn(reader, span, left)
                left -= looked
                if left <= 0:
                    return None
                if known.highest > low:
                    parts.append(_Part(reader, span, known))
        return parts

    def _learn(self, reader: Reader, span: Span, most: int) -> tuple[_Known, int]:
        """Read on in a segment, up to ``most`` records; return what is known of it, and how many were read."""
        path = span.segment.path
        known = self._known.get(path) or _Known(first_id(span.segment, SLACK_S), span.segment.start)
        until, highest, late = known.until, known.highest, list(known.late)
        looked = 0
        for frame in _outcomes(reader, span, until):
            until = frame.end
            id = _id_in(frame)
            highest = max(highest, id)
            if id < known.first:
                late.append((id, frame.offset))
            looked += 1
            if looked == most:
                break
        known = self._known[path] = _Known(known.first, until, highest, tuple(late))
        return known, looked


def _upward(parts: Sequence[_Part], low: str) -> Iterator[Record]:
    """Yield the records above ``low`` by their ids; a segment is read when it is its turn."""
    waiting = sorted(parts, key=lambda part: part.known.first, reverse=True)
    numbers = count()
    held: list[tuple[str, int, Record | tuple[Reader, int]]] = [
        (id, next(numbers), (part.reader, offset)) for part in parts for id, offset in part.known.late if id > low
    ]
    heapq.heapify(held)
    while waiting or held:
        if waiting and (not held or waiting[-1].known.first <= held[0][0]):
            first = max(low, waiting[-1].known.first)
            for record in _records(waiting.pop()):
                if record.id > first:
                    heapq.heappush(held, (record.id, next(numbers), record))
            continue
        found = heapq.heappop(held)[2]
        if isinstance(found, Record):
            yield found
            continue
        with contextlib.suppress(Expired, msgspec.MsgspecError):
            reader, offset = found
            yield record_of(reader.frame(offset))


def _records(part: _Part) -> Iterator[Record]:
    end = part.span.end
    try:
        for step in walk(part.reader, part.span.segment.start):
            if end is not None and step.end > end:
                return
            if step.record is not None:
                yield step.record
    except Expired:
        return


def _outcomes(reader: Reader, span: Span, offset: int) -> Iterator[Frame]:
    try:
        for found in reader.scan(offset):
            if span.end is not None and found.end > span.end:
                return
            if isinstance(found, Frame) and found.kind == Kind.OUTCOME:
                yield found
    except Expired:
        return


def _id_in(frame: Frame) -> str:
    """Return the id of an OUTCOME's record; an empty one, which is never looked for, if it is damaged."""
    try:
        return _ids.decode(frames.record_in(frame.payload)).id
    except msgspec.MsgspecError:
        return ""


def _written_since(span: Span, at_s: float) -> bool:
    try:
        return span.segment.path.stat().st_mtime >= at_s
    except FileNotFoundError:
        return False
