"""Undoing a content coding: whole, in pieces, and what is refused."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from netrunner.errors import UpstreamError
from netrunner.http import inflate
from netrunner.http.inflate import Inflater

TEXT = b'{"text": "' + bytes(random.Random(0).choices(b"abcdefgh \n", k=5000)) + b'"}'
PACKED = {b"gzip": gzip.compress(TEXT), b"x-gzip": gzip.compress(TEXT), b"deflate": zlib.compress(TEXT)}


@pytest.mark.parametrize("coding", PACKED)
def test_what_was_packed_comes_out_wherever_it_is_split(coding: bytes) -> None:
    packed = PACKED[coding]
    for position in range(len(packed)):
        one = Inflater(coding)
        assert one.feed(packed[:position]) + one.feed(packed[position:]) == TEXT
        assert one.complete


@pytest.mark.parametrize("coding", PACKED)
def test_what_is_cut_is_not_complete(coding: bytes) -> None:
    for position in range(1, len(PACKED[coding])):
        one = Inflater(coding)
        one.feed(PACKED[coding][:position])
        assert not one.complete


def test_no_body_at_all_is_complete() -> None:
    assert Inflater(b"gzip").complete


def test_members_follow_each_other() -> None:
    one = Inflater(b"gzip")
    packed = gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b")
    assert b"".join(one.feed(packed[position : position + 1]) for position in range(len(packed))) == b"ab"
    assert one.complete


@pytest.mark.parametrize("behind", [b"x", b"\0\0", b"data: more\n\n"])
def test_what_follows_and_is_no_member_is_refused(behind: bytes) -> None:
    one = Inflater(b"gzip")
    with pytest.raises(UpstreamError) as raised:
        one.feed(gzip.compress(TEXT) + behind * 10)
    assert raised.value.code == "upstream_bad_encoding"


def test_a_bomb_in_one_read_is_refused() -> None:
    with pytest.raises(UpstreamError):
        Inflater(b"gzip").feed(gzip.compress(bytes(2 * inflate.FREE_BYTES)))


def test_a_bomb_behind_honest_bytes_is_refused_at_one_reads_bound() -> None:
    one = Inflater(b"gzip")
    honest = random.Random(1).randbytes(1 << 20)
    one.feed(gzip.compress(honest, 1))
    one.feed(gzip.compress(bytes(inflate.MAX_AT_ONCE_BYTES)))
    with pytest.raises(UpstreamError):
        one.feed(gzip.compress(bytes(inflate.MAX_AT_ONCE_BYTES + 1)))


def test_members_of_nothing_cost_no_more_than_their_bytes() -> None:
    one = Inflater(b"gzip")
    assert one.feed(gzip.compress(b"") * 1000) == b""
    assert one.complete
