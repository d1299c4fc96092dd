"""Frames: how anything stands in a segment, and how it is found again among damaged bytes.

``magic(2) kind(1) 0(1) length(4) crc(4) payload``, little endian. The checksum (zlib's CRC-32) is of the payload and
begins from kind, length and the segment's salt, a random number that stands in the segment's name: bytes of a body that
look like a frame are none.

This module must not read or write files.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from zlib import crc32

import msgspec

MAGIC = b"\xf7N"
OVERHEAD = 12
MAX_PAYLOAD_BYTES = 1 << 20
"""Of one frame; larger bodies are cut into several."""

_FRAME = struct.Struct("<2sBBII")
_ENTRY = struct.Struct("<II")
_NUMBER = struct.Struct("<I")
_MESSAGE = struct.Struct("<BQI")
_pack, _pack_entry, _pack_message = _FRAME.pack, _ENTRY.pack, _MESSAGE.pack
NOWHERE = 0xFFFF_FFFF_FFFF_FFFF
"""The place before the first frame of a message."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    CHECKPOINT = 1
    """The exchanges that are open where a segment begins."""
    INTENT = 2
    """An exchange is about to call its provider: its number, its record as it would be if the process died now, and the
    request as far as it has come."""
    PIECE = 4
    """More of a message: the exchange's number, then what ``message`` makes."""
    OUTCOME = 5
    """An exchange has ended: its number (0 without an INTENT), its record, and what was left of the response."""
    REFUSALS = 6
    """Many were refused in one moment: how often, by error code."""
    SEAL = 7
    """The chain's digest over everything before it."""
    END = 8
    """The lane was closed properly, or recovered."""


KINDS = frozenset(Kind)


class Frame(msgspec.Struct, frozen=True):
    """A frame that was read, its checksum correct."""

    kind: int
    offset: int
    """Of its first byte."""
    end: int
    """Of the byte behind it."""
    payload: bytes


class Damage(msgspec.Struct, frozen=True):
    """Bytes that are no frame."""

    offset: int
    end: int


def header(kind: int, payload: bytes, salt: int) -> bytes:
    """Return what stands before ``payload``."""
    size = len(payload)
    return _pack(MAGIC, kind, 0, size, crc32(payload, salt ^ kind << 24 ^ size))


def message(direction: int, before: int, head: bytes, data: bytes) -> bytes:
    """Return a part of a message.

    Args:
        direction: 0 for the request, 1 for the response.
        before: Offset of the frame with the part before this one, or ``NOWHERE``.
        head: Start line and fields, encoded; only in the first part.
        data: The next bytes of the body.
    """
    return _pack_message(direction, before, len(head)) + head + data


class Part(msgspec.Struct, frozen=True):
    """A part of a message that was read."""

    direction: int
    before: int
    head: bytes
    data: bytes


def entry(number: int, record: bytes, part: bytes = b"") -> bytes:
    """Return the payload of an INTENT or OUTCOME, with a part of a message or none."""
    return _pack_entry(number, len(record)) + record + part


def piece(number: int, part: bytes) -> bytes:
    """Return the payload of a PIECE."""
    return _NUMBER.pack(number) + part


def number_of(payload: bytes) -> int:
    """Return the exchange's number from the payload of an INTENT, PIECE or OUTCOME."""
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


def record_in(payload: bytes) -> bytes:
    """Return the record from the payload of an INTENT or OUTCOME."""
    _, size = _ENTRY.unpack_from(payload)
    return payload[_ENTRY.size : _ENTRY.size + size]


def part_in(frame: Frame) -> Part | None:
    """Return the part of a message that a frame holds; None if it holds none."""
    if frame.kind == Kind.PIECE:
        at = _NUMBER.size
    elif frame.kind in (Kind.INTENT, Kind.OUTCOME):
        at = _ENTRY.size + _ENTRY.unpack_from(frame.payload)[1]
    else:
        return None
    if at + _MESSAGE.size > len(frame.payload):
        return None
    direction, before, size = _MESSAGE.unpack_from(frame.payload, at)
    at += _MESSAGE.size
    return Part(direction, before, frame.payload[at : at + size], frame.payload[at + size :])


def scan(data: bytes, base: int, salt: int, whole: bool) -> Iterator[Frame | Damage]:
    """Yield the frames in ``data`` one after the other, and what lies between them where they are damaged.

    Args:
        data: Bytes of one segment, beginning with a frame.
        base: Offset of the first of them.
        salt: The segment's.
        whole: Whether nothing follows ``data``. Otherwise an incomplete frame at its end is not told.
    """
    at, size = 0, len(data)
    while at < size:
        frame = _frame_at(data, at, salt)
        if frame is not None:
            yield Frame(frame[0], base + at, base + frame[1], data[at + OVERHEAD : frame[1]])
            at = frame[1]
            continue
        if not whole and _may_go_on(data, at):
            return
        found = _next_frame(data, at + 1, salt)
        if found < 0:
            if whole:
                yield Damage(base + at, base + size)
            elif size - at > MAX_PAYLOAD_BYTES + OVERHEAD:
                # A frame that began before has to be here; one that begins in what is kept may still be completed.
                yield Damage(base + at, base + size - MAX_PAYLOAD_BYTES - OVERHEAD)
            return
        yield Damage(base + at, base + found)
        at = found


def _frame_at(data: bytes, at: int, salt: int) -> tuple[int, int] | None:
    """Return kind and end of the frame at ``at``, None if there is none, or not all of it."""
    if len(data) - at < OVERHEAD:
        return None
    magic, kind, zero, length, crc = _FRAME.unpack_from(data, at)
    end = at + OVERHEAD + length
    if magic != MAGIC or zero or length > MAX_PAYLOAD_BYTES or end > len(data):
        return None
    if crc32(memoryview(data)[at + OVERHEAD : end], salt ^ kind << 24 ^ length) != crc:
        return None
    return kind, end


def _may_go_on(data: bytes, at: int) -> bool:
    """Return whether the bytes at ``at`` look like the beginning of a frame that is not all there."""
    left = len(data) - at
    if left < OVERHEAD:
        return MAGIC.startswith(data[at : at + 2])
    magic, kind, zero, length, _ = _FRAME.unpack_from(data, at)
    return magic == MAGIC and not zero and kind in KINDS and left < OVERHEAD + length <= OVERHEAD + MAX_PAYLOAD_BYTES


def _next_frame(data: bytes, at: int, salt: int) -> int:
    """Return where the next whole frame begins, -1 if none does."""
    at = data.find(MAGIC, at)
    while at >= 0 and _frame_at(data, at, salt) is None:
        at = data.find(MAGIC, at + 1)
    return at
