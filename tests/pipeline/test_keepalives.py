"""Signs of life for clients of silent streams, in memory: when they are sent, in which form, and where they are not."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from netrunner.pipeline.keepalives import Keepalives
from tests.support.client import Client
from tests.support.clients import CLIENTS, STREAM_PATHS, asked, streamed
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, body_of

COMMENT = b": keepalive\n\n"
WITHIN_S = 2.0
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
NDJSON = (b"content-type", b"application/x-ndjson")


def chunk(delta: Any, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**CHUNK, "choices": [choice]}).encode() + b"\n\n"


HELLO = chunk({"role": "assistant", "content": "Hello"})


def kept(stage: Stage, within_s: float = WITHIN_S) -> Keepalives:
    """Return what keeps the clients of ``stage`` company, started."""
    keepalives = Keepalives(stage.pipeline.inflight, stage.clock, within_s)
    keepalives.start()
    return keepalives


def begun(stage: Stage, event: bytes = EVENT, *fields: tuple[bytes, bytes]) -> Client:
    """Return a client that has seen the first event of a stream."""
    kept(stage)
    client = stage.ask()
    stage.call.head(200, *(fields or (SSE,))).body(event)
    assert body_of(client.heard()) == event
    return client


def chunks(heard: bytes) -> bytes:
    """Return the bytes of chunks that come without a head."""
    return body_of(b"\r\n\r\n" + heard)


def test_a_silent_stream_has_a_sign_of_life_within_the_interval_and_then_once_in_each() -> None:
    stage = Stage()
    client = begun(stage)
    client.pass_time(WITHIN_S)
    assert chunks(client.heard()) == COMMENT
    client.pass_time(WITHIN_S * 3)
    assert chunks(client.heard()) == COMMENT * 3


def test_a_stream_that_flows_has_none() -> None:
    stage = Stage()
    client = begun(stage)
    for _ in range(8):
        client.pass_time(WITHIN_S / 3)
        stage.call.body(EVENT)
    assert chunks(client.heard()) == EVENT * 8


def test_nothing_is_sent_before_the_answer_is_committed() -> None:
    stage = Stage()
    kept(stage)
    client = stage.ask()
    client.pass_time(WITHIN_S * 3)
    stage.call.head(200, SSE).body(b": processing\n\n")
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


@pytest.mark.parametrize("size", [1, len(EVENT) - 5, len(EVENT) - 1])
def test_none_stands_inside_an_event(size: int) -> None:
    stage = Stage()
    client = begun(stage)
    stage.call.body(EVENT[:size])
    client.pass_time(WITHIN_S * 3)
    stage.call.body(EVENT[size:])
    assert chunks(client.heard()) == EVENT
    client.pass_time(WITHIN_S * 2)
    assert chunks(client.heard()).startswith(COMMENT)


@pytest.mark.parametrize(("end", "signs"), [(b"\r\n", 1), (b"\r", 0)])
def test_none_stands_between_a_cr_and_the_lf_that_may_follow(end: bytes, signs: int) -> None:
    stage = Stage()
    client = begun(stage, EVENT.replace(b"\n", end))
    client.pass_time(WITHIN_S)
    assert chunks(client.heard()) == COMMENT * signs


def test_an_end_of_an_event_that_comes_byte_by_byte_is_one() -> None:
    stage = Stage()
    client = begun(stage)
    for byte in EVENT:
        stage.call.body(bytes([byte]))
    client.heard()
    client.pass_time(WITHIN_S * 2)
    assert COMMENT in chunks(client.heard())


def test_none_follows_the_mark_of_the_end() -> None:
    stage = Stage()
    client = begun(stage)
    stage.call.body(DONE)
    client.pass_time(WITHIN_S * 3)
    assert chunks(client.heard()) == DONE


@pytest.mark.parametrize("event", [b"id: 1\n" + EVENT, b"event: x\nid: 1\n" + EVENT])
def test_no_blank_line_stands_behind_one_that_follows_an_id(event: bytes) -> None:
    client = begun(Stage(), event)
    client.pass_time(WITHIN_S * 2)
    assert chunks(client.heard()) == b": keepalive\n" * 2


def test_a_client_that_does_not_read_gets_none() -> None:
    stage = Stage()
    client = begun(stage)
    client.channel.pauseProducing()
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


def test_a_client_that_has_left_gets_none_while_the_answer_is_read_on() -> None:
    stage = Stage(draining=("m",))
    client = begun(stage)
    client.settle()
    client.pass_time(WITHIN_S * 3)
    stage.call.body(DONE, True)
    assert client.heard() == b""
    assert stage.record().outcome == "client_gone"


def test_an_answer_that_is_no_stream_has_none() -> None:
    stage = Stage()
    client = begun(stage, b'{"a":\n\n', JSON)
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


def test_none_is_put_into_a_coding_that_cannot_be_undone() -> None:
    stage = Stage()
    client = begun(stage, b"packed\n\n", SSE, (b"content-encoding", b"br"))
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


def test_a_packed_stream_that_is_undone_has_them() -> None:
    stage = Stage()
    kept(stage)
    client = stage.ask()
    stage.call.head(200, SSE, (b"content-encoding", b"gzip")).body(gzip.compress(EVENT)[:-8])
    assert body_of(client.heard()) == EVENT
    client.pass_time(WITHIN_S)
    assert chunks(client.heard()) == COMMENT


def test_a_raw_route_has_none() -> None:
    stage = Stage(routes={"/raw/": ("http://up.example/", "replace")})
    kept(stage)
    client = stage.ask(path="/raw/events")
    stage.call.head(200, SSE).body(EVENT)
    client.heard()
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


def test_they_are_no_part_of_what_is_counted_and_recorded() -> None:
    stage = Stage()
    client = begun(stage)
    client.pass_time(WITHIN_S * 3)
    stage.call.body(DONE).body(b"", True)
    assert client.heard().endswith(b"0\r\n\r\n")
    assert stage.record().bytes_out == len(EVENT + DONE)


def test_they_leave_a_stream_that_breaks_off_as_broken_as_it_is() -> None:
    stage = Stage()
    client = begun(stage)
    client.pass_time(WITHIN_S)
    stage.call.fail()
    assert b'data: {"error"' in client.heard()
    assert stage.record().outcome == "upstream_truncated"


@pytest.mark.parametrize("within_s", [0.0, WITHIN_S])
def test_none_is_sent_where_none_is_wanted_and_after_the_end(within_s: float) -> None:
    stage = Stage()
    keepalives = kept(stage, within_s)
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT)
    client.heard()
    keepalives.stop()
    keepalives.stop()
    client.pass_time(WITHIN_S * 3)
    assert client.heard() == b""


@pytest.mark.parametrize("caller", CLIENTS)
def test_every_caller_gets_the_form_of_its_own_dialect_and_reads_on(caller: str) -> None:
    stage = Stage(repair=True, settings={"responses": False})
    kept(stage)
    client = stage.ask(asked(caller), STREAM_PATHS[caller])
    stage.call.head(200, SSE).body(HELLO)
    client.pass_time(WITHIN_S)
    stage.call.body(chunk({"content": " there"}))
    client.pass_time(WITHIN_S)
    stage.call.body(chunk({}, "stop") + DONE, True)
    heard = client.heard()
    form = {
        "openai": COMMENT,
        "responses": COMMENT,
        "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n',
        "gemini": b"2\r\n\n\n\r\n",
        "ollama": b'"message":{"role":"assistant","content":""},"done":false}\n',
    }[caller]
    assert heard.count(form) == 2
    assert streamed(caller, heard.replace(form, b"") if caller == "gemini" else heard).text == "Hello there"


def test_a_line_of_ollamas_own_stream_is_followed_by_one_of_the_same_kind() -> None:
    stage = Stage(provider="ollama")
    kept(stage)
    client = stage.ask(asked("ollama"), "/api/chat")
    line = b'{"model":"m","created_at":"x","message":{"role":"assistant","content":"a"},"done":false}\n'
    stage.call.head(200, NDJSON).body(line)
    client.pass_time(WITHIN_S)
    first, second = body_of(client.heard()).splitlines()
    assert first + b"\n" == line
    told = json.loads(second)
    assert (told["model"], told["message"], told["done"]) == ("m", {"role": "assistant", "content": ""}, False)
