"""Heads of raw messages, however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.logserver.message import MAX_HEAD_BYTES, Message, Type
from tests.support.logserver import REQUEST, RESPONSE


def read(type: Type, *pieces: bytes) -> Message:
    message = Message(type)
    for piece in pieces:
        message.feed(piece)
    message.close()
    return message


def told(message: Message) -> tuple[object, ...]:
    return message.method, message.target, message.status, message.headers, message.error


@pytest.mark.parametrize(("type", "data"), [("request", REQUEST), ("response", RESPONSE)])
def test_a_head_is_the_same_however_it_is_cut(type: Type, data: bytes) -> None:
    whole = told(read(type, data))
    assert whole[-1] is None
    assert told(read(type, *[bytes([byte]) for byte in data])) == whole
    for cut in range(len(data)):
        assert told(read(type, data[:cut], data[cut:])) == whole


def test_nothing_behind_the_head_is_looked_at() -> None:
    message = read("response", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk at all")
    assert (message.status, message.error) == (200, None)


def test_the_head_of_an_upgrade_is_a_head() -> None:
    message = read(
        "response", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81"
    )
    assert (message.status, message.error) == (101, None)


@pytest.mark.parametrize("size", [1000, MAX_HEAD_BYTES])
def test_a_head_without_end_is_given_up_at_its_limit(size: int) -> None:
    message = Message("request")
    message.feed(b"GET / HTTP/1.1\r\n")
    for _ in range(MAX_HEAD_BYTES // size + 1):
        message.feed(b"X: " + b"x" * size + b"\r\n")
    message.close()
    assert message.error is not None
    assert "larger" in message.error


@settings(deadline=None)
@given(type=st.sampled_from(["request", "response"]), data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_no_bytes_at_all_make_it_raise(type: Type, data: bytes, cut: int) -> None:
    for take in (None, lambda _: None):
        message = Message(type, take)
        message.feed(data[:cut])
        message.feed(data[cut:])
        message.close()
        assert message.complete_head or message.error
