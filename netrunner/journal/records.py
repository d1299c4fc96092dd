"""From the frames of a lane to records, and how many there were.

This module must not keep a position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from netrunner.journal import frames
from netrunner.journal.frames import Damage, Frame, Kind
from netrunner.journal.segments import Reader
from netrunner.values import Record

_decoder = msgspec.msgpack.Decoder(Record)
_checkpoint = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, int, tuple[int, int, bool], tuple[int, int, bool]]]])


class Refusals(msgspec.Struct, frozen=True):
    """Requests that were refused too fast to be told one by one."""

    at: float
    counts: dict[str, int]
    """By error code."""


_refusals = msgspec.msgpack.Decoder(Refusals)


class Step(msgspec.Struct, frozen=True):
    """One step along a lane."""

    end: int
    """Offset behind it."""
    record: Record | None = None
    counted: int | None = None
    """How many records came before, where the lane says so."""
    damaged: int = 0
    """Bytes that could not be read."""
    last: bool = False
    """Whether nothing will ever follow."""


def record_of(frame: Frame) -> Record:
    """Return the record of an INTENT or OUTCOME; raises ``msgspec.MsgspecError`` for one that is none."""
    return _decoder.decode(frames.record_in(frame.payload))


def checkpoint_of(frame: Frame) -> tuple[int, list[tuple[int, int, tuple[int, int, bool], tuple[int, int, bool]]]]:
    """Return the count of records before a segment, and what was open there: number, INTENT, both messages."""
    return _checkpoint.decode(frame.payload)


def refusals(reader: Reader) -> Counter[str]:
    """Return how many requests a lane only counts, by error code."""
    counted: Counter[str] = Counter()
    for found in reader.scan(0, closed=True):
        if isinstance(found, Frame) and found.kind == Kind.REFUSALS:
            counted.update(_refusals.decode(found.payload).counts)
    return counted


def walk(reader: Reader, offset: int, closed: bool = False) -> Iterator[Step]:
    """Yield everything in a lane from ``offset`` on, a step for each frame."""
    for found in reader.scan(offset, closed):
        if isinstance(found, Damage):
            yield Step(found.end, damaged=found.end - found.offset)
        elif found.kind == Kind.OUTCOME:
            try:
                yield Step(found.end, record_of(found))
            except msgspec.MsgspecError:
                yield Step(found.end, damaged=found.end - found.offset)
        elif found.kind == Kind.CHECKPOINT:
            yield Step(found.end, counted=checkpoint_of(found)[0])
        else:
            yield Step(found.end, last=found.kind == Kind.END)
