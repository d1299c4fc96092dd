"""What a client says and what it hears: order, framing, and persistence (RFC 9112, 6, 7, 9)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET

from netrunner.http.channel import MAX_PIPELINED_BYTES
from netrunner.http.request import Request
from tests.support.client import Asked, Client, Echo, answers, connect, leaf

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
)
H2C = (
    b"POST /d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABk\r\nContent-Length: 5\r\n\r\nwor\r\n"
)
H2C_CHUNKED = (
    b"POST /e HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nxy\r\n0\r\n\r\n"
)
H2C_BARE = b"GET /f HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
WEBSOCKET = b"GET /g HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
OLD = b"GET /h HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
ALL = GET + SIZED + CHUNKED + H2C + H2C_CHUNKED + H2C_BARE + WEBSOCKET + OLD + SIZED
BODIES = [b"", b"hello", b"abc0123456789", b"wor\r\n", b"xy", b"", b"", b"", b"hello"]


def bodies(client: Client) -> list[bytes]:
    return [answer.body for answer in answers(client.heard())]


def test_pipelined_requests_are_answered_in_order_from_one_segment() -> None:
    client = connect(Echo().resource)
    client.say(ALL)
    assert bodies(client) == BODIES
    assert not client.is_over()


def test_requests_are_understood_byte_by_byte() -> None:
    client = connect(Echo().resource)
    client.say(*[ALL[i : i + 1] for i in range(len(ALL))])
    assert bodies(client) == BODIES


def test_requests_are_understood_when_split_at_any_byte() -> None:
    for cut in range(1, len(ALL)):
        client = connect(Echo().resource)
        client.say(ALL[:cut], ALL[cut:])
        assert bodies(client) == BODIES, cut


def test_many_upgrade_requests_in_one_segment_do_not_nest() -> None:
    client = connect(Echo().resource)
    client.say(H2C_BARE * 700)
    assert len(bodies(client)) == 700


def test_a_slow_first_answer_holds_the_second_back() -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append))
    client.say(GET + SIZED + CHUNKED)
    assert len(waiting) == 1
    waiting[0].respond(200, [], b"1")
    assert len(waiting) == 2
    waiting[1].respond(200, [], waiting[1].body())
    waiting[2].respond(200, [], waiting[2].body())
    assert bodies(client) == [b"1", b"hello", b"abc0123456789"]


def test_what_is_pipelined_behind_an_open_request_is_kept_as_bytes() -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append))
    client.say(GET * 2000)
    assert len(client.channel._requests) < 300
    client.say(b"x" * (MAX_PIPELINED_BYTES + 1))
    assert client.transport.aborted


@pytest.mark.parametrize("first", [GET, SIZED, H2C])
def test_the_body_of_a_second_request_is_not_read_while_the_first_is_open(first: bytes) -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append))
    client.say(first + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
    client.say(*[b"x" * 4096] * 20)
    assert client.transport.aborted


def test_the_body_of_a_second_request_goes_on_when_the_first_is_answered() -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append))
    client.say(GET + SIZED[:-3], SIZED[-3:-1])
    waiting[0].respond(200, [], b"")
    client.say(SIZED[-1:])
    assert waiting[1].body() == b"hello"


def test_a_request_behind_a_refused_one_never_reaches_a_resource() -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(SIZED + b"GET /bad HTTP/1.1\r\n\r\n" + SIZED)
    assert [answer.status for answer in answers(client.heard())] == [200, 400]
    assert len(echo.seen) == 1
    assert client.is_over()


def test_a_refused_request_waits_for_its_turn() -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append))
    client.say(GET + b"GET / HTTP/1.1\r\n\r\n")
    assert client.heard() == b""
    waiting[0].respond(200, [], b"1")
    assert [answer.status for answer in answers(client.heard())] == [200, 400]


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, foo\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo,CLOSE\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n", True),
    ],
)
def test_the_connection_stays_as_the_client_asked(head: bytes, stays: bool) -> None:
    client = connect(Echo().resource)
    client.say(head)
    first = answers(client.heard())[0]
    assert client.is_over() is not stays
    said = first.headers.get(b"connection")
    assert said == (b"keep-alive" if b"1.0" in head and stays else None if stays else b"close")
    if stays:
        client.say(SIZED)
        assert bodies(client) == [b"hello"]


@pytest.mark.parametrize(
    "head", [b"Connection: close\r\nHost: a\r\n", b"Host: a\r\nUpgrade: h2c\r\nConnection: close, upgrade\r\n"]
)
def test_what_follows_a_close_is_ignored(head: bytes) -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(b"GET / HTTP/1.1\r\n" + head + b"\r\n" + SIZED)
    assert len(answers(client.heard())) == len(echo.seen) == 1
    assert client.is_over()


def test_head_has_the_length_and_no_body() -> None:
    client = connect(leaf(lambda request: request.respond(200, [], b"12345")))
    client.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    first, second = answers(client.heard(), b"HEAD")
    assert first.headers[b"content-length"] == b"5"
    assert (first.body, second.body) == (b"", b"12345")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_a_body_has_none(status: int, stream: bool) -> None:
    def take(request: Request) -> Any:
        if stream:
            request.begin(status, b"", [])
            request.send(b"nothing of this")
            request.send(b"", last=True)
        else:
            request.respond(status, [], b"" if status == 204 else b"the page")
        return NOT_DONE_YET

    client = connect(leaf(take))
    client.say(GET + GET)
    found = answers(client.heard())
    assert [(answer.status, answer.body) for answer in found] == [(status, b"")] * 2
    assert status == 304 or b"content-length" not in found[0].headers


def test_a_stream_is_chunked_for_http_1_1_and_ends_with_the_connection_for_1_0() -> None:
    def take(request: Request) -> Any:
        request.begin(200, b"", [])
        request.send(b"one")
        request.send(b"two", last=True)
        return NOT_DONE_YET

    new = connect(leaf(take)).say(GET)
    assert new.heard().endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert not new.is_over()
    old = connect(leaf(take)).say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert old.heard().endswith(b"\r\n\r\nonetwo")
    assert old.is_over()


def test_the_body_waits_while_the_resource_thinks_about_the_head() -> None:
    decided: Deferred[None] = Deferred()
    echo = Echo()
    client = connect(Asked(lambda _: decided, echo.take))
    client.say(SIZED[:-2])
    assert client.is_paused()
    decided.callback(None)
    assert not client.is_paused()
    client.say(SIZED[-2:] + GET)
    assert bodies(client) == [b"hello", b""]


def test_a_resource_that_thinks_may_be_told_that_the_client_left() -> None:
    decided: Deferred[None] = Deferred()
    gone: list[bool] = []

    def head(request: Request) -> Deferred[None]:
        request.on_disconnect = lambda: gone.append(True)
        return decided

    client = connect(Asked(head))
    client.say(SIZED[:-2])
    client.settle()
    decided.callback(None)
    assert gone == [True]
    assert client.heard() == b""


def test_absolute_form_is_answered_like_origin_form() -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(b"GET http://A:80/x?y=z HTTP/1.1\r\nHost: a:80\r\n\r\nGET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [seen.uri for seen in echo.seen] == [b"/x?y=z", b"/?q"]


def test_asterisk_form_is_for_options_alone() -> None:
    echo = Echo()
    connect(echo.resource).say(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [seen.uri for seen in echo.seen] == [b"*"]
    client = connect(echo.resource).say(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answers(client.heard())[0].status == 400


def test_empty_lines_before_a_request_are_skipped() -> None:
    client = connect(Echo().resource)
    client.say(b"\r\n\r\n" + SIZED + b"\r\n" + SIZED)
    assert bodies(client) == [b"hello", b"hello"]


def test_an_ungranted_upgrade_is_an_ordinary_request() -> None:
    client = connect(Echo().resource)
    client.say(WEBSOCKET + SIZED)
    assert bodies(client) == [b"", b"hello"]
