"""What reaches the wire of an answer: framing that holds and fields that cannot inject others (RFC 9112, 11.1)."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import BadRequest
from netrunner.http.request import Request
from tests.support.client import Client, answers, connect, leaf

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
EVIL = b"y\r\nx-injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
VALUES = [
    EVIL,
    b"y\nx-injected: 1",
    b"y\rx-injected: 1",
    b"y\0x-injected: 1",
    b"\r\n\r\n<html>",
    b"y\r\n x-injected: 1",
]


def by_begin(request: Request, value: bytes) -> None:
    request.begin(200, b"", [(b"x-value", value)])
    request.send(b"body", last=True)


def by_name(request: Request, value: bytes) -> None:
    request.begin(200, b"", [(value, b"y")])
    request.send(b"body", last=True)


def by_reason(request: Request, value: bytes) -> None:
    request.begin(200, value, [])
    request.send(b"body", last=True)


def by_respond(request: Request, value: bytes) -> None:
    request.respond(200, [(b"x-value", value)], b"body")


def by_twisted(request: Request, value: bytes) -> None:
    request.setHeader(b"x-value", value)
    request.write(b"body")
    request.finish()


def by_twisted_name(request: Request, value: bytes) -> None:
    try:
        request.responseHeaders.setRawHeaders(value, [b"y"])
    except ValueError:
        pass  # newer Twisteds refuse it themselves
    request.write(b"body")
    request.finish()


def by_twisted_reason(request: Request, value: bytes) -> None:
    request.setResponseCode(200, value)
    request.write(b"body")
    request.finish()


def by_refusal(request: Request, value: bytes) -> None:
    request.refuse(BadRequest("body", status=200, headers=[(b"x-value", value)]))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "way", [by_begin, by_name, by_reason, by_respond, by_twisted, by_twisted_name, by_twisted_reason, by_refusal]
)
def test_nothing_in_a_field_becomes_another_field(way: Any, value: bytes) -> None:
    client = connect(leaf(lambda request: way(request, value))).say(GET)
    data = client.heard()
    head, _, _ = data.partition(b"\r\n\r\n")
    assert not any(line.lower().startswith(b"x-injected") for line in head.replace(b"\r", b"\n").split(b"\n"))
    assert b"\0" not in head
    found = answers(data)
    assert [answer.status for answer in found] == [200]
    assert found[0].body.strip() == b"body"


@pytest.mark.parametrize("value", VALUES)
def test_nothing_in_a_field_of_a_switch_becomes_another_field(value: bytes) -> None:
    client = connect(leaf(lambda request: request.switch([(b"x-value", value)], lambda _: None, lambda: None))).say(
        WEBSOCKET
    )
    lines = client.heard().split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines] == [
        b"HTTP/1.1 101 Switching Protocols",
        b"x-value",
        b"connection",
        b"",
        b"",
    ]


def answered(take: Any, *said: bytes) -> Client:
    return connect(leaf(take)).say(*said or (GET,))


def test_an_answer_has_one_date_ours_or_the_upstreams() -> None:
    assert answers(answered(lambda request: request.respond(200, [], b"")).heard())[0].headers[b"date"] == (
        b"Sun, 15 Jun 2025 15:06:40 GMT"
    )
    data = answered(lambda request: request.respond(200, [(b"date", b"then")], b"")).heard()
    assert data.count(b"date:") == 1
    assert answers(data)[0].headers[b"date"] == b"then"


def test_the_length_of_a_whole_answer_is_the_real_one() -> None:
    data = answered(lambda request: request.respond(200, [(b"content-length", b"99")], b"body")).heard()
    assert answers(data)[0].body == b"body"


def test_framing_is_never_taken_from_the_given_fields() -> None:
    def take(request: Request) -> None:
        request.begin(200, b"", [(b"transfer-encoding", b"gzip"), (b"connection", b"close"), (b"content-length", b"x")])
        request.send(b"body", last=True)

    data = answered(take).heard()
    assert answers(data)[0].body == b"body"
    assert data.count(b"transfer-encoding") == 1
    assert b"connection" not in data


def test_two_lengths_are_sent_as_one() -> None:
    def take(request: Request) -> None:
        request.begin(200, b"", [(b"content-length", b"4"), (b"content-length", b"5")])
        request.send(b"body", last=True)

    assert answers(answered(take).heard())[0].body == b"body"


@pytest.mark.parametrize("pieces", [[b"bodybody"], [b"bo", b"dybody"], [b"body", b"body"]])
def test_more_than_declared_is_not_sent(pieces: list[bytes]) -> None:
    def take(request: Request) -> None:
        request.begin(200, b"", [(b"content-length", b"4")])
        for piece in pieces:
            request.send(piece)
        request.send(b"", last=True)

    client = answered(take)
    assert answers(client.heard())[0].body == b"body"
    assert client.is_over()


def test_less_than_declared_ends_the_connection() -> None:
    def take(request: Request) -> None:
        request.begin(200, b"", [(b"content-length", b"9")])
        request.send(b"body", last=True)

    client = answered(take)
    assert client.heard().endswith(b"\r\n\r\nbody")
    assert client.is_over()


def test_a_head_leaves_with_the_first_bytes_in_one_write() -> None:
    writes: list[bytes] = []

    def take(request: Request) -> None:
        request.channel.transport.write = writes.append
        request.begin(200, b"", [])
        request.send(b"one")
        request.send(b"two", last=True)

    answered(take)
    assert len(writes) == 2
    assert writes[0].endswith(b"\r\n\r\n3\r\none\r\n")
    assert writes[1] == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_close_is_not_announced_on_a_stream_nobody_asked_to_close() -> None:
    def take(request: Request) -> None:
        request.close_after()
        request.begin(200, b"", [])
        request.send(b"one", last=True)

    client = answered(take)
    assert b"connection" not in answers(client.heard())[0].headers
    assert client.is_over()
    client = answered(take, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answers(client.heard())[0].headers[b"connection"] == b"close"


def test_nothing_is_sent_behind_the_end() -> None:
    def take(request: Request) -> None:
        request.respond(200, [], b"one")
        request.respond(200, [], b"two")
        request.send(b"three", last=True)

    assert [answer.body for answer in answers(answered(take).heard())] == [b"one"]
