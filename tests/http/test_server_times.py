"""Deadlines: of a head, of a body, of an idle connection, of a client that does not read."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.http.request import Request
from tests.support.client import Asked, Client, Echo, answers, connect, leaf

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def drip(client: Client, data: bytes, every_s: float) -> float:
    """Send ``data`` byte by byte; return the seconds after which the server had enough."""
    passed = 0.0
    for byte in data:
        client.say(bytes([byte]))
        if client.is_over():
            return passed
        client.pass_time(every_s)
        passed += every_s
    return passed


@pytest.mark.parametrize("first", [b"", GET])
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100, b"\r\n" * 100])
def test_a_slow_head_is_cut_whatever_comes_meanwhile(first: bytes, data: bytes) -> None:
    client = connect(Echo().resource).say(first)
    client.heard()
    assert 9.5 <= drip(client, data, 0.5) <= 10.5
    assert answers(client.heard())[0].status == 408
    assert client.transport.disconnecting


def test_the_rest_of_a_head_that_began_in_another_segment_has_the_same_time() -> None:
    client = connect(Echo().resource)
    client.say(GET + GET[:10])
    assert 9.5 <= drip(client, b"/1.1\r\nX: " + b"y" * 100, 0.5) <= 10.5


def test_a_connection_that_says_nothing_is_closed() -> None:
    client = connect(Echo().resource)
    client.pass_time(9.5)
    assert not client.is_over()
    client.pass_time(1)
    assert client.is_over()
    assert client.heard() == b""


def test_an_idle_connection_is_closed_without_a_word() -> None:
    client = connect(Echo().resource)
    client.say(GET)
    client.heard()
    client.pass_time(74)
    assert not client.is_over()
    client.pass_time(1.5)
    assert client.is_over()
    assert client.heard() == b""


def test_an_idle_connection_is_closed_even_after_a_large_answer() -> None:
    client = connect(Echo().resource)
    client.channel.pauseProducing()
    client.say(GET)
    client.channel.resumeProducing()
    client.pass_time(76)
    assert client.is_over()


def test_a_body_slower_than_the_rate_is_refused() -> None:
    client = connect(Echo().resource).say(SIZED)
    for _ in range(9):
        client.say(b"x" * 400)
        client.pass_time(1)
    assert not client.is_over()
    client.pass_time(1.5)
    assert answers(client.heard())[0].status == 408
    assert client.is_over()


def test_a_body_at_the_rate_may_take_its_time() -> None:
    client = connect(Echo().resource).say(SIZED)
    for _ in range(150):
        client.say(b"x" * 600)
        client.pass_time(1)
    assert not client.is_over()
    client.say(b"x" * 10000)
    assert len(answers(client.heard())[0].body) == 100000


def test_a_body_at_the_rate_that_then_stops_is_refused() -> None:
    client = connect(Echo().resource).say(SIZED, b"x" * 90000)
    client.pass_time(20.5)
    assert answers(client.heard())[0].status == 408


def test_a_body_that_we_do_not_read_is_not_too_slow() -> None:
    client = connect(Asked(lambda request: setattr(request, "kept", request.stream_body())))
    client.say(SIZED, b"x")
    client.pass_time(100)
    assert not client.is_over()


def test_a_body_still_has_its_rate_after_the_client_had_stopped_reading() -> None:
    client = connect(Echo().resource).say(SIZED)
    client.channel.pauseProducing()
    client.channel.resumeProducing()
    client.pass_time(11)
    assert answers(client.heard())[0].status == 408


def test_a_request_being_answered_has_no_deadline() -> None:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append)).say(GET)
    client.pass_time(3600)
    assert not client.is_over()


def stream(client_limits: dict[str, Any] | None = None) -> tuple[Client, Request]:
    waiting: list[Request] = []
    client = connect(leaf(waiting.append), **(client_limits or {})).say(GET)
    waiting[0].begin(200, b"", [])
    waiting[0].send(b"x")
    return client, waiting[0]


def test_a_client_that_does_not_read_is_dropped() -> None:
    client, _ = stream()
    client.transport.dataBuffer = b"x" * 70000
    client.channel.pauseProducing()
    client.pass_time(59.5)
    assert not client.transport.aborted
    client.pass_time(1)
    assert client.transport.aborted


def unread(left: int = 70000) -> tuple[Client, Request]:
    """Return a client that has left ``left`` bytes unread from now on."""
    client, request = stream()
    client.transport.dataBuffer = b"x" * left
    client.channel.pauseProducing()
    return client, request


def take(client: Client, size: int, every_s: float = 0) -> None:
    """Let the client take ``size`` bytes, then let time pass."""
    client.transport.dataBuffer = client.transport.dataBuffer[size:]
    client.pass_time(every_s)


def test_what_was_taken_early_in_a_stall_does_not_double_it() -> None:
    client, _ = unread()
    client.pass_time(1)
    take(client, 20000, 60)
    assert not client.transport.aborted
    client.pass_time(2.5)
    assert client.transport.aborted


def test_a_few_bytes_now_and_then_are_no_progress() -> None:
    client, _ = unread()
    for _ in range(3):
        take(client, 4000, 19.75)
    assert not client.transport.aborted
    client.pass_time(1)
    assert client.transport.aborted


@pytest.mark.parametrize("rate", [300, 2000])
def test_a_client_that_reads_at_a_low_rate_is_kept(rate: int) -> None:
    client, _ = unread(600 * rate)
    for _ in range(600):
        take(client, rate, 1)
    assert not client.transport.aborted


def test_a_client_that_takes_all_that_is_left_is_kept_however_little_that_is() -> None:
    client = connect(leaf(lambda request: request.respond(200, [], b"x" * 70000)))
    client.transport.dataBuffer = b"x" * 70000
    client.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    take(client, 69000, 50)
    take(client, 1000, 59)
    assert not client.transport.aborted


def test_a_stall_goes_on_though_more_is_written_once_the_kernel_has_room() -> None:
    # What the kernel took is acknowledged as little as what it did not: that is all a client's end shows.
    client, request = unread()
    for _ in range(3):
        client.pass_time(19.75)
        client.channel.resumeProducing()
        request.send(b"x" * 1000)
        client.transport.dataBuffer += b"x" * 1000
        client.channel.pauseProducing()
    assert not client.transport.aborted
    client.pass_time(1)
    assert client.transport.aborted


def test_a_stall_after_everything_was_read_has_its_whole_time() -> None:
    client, request = unread()
    client.transport.dataBuffer = b""
    client.channel.resumeProducing()
    client.pass_time(300)
    request.send(b"x" * 70000)
    client.transport.dataBuffer = b"x" * 70000
    client.channel.pauseProducing()
    client.pass_time(59.5)
    assert not client.transport.aborted
    client.pass_time(1)
    assert client.transport.aborted


def test_a_client_that_reads_slowly_is_kept_even_while_more_is_written() -> None:
    client, request = unread()
    for _ in range(10):
        request.send(b"x" * 20000)
        client.transport.dataBuffer += b"x" * 4000
        client.pass_time(60)
    assert not client.transport.aborted
    client.pass_time(61)
    assert client.transport.aborted


@pytest.mark.parametrize("head", [GET, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_a_client_that_takes_the_end_slowly_gets_all_of_it(head: bytes) -> None:
    client = connect(leaf(lambda request: request.respond(200, [], b"x" * 200000)))
    client.transport.dataBuffer = b"x" * 200000
    client.say(head)
    if b"close" not in head:
        client.channel.pauseProducing()
    for _ in range(9):
        take(client, 20000, 60)
    assert not client.transport.aborted
    client.pass_time(121)
    assert client.transport.aborted


def test_a_cut_that_is_not_taken_is_aborted() -> None:
    client, request = stream()
    client.transport.dataBuffer = b"x" * 1000
    request.break_off(b"error")
    assert client.transport.disconnecting
    client.pass_time(0.9)
    client.transport.dataBuffer = b"x" * 10
    client.pass_time(1)
    assert not client.transport.aborted
    client.pass_time(2)
    assert client.transport.aborted
