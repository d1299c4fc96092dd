"""Frames: written, read again, and found among damaged bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.journal import frames
from netrunner.journal.frames import Damage, Frame, Kind

SALT = 0x12345678


def row(*payloads: bytes, salt: int = SALT) -> bytes:
    return b"".join(frames.header(Kind.PIECE, payload, salt) + payload for payload in payloads)


def read(data: bytes, base: int = 0, salt: int = SALT, whole: bool = True) -> list[Frame | Damage]:
    return list(frames.scan(data, base, salt, whole))


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 1 << 40))
def test_what_was_written_is_read(payloads: list[bytes], base: int) -> None:
    found = read(row(*payloads), base)
    assert [one.payload for one in found if isinstance(one, Frame)] == payloads
    assert [one for one in found if isinstance(one, Damage)] == []
    assert (found[-1].end if found else base) == base + len(row(*payloads))


def test_an_incomplete_frame_is_awaited_while_more_may_come_and_damage_when_nothing_does() -> None:
    data = row(b"first", b"second")
    for size in range(len(row(b"first")) + 1, len(data)):
        assert [one.end for one in read(data[:size], whole=False)] == [len(row(b"first"))]
        assert isinstance(read(data[:size])[-1], Damage)


def test_a_flipped_bit_costs_the_frame_it_is_in_and_no_other() -> None:
    payloads = [random.Random(n).randbytes(20 + n) for n in range(6)]
    data = row(*payloads)
    ends = [len(row(*payloads[: n + 1])) for n in range(6)]
    for at in range(len(data)):
        for bit in (1, 0x80):
            damaged = bytearray(data)
            damaged[at] ^= bit
            found = read(bytes(damaged))
            hit = next(n for n, end in enumerate(ends) if at < end)
            assert [one.payload for one in found if isinstance(one, Frame)] == payloads[:hit] + payloads[hit + 1 :]
            assert sum(one.end - one.offset for one in found if isinstance(one, Damage)) == len(row(payloads[hit]))


def test_a_frame_inside_of_a_body_is_none() -> None:
    forged = row(b"forged", salt=SALT + 1)
    data = bytearray(row(b"before", forged, b"after"))
    data[len(row(b"before")) + 3] ^= 1
    found = read(bytes(data))
    assert [one.payload for one in found if isinstance(one, Frame)] == [b"before", b"after"]


def test_the_salt_of_another_segment_reads_nothing() -> None:
    assert [type(one) for one in read(row(b"x"), salt=1)] == [Damage]


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_damage_and_nothing_is_told_twice(data: bytes) -> None:
    found = read(data)
    assert all(one.end > one.offset for one in found)
    assert [one.offset for one in found] == ([0] + [one.end for one in found])[: len(found)]


@pytest.mark.parametrize("before", [frames.NOWHERE, 1 << 40])
@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.PIECE, Kind.OUTCOME])
def test_a_part_of_a_message_is_read_from_whatever_it_stands_in(kind: Kind, before: int) -> None:
    part = frames.message(1, before, b"head", b"data")
    payload = frames.piece(7, part) if kind == Kind.PIECE else frames.entry(7, b"record", part)
    assert frames.number_of(payload) == 7
    assert frames.part_in(Frame(kind, 0, 1, payload)) == frames.Part(1, before, b"head", b"data")
    if kind != Kind.PIECE:
        assert frames.record_in(payload) == b"record"


def test_an_entry_may_hold_no_message() -> None:
    assert frames.part_in(Frame(Kind.OUTCOME, 0, 1, frames.entry(7, b"record"))) is None
    assert frames.part_in(Frame(Kind.SEAL, 0, 1, b"x" * 32)) is None
