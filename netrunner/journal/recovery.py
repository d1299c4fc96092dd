"""What is done with the journal of a process that is gone: its torn end is cut off, and what was open is closed.

Every exchange whose OUTCOME is missing gets one that says ``interrupted``, with what is recorded of its messages.
Damaged bytes are copied aside and counted; whatever can be read behind them is read.

This module must not run while the journal's owner lives.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec

from netrunner.errors import Expired
from netrunner.journal import frames
from netrunner.journal.frames import Damage, Frame, Kind
from netrunner.journal.lane import Lane
from netrunner.journal.records import checkpoint_of, record_of
from netrunner.journal.segments import BLOCK, Reader, Span, segments
from netrunner.values import Copy, Outcome, Record

MAX_ASIDE_BYTES = 1 << 20
LANES = ("main", "refused")
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Recovered:
    """What was found."""

    interrupted: int = 0
    """Exchanges that were open."""
    torn_bytes: int = 0
    """Of the last write, which was not complete."""
    damaged_bytes: int = 0
    """In between."""


@dataclass(slots=True)
class _Message:
    last: int = frames.NOWHERE
    kept: int = 0
    cut: bool = False


@dataclass(slots=True)
class _Open:
    intent: int
    messages: tuple[_Message, _Message] = field(default_factory=lambda: (_Message(), _Message()))


@dataclass(slots=True)
class _State:
    """What is known where a lane ends."""

    end: int
    records: int = 0
    ended: bool = False
    open: dict[int, _Open] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def recover(folder: Path, wall: Callable[[], float], bits: Callable[[int], int]) -> Recovered:
    """Bring a journal to its proper end; one that has it is left as it is.

    Args:
        folder: Of the process that is gone; locked by the caller.
        wall: Tells Unix time.
        bits: Gives random integers.

    Raises:
        OSError: when it cannot be read or written; what was done so far can be done again.
    """
    recovered = Recovered()
    (folder / "reserve").unlink(missing_ok=True)
    for lane in LANES:
        _recover_lane(folder, lane, wall, bits, recovered)
    return recovered


def _recover_lane(
    folder: Path, lane: str, wall: Callable[[], float], bits: Callable[[int], int], recovered: Recovered
) -> None:
    for segment in segments(folder, lane):
        if segment.path.stat().st_size < BLOCK.size:
            # The process died before it was a segment.
            segment.path.unlink()
    reader = Reader(folder, lane)
    try:
        if not reader.spans:
            return
        last = reader.spans[-1]
        state = _read_end(reader)
        if state.ended:
            return
        _cut(last, state, recovered)
        digest = _digest(last, state.end)
        writer = Lane(folder, lane, 1 << 62, wall, bits, start=state.end, digest=digest, records=state.records)
        try:
            for number, one in state.open.items():
                if (record := _interrupted(reader, folder.name, one, wall())) is not None:
                    writer.append(Kind.OUTCOME, frames.entry(number, _encode(record)))
                    recovered.interrupted += 1
            writer.append(Kind.END, b"")
            writer.commit()
            if writer.descriptor is not None:
                os.fsync(writer.descriptor)
        finally:
            writer.abandon()
    finally:
        reader.close()


def _read_end(reader: Reader) -> _State:
    """Read from the last segment that begins with what was open there.

    Usually that is the last one, unless the process died before anything was in it.
    """
    last = reader.spans[-1].segment.start
    state = _State(last)
    for span in reversed(reader.spans):
        state = _State(last)
        listed = span is reader.spans[0]
        for found in reader.scan(span.segment.start, closed=True):
            if isinstance(found, Damage):
                state.damage.append(found)
                continue
            listed = listed or found.kind == Kind.CHECKPOINT
            if not listed:
                break
            state.end = max(last, found.end)
            _take(state, found)
        if listed:
            break
    return state


def _take(state: _State, frame: Frame) -> None:
    match frame.kind:
        case Kind.CHECKPOINT:
            state.records, listed = checkpoint_of(frame)
            for number, intent, request, response in listed:
                state.open[number] = _Open(intent, (_Message(*request), _Message(*response)))
        case Kind.INTENT:
            state.open[frames.number_of(frame.payload)] = _Open(frame.offset)
            _take_part(state, frame)
        case Kind.PIECE:
            _take_part(state, frame)
        case Kind.OUTCOME:
            state.open.pop(frames.number_of(frame.payload), None)
            state.records += 1
        case Kind.END:
            state.ended = True


def _take_part(state: _State, frame: Frame) -> None:
    one, part = state.open.get(frames.number_of(frame.payload)), frames.part_in(frame)
    if one is not None and part is not None:
        message = one.messages[part.direction & 1]
        message.last = frame.offset
        message.kept += len(part.data)


def _cut(last: Span, state: _State, recovered: Recovered) -> None:
    """Cut the torn end off, and put aside what is damaged before it."""
    torn = [one for one in state.damage if one.offset >= state.end]
    damaged = [one for one in state.damage if last.segment.start <= one.offset < state.end]
    recovered.torn_bytes += sum(one.end - one.offset for one in torn)
    recovered.damaged_bytes += sum(one.end - one.offset for one in damaged)
    path = last.segment.path
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for one in damaged:
            size = min(one.end - one.offset, MAX_ASIDE_BYTES)
            data = os.pread(file, size, one.offset - last.segment.start + BLOCK.size)
            aside = path.with_name(f"{path.name}.{one.offset:016x}.damaged")
            aside.touch(mode=0o600)
            aside.write_bytes(data)
        os.ftruncate(file, state.end - last.segment.start + BLOCK.size)
        os.fsync(file)
    finally:
        os.close(file)


def _digest(last: Span, end: int) -> bytes:
    """Return the chain's digest at ``end``: the last seal's, and what came behind that as a batch of its own."""
    file = os.open(last.segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        block = os.pread(file, BLOCK.size, 0)
        data = os.pread(file, end - last.segment.start, BLOCK.size)
    finally:
        os.close(file)
    digest: bytes = BLOCK.unpack(block)[3] if len(block) == BLOCK.size else bytes(32)
    at = last.segment.start
    behind = at
    for found in frames.scan(data, at, last.segment.salt, True):
        if isinstance(found, Frame) and found.kind == Kind.SEAL:
            digest, behind = found.payload, found.end
    rest = data[behind - at :]
    return sha256(digest + rest).digest() if rest else digest


def _interrupted(reader: Reader, folder: str, one: _Open, now: float) -> Record | None:
    """Return the record of an exchange that was open; None if its INTENT cannot be read any more."""
    try:
        record = record_of(reader.frame(one.intent))
    except (Expired, msgspec.MsgspecError):
        return None
    record.outcome = Outcome.INTERRUPTED.value
    record.error = "interrupted"
    record.duration_s = max(0.0, now - record.at_accept) if not record.timings else max(record.timings.values())
    request, response = one.messages
    record.bytes_out = response.kept
    if request.last != frames.NOWHERE:
        whole = request.kept == record.bytes_in and not request.cut
        record.request_copy = Copy(folder, request.last, request.kept, whole)
    if response.last != frames.NOWHERE:
        record.response_copy = Copy(folder, response.last, response.kept, False)
    return record


def is_ended(folder: Path) -> bool:
    """Return whether every lane of a journal has its proper end."""
    for lane in LANES:
        reader = Reader(folder, lane)
        try:
            if reader.spans and not _ends(reader):
                return False
        finally:
            reader.close()
    return True


def _ends(reader: Reader) -> bool:
    """Look at the last bytes only: END and its SEAL are the last frames of a lane."""
    last = reader.spans[-1].segment
    size = last.path.stat().st_size - BLOCK.size
    tail = 2 * frames.OVERHEAD + 32
    if size < tail:
        return False
    found = list(reader.scan(last.start + size - tail, closed=True))
    return bool(found) and isinstance(found[0], Frame) and found[0].kind == Kind.END
