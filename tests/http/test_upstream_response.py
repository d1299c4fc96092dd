"""Responses read from bytes: whole, in pieces, cut, and evil."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.http.response import ResponseLimits, ResponseReader
from netrunner.values import ResponseHead

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def reader(*, bodiless: bool = False, upgrade: bool = False) -> ResponseReader:
    """Return a reader that expects a response."""
    one = ResponseReader(ResponseLimits())
    one.begin(bodiless=bodiless, upgrade=upgrade)
    return one


def feed(one: ResponseReader, *reads: bytes) -> bytes:
    """Feed as a connection does, up to a problem; return the body that was found."""
    body = b""
    for data in reads:
        one.feed(data)
        body += b"".join(one.pieces)
        one.pieces.clear()
        if one.problem is not None:
            break
    return body


WHOLE = {
    "length": OK + b"Content-Length: 11\r\nX-A: 1\r\n\r\nhello world",
    "chunked": CHUNKED + b"6\r\nhello \r\n5;name=value\r\nworld\r\n0\r\nX-Trailer: t\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    + OK
    + b"Content-Length: 11\r\n\r\nhello world",
    "until_eof": OK + b"X-A: 1\r\n\r\nhello world",
}


@pytest.mark.parametrize("form", WHOLE)
def test_a_response_reads_the_same_split_at_every_position(form: str) -> None:
    data = WHOLE[form]
    for position in range(len(data) + 1):
        one = reader()
        assert feed(one, *filter(None, (data[:position], data[position:]))) == b"hello world", position
        assert one.problem is None
        assert one.complete is not one.until_eof
        assert one.head is not None
        assert (one.head.status, one.head.reason) == (200, b"OK")


@pytest.mark.parametrize("form", WHOLE)
def test_a_response_reads_the_same_byte_by_byte(form: str) -> None:
    whole, bytewise = reader(), reader()
    assert feed(whole, WHOLE[form]) == feed(bytewise, *(bytes([byte]) for byte in WHOLE[form]))
    assert whole.head == bytewise.head
    assert whole.complete == bytewise.complete
    assert whole.reusable == bytewise.reusable


@pytest.mark.parametrize("form", ["length", "chunked", "interim"])
def test_a_response_cut_anywhere_is_never_complete(form: str) -> None:
    for position in range(1, len(WHOLE[form])):
        one = reader()
        feed(one, WHOLE[form][:position])
        assert not one.complete, position
        assert not one.until_eof, position


def test_names_are_lowercase_values_trimmed_and_hop_by_hop_fields_gone() -> None:
    one = reader()
    feed(
        one, OK + b"X-One:  a b \t\r\nConnection: X-Secret\r\nX-Secret: s\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n"
    )
    assert one.head == ResponseHead(200, b"OK", [(b"x-one", b"a b"), (b"content-length", b"0")])
    assert one.reusable


def test_responses_follow_one_another_on_one_reader() -> None:
    one = reader()
    for data in (
        WHOLE["length"],
        WHOLE["chunked"],
        WHOLE["interim"],
        b"HTTP/1.1 204 No Content\r\n\r\n",
        WHOLE["length"],
    ):
        one.begin(bodiless=False, upgrade=False)
        feed(one, data)
        assert one.complete
        assert one.reusable


def test_a_head_answer_does_not_eat_the_next_response() -> None:
    one = reader(bodiless=True)
    assert feed(one, OK + b"Content-Length: 5\r\n\r\n") == b""
    assert one.complete
    assert one.reusable
    one.begin(bodiless=False, upgrade=False)
    assert feed(one, WHOLE["length"]) == b"hello world"
    assert one.complete


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_with_their_head(status: int) -> None:
    one = reader()
    assert (
        feed(
            one, b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status if status == 304 else b"HTTP/1.1 204 X\r\n\r\n"
        )
        == b""
    )
    assert one.complete
    assert one.reusable


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        OK + b"Connection: x, Close\r\nContent-Length: 0\r\n\r\n",
        OK + b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("bodiless", [False, True])
def test_old_and_closing_answers_end_the_connection(head: bytes, bodiless: bool) -> None:
    one = reader(bodiless=bodiless)
    feed(one, head)
    assert one.complete
    assert not one.reusable


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("extra", [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0"])
@pytest.mark.parametrize("bodiless", [False, True])
def test_bytes_after_the_end_spend_the_connection_but_not_the_response(form: str, extra: bytes, bodiless: bool) -> None:
    one = reader(bodiless=bodiless)
    data = WHOLE[form]
    if bodiless:
        data = data[: data.index(b"\r\n\r\n") + 4]
    assert feed(one, data + extra) == (b"" if bodiless else b"hello world")
    assert one.complete
    assert one.problem is None
    assert not one.reusable


def test_a_switch_that_was_asked_for_hands_on_the_rest() -> None:
    one = reader(upgrade=True)
    switch = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    assert feed(one, switch + b"\x81\x02hi") == b"\x81\x02hi"
    assert one.switched
    assert one.head == ResponseHead(101, b"Switching", [(b"sec-websocket-accept", b"x")])
    assert not one.complete


CL = b"Content-Length: 2\r\n"
REFUSED = {
    "switch nobody asked for": b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "two lengths": OK + CL + b"Content-Length: 3\r\n\r\nhi",
    "the same length twice": OK + CL + CL + b"\r\nhi",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "negative length": OK + b"Content-Length: -2\r\n\r\nhi",
    "hexadecimal length": OK + b"Content-Length: 0x2\r\n\r\nhi",
    "empty length": OK + b"Content-Length:\r\n\r\nhi",
    "5,000 digits of length": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhi",
    "length and chunked": OK + CL + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked and length": OK + b"Transfer-Encoding: chunked\r\n" + CL + b"\r\n2\r\nhi\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\nhi",
    "gzip": OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\nhi",
    "chunked by 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n" + CL + b"\r\nhi",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + CL + b"\r\nhi",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + CL + b"\r\nhi",
    "RTSP": b"RTSP/1.0 200 OK\r\n" + CL + b"\r\nhi",
    "no status line": b"<html>hello</html>",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "obs-fold": OK + b"X: a\r\n b\r\n" + CL + b"\r\nhi",
    "obs-fold with a tab": OK + b"X: a\r\n\tb\r\n" + CL + b"\r\nhi",
    "NUL in a value": OK + b"X: a\0b\r\n" + CL + b"\r\nhi",
    "control in a value": OK + b"X: a\x07b\r\n" + CL + b"\r\nhi",
    "DEL in a value": OK + b"X: a\x7fb\r\n" + CL + b"\r\nhi",
    "CR in a value": OK + b"X: a\rb\r\n" + CL + b"\r\nhi",
    "NUL in a name": OK + b"X\0: a\r\n" + CL + b"\r\nhi",
    "8-bit name": OK + b"X\xe9: a\r\n" + CL + b"\r\nhi",
    "space before the colon": OK + b"X : a\r\n" + CL + b"\r\nhi",
    "no name": OK + b": a\r\n" + CL + b"\r\nhi",
    "no colon": OK + b"X\r\n" + CL + b"\r\nhi",
    "control in the reason": b"HTTP/1.1 200 O\x07K\r\n" + CL + b"\r\nhi",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "status 099": b"HTTP/1.1 099 X\r\n" + CL + b"\r\nhi",
    "status 600": b"HTTP/1.1 600 X\r\n" + CL + b"\r\nhi",
    "status 2000": b"HTTP/1.1 2000 X\r\n" + CL + b"\r\nhi",
    "status words": b"HTTP/1.1 OK 200\r\n" + CL + b"\r\nhi",
    "201 header fields": OK + b"X: 1\r\n" * 201 + b"\r\n",
    "17 interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK + CL + b"\r\nhi",
    "data after a closing interim": b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n" + OK + CL + b"\r\nhi",
    "chunk size of letters": CHUNKED + b"xy\r\n",
    "chunk size overflow": CHUNKED + b"f" * 17 + b"\r\n",
    "negative chunk size": CHUNKED + b"-1\r\n",
    "chunk longer than said": CHUNKED + b"2\r\nhihi\r\n",
    "chunk ended by LF": CHUNKED + b"2\nhi\n0\n\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_strictly_http_is_refused_whole_and_byte_by_byte(name: str) -> None:
    data = REFUSED[name]
    for reads in ([data], [data[at : at + 1] for at in range(len(data))]):
        one = reader()
        body = feed(one, *reads)
        assert one.problem is not None
        assert len(one.problem) < 100
        assert not one.complete
        assert body in {b"", b"hi"}


def test_sixteen_interim_answers_and_two_hundred_fields_are_accepted() -> None:
    one = reader()
    feed(one, b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 16 + OK + b"X: 1\r\n" * 199 + b"Content-Length: 0\r\n\r\n")
    assert one.problem is None
    assert one.complete


@pytest.mark.parametrize(
    ("start", "more", "most"),
    [
        (OK + b"X: ", b"a" * 1000, 65536),
        (OK, b"X-Header: value\r\n", 65536),
        (b"HTTP/1.1 200 ", b"OK" * 100, 65536),
        (b"HTTP/1.1 100 Continue\r\nX: ", b"a" * 1000, 65536),
        (CHUNKED + b"5;", b"x" * 1000, 16384),
        (CHUNKED, b"0" * 1000, 16384),
        (CHUNKED + b"0\r\n", b"T: trailer\r\n" * 100, 16384),
        (CHUNKED + b"0\r\nT: ", b"t" * 1000, 16384),
    ],
)
def test_endless_framing_is_refused_soon_after_its_limit(start: bytes, more: bytes, most: int) -> None:
    one = reader()
    feed(one, start)
    fed = len(start)
    while one.problem is None:
        one.feed(more)
        fed += len(more)
        assert fed < most + 4096
    assert not one.complete


def test_trailers_do_not_reach_the_next_head() -> None:
    one = reader()
    feed(one, CHUNKED + b"0\r\nX-Trailer: t\r\n\r\n")
    assert one.complete
    one.begin(bodiless=False, upgrade=False)
    feed(one, OK + b"Content-Length: 0\r\n\r\n")
    assert one.head is not None
    assert one.head.get(b"x-trailer") is None


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    st.lists(st.integers(1, 64), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_any_chunks_in_any_reads_give_the_body_back(chunks: list[bytes], sizes: list[int]) -> None:
    data = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    reads: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(reads) % len(sizes)]
        reads.append(data[at : at + size])
        at += size
    one = reader()
    assert feed(one, *reads) == b"".join(chunks)
    assert one.complete
    assert one.reusable


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    for start in (b"", OK, CHUNKED, b"HTTP/1.1 "):
        feed(reader(), start + data)
