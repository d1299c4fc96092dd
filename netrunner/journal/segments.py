"""Segments: the files of one lane of a journal folder, and reading from them by offset.

A lane is one long row of bytes, cut into files. A file is named ``LANE.START.SEQUENCE.SALT.seg`` after the offset of
its first frame; it begins with a block of fixed size that holds the chain's digest so far. Where a write has failed a
later file begins at the same offset or before the end of an earlier one: the later one holds, the earlier one's rest
counts for nothing.

This module must not write.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from netrunner.errors import Expired
from netrunner.ids import first_of
from netrunner.journal import frames
from netrunner.journal.frames import Damage, Frame

BLOCK = struct.Struct("<8sQd32s")
"""Magic and version, offset of the first frame, Unix time of the file's making, digest of all that came before."""
VERSION = b"nrseg\x00\x01\n"
MAX_OFFSET = 1 << 62
WINDOW_BYTES = 1 << 20
"""Read at once."""
_NAME = re.compile(r"([a-z]+)\.([0-9a-f]{16})\.([0-9a-f]{4,})\.([0-9a-f]{8})\.seg")


class Segment(msgspec.Struct, frozen=True):
    """One file."""

    path: Path
    lane: str
    start: int
    sequence: int
    salt: int


class Span(msgspec.Struct, frozen=True):
    """The part of a file that holds: up to where a later one begins, None for the last one."""

    segment: Segment
    end: int | None


def name(lane: str, start: int, sequence: int, salt: int) -> str:
    """Return the name of a segment's file."""
    return f"{lane}.{start:016x}.{sequence:04x}.{salt:08x}.seg"


def segments(folder: Path, lane: str) -> list[Segment]:
    """Return the segments of a lane in the order of their making."""
    found = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    for one in names:
        match = _NAME.fullmatch(one)
        if match is not None and match[1] == lane:
            found.append(Segment(folder / one, lane, int(match[2], 16), int(match[3], 16), int(match[4], 16)))
    return sorted(found, key=lambda segment: segment.sequence)


def spans(found: list[Segment]) -> list[Span]:
    """Return what holds of each segment, by offset; what later ones begin before counts for nothing."""
    held: list[Span] = []
    end: int | None = None
    for segment in reversed(found):
        if end is None or segment.start < end:
            held.append(Span(segment, end))
            end = segment.start
    return held[::-1]


def first_id(segment: Segment, slack_s: float = 0.0) -> str:
    """Return how the ids begin that were made when a segment began (RFC 9562, 5.7), or ``slack_s`` before that.

    It is empty where the file does not tell.
    """
    try:
        with segment.path.open("rb") as file:
            _, _, began, _ = BLOCK.unpack(file.read(BLOCK.size))
    except (OSError, struct.error):
        return ""
    return first_of(began - slack_s)


class Reader:
    """Reads a lane by offset; files are opened once and kept open until ``close``.

    Args:
        folder: Of the journal.
        lane: Which lane.
    """

    def __init__(self, folder: Path, lane: str) -> None:
        self.folder = folder
        self.lane = lane
        self._spans: list[Span] = []
        self._files: dict[Path, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look for files that have come or gone."""
        self._spans = spans(segments(self.folder, self.lane))
        gone = self._files.keys() - {span.segment.path for span in self._spans}
        for path in gone:
            os.close(self._files.pop(path))

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    @property
    def spans(self) -> list[Span]:
        """What there is."""
        return self._spans

    def span_at(self, offset: int) -> Span | None:
        """Return the part that holds ``offset``; None before the first one that is left, or without any."""
        held = None
        for span in self._spans:
            if span.segment.start > offset:
                break
            held = span
        return held

    def frame(self, offset: int) -> Frame:
        """Return the frame at ``offset``.

        Raises:
            Expired: when there is none any more.
        """
        span = self.span_at(offset)
        if span is None or (span.end is not None and offset >= span.end):
            self.refresh()
            span = self.span_at(offset)
        if span is None or offset >= MAX_OFFSET:
            raise Expired("The journal no longer holds this.")
        data = self._read(span, offset, 65536)
        found = next(frames.scan(data, offset, span.segment.salt, False), None)
        if found is None:
            data = self._read(span, offset, frames.MAX_PAYLOAD_BYTES + 64)
            found = next(frames.scan(data, offset, span.segment.salt, True), None)
        if not isinstance(found, Frame) or found.offset != offset:
            raise Expired("The journal cannot read this any more.")
        return found

    def scan(self, offset: int, closed: bool = False) -> Iterator[Frame | Damage]:
        """Yield what follows ``offset``, to the end of what is written. What was deleted in between is stepped over.

        Args:
            offset: Of a frame, or anywhere before one.
            closed: Whether nobody writes any more; otherwise an incomplete frame at the end is not told.
        """
        while True:
            span = self.span_at(offset)
            if span is None:
                if not self._spans or self._spans[-1].segment.start <= offset:
                    return
                span = next(one for one in self._spans if one.segment.start > offset)
            offset = max(offset, span.segment.start)
            for found in self._scan_span(span, offset, closed):
                yield found
                offset = found.end
            if span.end is None:
                return
            offset = max(offset, span.end)

    def _scan_span(self, span: Span, offset: int, closed: bool) -> Iterator[Frame | Damage]:
        size = WINDOW_BYTES
        while span.end is None or offset < span.end:
            wanted = size if span.end is None else min(size, span.end - offset)
            data = self._read(span, offset, wanted)
            if not data:
                return
            at_end = len(data) < wanted or (span.end is not None and offset + len(data) >= span.end)
            whole = at_end and (closed or span.end is not None)
            before = offset
            for found in frames.scan(data, offset, span.segment.salt, whole):
                yield found
                offset = found.end
            if offset != before:
                size = WINDOW_BYTES
            elif at_end or size > WINDOW_BYTES:
                return
            else:
                size = 2 * frames.MAX_PAYLOAD_BYTES + WINDOW_BYTES

    def _read(self, span: Span, offset: int, size: int) -> bytes:
        path = span.segment.path
        descriptor = self._files.get(path)
        if descriptor is None:
            try:
                descriptor = self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise Expired("The journal no longer holds this.") from error
        if span.end is not None:
            size = min(size, span.end - offset)
        return os.pread(descriptor, size, offset - span.segment.start + BLOCK.size)
