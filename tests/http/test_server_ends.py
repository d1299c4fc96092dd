"""How a connection ends: half close, refusal behind which more is sent, cut, switch, drain, too many."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import Forbidden
from netrunner.http.ending import MAX_LINGER_BYTES
from netrunner.http.request import Request
from netrunner.http.site import SPARE_CONNECTIONS
from tests.support.client import Asked, Client, Echo, answers, connect, leaf, site_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
LONG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"
WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def waiting(**limits: Any) -> tuple[Client, list[Request]]:
    """Return a client of a resource that answers when the test does, and its requests."""
    requests: list[Request] = []
    return connect(leaf(requests.append), **limits), requests


def test_an_answer_made_here_reaches_a_client_that_sent_fin() -> None:
    client, requests = waiting()
    client.say(SIZED)
    client.finish()
    assert not client.is_over()
    requests[0].respond(200, [], b"ok")
    assert answers(client.heard())[0].body == b"ok"
    assert client.is_over()


@pytest.mark.parametrize("count", [2, 500])
def test_all_that_was_pipelined_before_fin_is_answered(count: int) -> None:
    client, requests = waiting()
    client.say(SIZED * count)
    client.finish()
    while requests:
        requests.pop().respond(200, [], b"ok")
    assert len(answers(client.heard())) == count
    assert client.is_over()


def test_a_head_cut_short_by_fin_is_dropped_after_the_answers_before_it() -> None:
    client, requests = waiting()
    client.say(SIZED + SIZED[:20])
    client.finish()
    requests[0].respond(200, [], b"ok")
    assert len(answers(client.heard())) == 1
    assert client.is_over()


@pytest.mark.parametrize("data", [b"", GET[:10], SIZED[:-1]])
def test_fin_before_a_request_is_whole_closes(data: bytes) -> None:
    client, requests = waiting()
    client.say(data)
    client.finish()
    assert client.is_over()
    assert requests == []


@pytest.mark.parametrize(("half_close_aborts", "aborted"), [(True, True), (False, False)])
def test_fin_while_an_upstream_works_means_gone_unless_tolerated(half_close_aborts: bool, aborted: bool) -> None:
    client, requests = waiting(half_close_aborts=half_close_aborts)
    client.say(SIZED)
    requests[0].aborts_on_half_close = True
    client.finish()
    assert client.transport.aborted is aborted


def test_the_client_leaving_is_told_once() -> None:
    client, requests = waiting()
    told: list[str] = []
    client.say(SIZED)
    requests[0].on_disconnect = lambda: told.append("callback")
    requests[0].notifyFinish().addErrback(lambda _: told.append("deferred"))
    client.settle()
    assert told == ["callback", "deferred"]
    requests[0].respond(200, [], b"too late")
    requests[0].send(b"too late", last=True)
    requests[0].break_off()
    assert client.heard() == b""


def test_the_end_of_an_answer_is_told_once_and_not_as_a_loss() -> None:
    client, requests = waiting()
    told: list[Any] = []
    client.say(SIZED)
    requests[0].on_disconnect = lambda: told.append("gone")
    requests[0].notifyFinish().addBoth(told.append)
    requests[0].respond(200, [], b"")
    client.settle()
    assert told == [None]


def test_a_refusal_lingers_until_the_client_closes() -> None:
    client = connect(Echo().resource, max_body_bytes=1)
    client.say(LONG)
    assert client.transport.half_closed
    assert not client.transport.disconnecting
    client.channel.dataReceived(b"lo")
    client.finish()
    assert client.transport.disconnecting


def test_a_refusal_lingers_for_two_seconds_and_64_kib() -> None:
    client = connect(Echo().resource, max_body_bytes=1)
    client.say(LONG)
    client.channel.dataReceived(b"x" * MAX_LINGER_BYTES)
    assert not client.is_paused()
    client.channel.dataReceived(b"x")
    assert client.is_paused()
    client.pass_time(2.25)
    assert client.transport.aborted


def test_a_broken_off_stream_has_no_end() -> None:
    client, requests = waiting()
    client.say(GET + GET)
    requests[0].begin(200, b"", [])
    requests[0].send(b"part")
    requests[0].break_off(b"error")
    data = client.heard()
    assert data.endswith(b"4\r\npart\r\n5\r\nerror\r\n")
    assert client.transport.disconnecting
    client.settle()
    assert len(requests) == 1


def test_an_answer_broken_off_before_its_first_byte_shows_its_head() -> None:
    client, requests = waiting()
    client.say(GET)
    requests[0].begin(200, b"", [(b"content-length", b"9")])
    requests[0].break_off()
    assert client.heard().startswith(b"HTTP/1.1 200 ")
    assert client.is_over()


@pytest.mark.parametrize("began", [False, True])
def test_a_resource_that_raises_is_an_error_500_or_a_cut(began: bool, logged_failures: Any) -> None:
    def take(request: Request) -> bytes:
        if began:
            request.write(b"part")
        raise RuntimeError("secret")

    client = connect(leaf(take)).say(GET)
    data = client.heard()
    assert b"secret" not in data
    if began:
        assert data.endswith(b"4\r\npart\r\n")
        assert client.is_over()
    else:
        assert answers(data)[0].status == 500
        assert not client.is_over()
    assert len(logged_failures.flush(RuntimeError)) == 1


def test_a_resource_that_raises_after_begin_can_still_be_answered_with_500(logged_failures: Any) -> None:
    def take(request: Request) -> bytes:
        request.begin(200, b"", [(b"x-secret", b"1")])
        raise RuntimeError

    client = connect(leaf(take)).say(GET)
    answer = answers(client.heard())[0]
    assert answer.status == 500
    assert b"x-secret" not in answer.headers
    logged_failures.flush(RuntimeError)


@pytest.mark.parametrize("began", [False, True])
def test_a_head_received_that_raises_is_an_error_500_or_a_cut(began: bool, logged_failures: Any) -> None:
    def head(request: Request) -> None:
        if began:
            request.begin(200, b"", [])
            request.send(b"part")
        raise RuntimeError

    client = connect(Asked(head)).say(SIZED[:-1])
    assert client.heard().startswith(b"HTTP/1.1 200" if began else b"HTTP/1.1 500")
    assert client.is_over()
    logged_failures.flush(RuntimeError)


def test_a_refusal_raised_by_a_resource_is_told() -> None:
    def take(_: Request) -> bytes:
        raise Forbidden("no")

    client = connect(leaf(take)).say(GET)
    assert answers(client.heard())[0].status == 403
    assert not client.is_over()


# The switch of protocols.


def switched() -> tuple[Client, Request, list[bytes], list[bool]]:
    client, requests = waiting()
    received: list[bytes] = []
    ended: list[bool] = []
    client.say(WEBSOCKET + b"early")
    requests[0].switch([(b"upgrade", b"websocket")], received.append, lambda: ended.append(True))
    return client, requests[0], received, ended


def test_after_a_switch_bytes_go_through_as_they_are() -> None:
    client, request, received, _ = switched()
    assert client.heard().startswith(b"HTTP/1.1 101 ")
    client.say(GET, b"\0\1")
    assert received == [b"early", GET, b"\0\1"]
    request.channel.write(b"\2\3")
    assert client.heard() == b"\2\3"
    client.pass_time(3600)
    assert not client.is_over()


def test_fin_after_a_switch_is_told_once_and_the_loss_as_a_loss() -> None:
    client, request, _, ended = switched()
    gone: list[bool] = []
    request.on_disconnect = lambda: gone.append(True)
    client.finish()
    assert (ended, gone, client.is_over()) == ([True], [], False)
    client.settle()
    assert (ended, gone) == ([True], [True])


def test_a_switched_client_that_does_not_read_is_dropped() -> None:
    client, _, _, _ = switched()
    client.transport.dataBuffer = b"x" * 70000
    client.channel.pauseProducing()
    client.pass_time(61)
    assert client.transport.aborted


def test_a_cut_tunnel_hears_no_more() -> None:
    client, _, received, _ = switched()
    client.channel.cut()
    client.channel.dataReceived(b"late")
    assert received == [b"early"]


# Many connections, and the end of all.


def test_connections_beyond_the_bound_are_told_to_come_again_and_then_not_even_that() -> None:
    site, clock = site_of(Echo().resource, max_connections=2)
    kept = [Client(site, clock) for _ in range(2)]
    extra = Client(site, clock)
    answer = answers(extra.say(GET).heard())[0]
    assert (answer.status, answer.headers[b"retry-after"], answer.headers[b"connection"]) == (503, b"1", b"close")
    extra.settle()
    assert [answers(client.say(GET).heard())[0].status for client in kept] == [200, 200]
    kept += [Client(site, clock) for _ in range(SPARE_CONNECTIONS)]
    assert site.buildProtocol(None) is None


def test_a_site_that_stops_answers_what_is_open_and_closes_what_is_idle() -> None:
    requests: list[Request] = []
    site, clock = site_of(leaf(requests.append))
    busy, idle, late = Client(site, clock), Client(site, clock), Client(site, clock)
    busy.say(SIZED + GET)
    late.say(SIZED[:-1])
    site.stop_accepting()
    assert (idle.is_over(), busy.is_over(), late.is_over()) == (False, False, False)
    idle.pass_time(1.25)
    assert (idle.is_over(), busy.is_over(), late.is_over()) == (True, False, False)
    requests[0].respond(200, [], b"1")
    requests[1].respond(200, [], b"2")
    late.say(SIZED[-1:])
    requests[2].respond(200, [], b"3")
    said = answers(busy.heard())
    assert [answer.body for answer in said] == [b"1", b"2"]
    assert said[-1].headers[b"connection"] == b"close"
    assert busy.is_over()
    assert late.is_over()


def test_a_request_that_crosses_with_the_stop_is_answered_as_the_last_one() -> None:
    site, clock = site_of(Echo().resource)
    client = Client(site, clock)
    client.say(GET)
    client.heard()
    site.stop_accepting()
    client.say(SIZED)
    answer = answers(client.heard())[0]
    assert (answer.body, answer.headers[b"connection"]) == (b"hello", b"close")
    assert client.is_over()


def test_a_stream_under_way_at_the_stop_leaves_its_connection_a_moment_and_the_next_one_announces_its_end() -> None:
    requests: list[Request] = []
    site, clock = site_of(leaf(requests.append))
    client, silent = Client(site, clock).say(GET), Client(site, clock).say(GET)
    site.stop_accepting()
    for request in list(requests):
        request.begin(200, b"", [])
        request.send(b"stream", last=True)
    assert (client.is_over(), silent.is_over()) == (False, False)
    client.say(GET)
    requests[2].begin(200, b"", [])
    requests[2].send(b"last", last=True)
    said = answers(client.heard())
    assert [(answer.body, answer.headers.get(b"connection")) for answer in said] == [
        (b"stream", None),
        (b"last", b"close"),
    ]
    assert client.is_over()
    silent.pass_time(1.25)
    assert silent.is_over()


def test_no_channel_stays_behind() -> None:
    site, clock = site_of(Echo().resource)
    for data in (b"", GET, SIZED[:-1], b"garbage\r\n\r\n", GET * 3 + b"x", SIZED.replace(b"5", b"99999999")):
        client = Client(site, clock).say(data)
        client.settle()
    assert len(site.channels) == len(site.sweep) == site.buffered_bytes == 0


@pytest.mark.parametrize("where", ["head_received", "render", "body over the cap"])
def test_a_refusal_after_the_answer_began_cuts_it_instead_of_beginning_another(where: str) -> None:
    def begin(request: Request) -> None:
        request.begin(200, b"", [])
        request.send(b"part")
        if where != "body over the cap":
            raise Forbidden("no")

    def head(request: Request) -> None:
        if where != "render":
            begin(request)

    client = connect(Asked(head, begin), max_body_bytes=4)
    client.say(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.say(b"5\r\nhello\r\n0\r\n\r\n" if where == "body over the cap" else b"0\r\n\r\n")
    assert client.heard().endswith(b"\r\n\r\n4\r\npart\r\n")
    assert client.is_over()
