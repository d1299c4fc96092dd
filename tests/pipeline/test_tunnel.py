"""A WebSocket through the proxy: raw bytes both ways, and its end from either side."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import Overloaded, UpstreamError
from netrunner.values import Outcome
from tests.support.client import Client, answers
from tests.support.stage import JSON, Stage, error_of, request

HANDSHAKE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
ACCEPT = (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")


def ask(path: str = "/v1/realtime?model=m", **kw: Any) -> tuple[Stage, Client]:
    stage = Stage(key=None, routes={"/raw/": ("http://raw.example", "keep")}, **kw)
    return stage, stage.client().say(request(path, b"", *HANDSHAKE))


def opened(path: str = "/v1/realtime?model=m") -> tuple[Stage, Client]:
    stage, client = ask(path)
    stage.call.head(101, ACCEPT)
    client.heard()
    return stage, client


@pytest.mark.parametrize("path", ["/v1/realtime?model=m", "/raw/socket"])
def test_bytes_pass_in_both_directions_and_are_counted(path: str) -> None:
    stage, client = ask(path)
    assert stage.call.request.upgrade == b"websocket"
    assert stage.call.header(b"sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
    stage.call.head(101, ACCEPT)
    head = client.heard()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert b"\r\nupgrade: websocket\r\n" in head.lower()
    assert b"\r\nconnection: upgrade\r\n" in head.lower()
    client.say(b"\x81\x85ping", b"more")
    assert stage.call.written == b"\x81\x85pingmore"
    stage.call.body(b"\x81\x04pong").body(b"", True)
    assert client.heard() == b"\x81\x04pong"
    record = stage.record()
    assert (record.outcome, record.status, record.bytes_in, record.bytes_out) == ("done", 101, 10, 6)


def test_bytes_that_come_with_the_head_are_not_lost() -> None:
    stage = Stage(key=None)
    client = stage.client().say(request("/v1/realtime?model=m", b"", *HANDSHAKE) + b"early")
    stage.call.head(101, ACCEPT).body(b"hello")
    assert client.heard().endswith(b"\r\n\r\nhello")
    assert stage.call.written == b"early"
    client.settle()


def test_the_models_name_in_the_query_is_replaced_and_nothing_else() -> None:
    stage, client = ask("/v1/realtime?a=%20b&model=alias&c")
    assert stage.call.request.target == b"/v1/realtime?a=%20b&model=real&c"
    client.settle()


@pytest.mark.parametrize("query", ["model=m&model=alias", "model=m&mo%64el=alias"])
def test_two_models_in_the_query_are_refused(query: str) -> None:
    stage, client = ask(f"/v1/realtime?{query}")
    (answer,) = answers(client.heard())
    assert (answer.status, error_of(answer.body)["code"]) == (400, "duplicate_key")
    assert stage.upstream.calls == []


def test_an_unknown_model_is_refused_before_anything_is_sent() -> None:
    stage, client = ask("/v1/realtime?model=none")
    assert answers(client.heard())[0].status == 404
    assert stage.upstream.calls == []


def test_an_upstream_that_ends_closes_both_sides() -> None:
    stage, client = opened()
    stage.call.body(b"bye").body(b"", True)
    assert client.heard() == b"bye"
    assert client.transport.disconnecting
    assert stage.call.ended
    assert stage.record().outcome == "done"


def test_a_client_that_ends_still_hears_the_rest() -> None:
    stage, client = opened()
    client.say(b"bye").finish()
    assert stage.call.ended
    assert not stage.call.aborted
    stage.call.body(b"and").body(b"you", True)
    assert client.heard() == b"andyou"
    client.settle()
    assert stage.record().outcome == "done"


def test_a_client_that_is_lost_aborts_the_upstream() -> None:
    stage, client = opened()
    client.settle()
    assert stage.call.aborted
    assert stage.record().outcome == "done"


def test_an_upstream_that_breaks_off_closes_the_client() -> None:
    stage, client = opened()
    stage.call.fail(UpstreamError("broke off", code="upstream_truncated"))
    assert client.transport.disconnecting
    assert stage.record().outcome == "upstream_truncated"


def test_it_can_be_ended_by_an_operator() -> None:
    stage, client = opened()
    (exchange,) = stage.pipeline.inflight.values()
    exchange.work.stop(Outcome.CANCELLED, Overloaded("ended", code="cancelled"))
    assert stage.call.aborted
    assert client.transport.disconnecting
    assert stage.record().outcome == "cancelled"


def test_it_is_closed_when_it_has_been_open_for_as_long_as_it_may() -> None:
    stage, client = ask(max_tunnel_s=60)
    stage.call.head(101, ACCEPT)
    stage.clock.advance(59)
    assert len(stage.pipeline.inflight) == 1
    stage.clock.advance(1)
    assert client.transport.disconnecting
    assert stage.call.ended
    assert (stage.record().outcome, stage.record().error) == ("cancelled", "tunnel_timeout")


def test_one_that_has_ended_leaves_no_call_behind() -> None:
    stage, client = opened()
    client.settle()
    stage.record()
    stage.site.sweep.stop()
    assert stage.clock.getDelayedCalls() == []


def test_each_side_waits_for_the_other() -> None:
    stage, client = opened()
    call: Any = stage.call
    client.channel.pauseProducing()
    assert call.paused
    client.channel.resumeProducing()
    assert not call.paused
    stage.call.producer.pauseProducing()
    assert client.is_paused()
    stage.call.producer.resumeProducing()
    assert not client.is_paused()
    client.settle()


@pytest.mark.parametrize("status", [200, 404, 426])
def test_another_answer_than_101_is_an_ordinary_one_and_the_last(status: int) -> None:
    stage, client = ask()
    stage.call.head(status, JSON).body(b"{}", True)
    (answer,) = answers(client.heard())
    assert (answer.status, answer.body) == (status, b"{}")
    assert client.is_over()
    assert stage.record().status == status
