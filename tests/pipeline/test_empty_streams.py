"""Streams that end before anything was said: nobody has answered, so another target may, or the caller is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zope.interface import implementer

from netrunner.events import Event
from netrunner.filters.retry import RetrySettings
from netrunner.filters.retry import plugin as retry
from netrunner.interfaces import IEventPhase
from netrunner.routing.table import Candidate
from netrunner.testing.fakes import FakeEnvironment
from tests.support.client import Answer, answers
from tests.support.stage import DONE, EVENT, SSE, Stage

NDJSON = (b"content-type", b"application/x-ndjson")
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
EMPTY = [b"", b": processing\n\n", DONE, b": processing\n\n" + DONE + DONE, EVENT[:9]]
POOL = {"m": (Candidate("up", "one", 1), Candidate("other", "two", 2))}
ASKED = {
    "chat/completions": {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    "messages": {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "stream": True, "input": "hi"},
}


@implementer(IEventPhase)
class Looking:
    """An event filter that changes nothing."""

    hold_back_bytes = 0
    hold_back_s = 0.0

    def on_event(self, exchange: Any, event: Event) -> Event:
        """Pass it on."""
        return event

    def on_end(self, exchange: Any) -> list[Event]:
        """Hold nothing."""
        return []


def ways() -> list[Any]:
    """Return stages by which way an answer goes through them, and the endpoint that is asked."""
    return [
        pytest.param(lambda **kw: Stage(repair=False, **kw), "chat/completions", id="untouched"),
        pytest.param(lambda **kw: Stage(repair=True, **kw), "chat/completions", id="repaired"),
        pytest.param(lambda **kw: Stage(Looking(), **kw), "chat/completions", id="filtered"),
        pytest.param(Stage, "responses", id="without-blocks"),
        pytest.param(Stage, "messages", id="translated"),
        pytest.param(lambda **kw: Stage(provider="mistral", **kw), "responses", id="translated-differently"),
    ]


def asked(stage: Stage, endpoint: str) -> Any:
    return stage.ask(ASKED[endpoint], f"/v1/{endpoint}")


def say(stage: Stage, told: bytes, apart: bool) -> None:
    """Have the provider say that and end, its end in a read of its own or not."""
    call = stage.call.head(200, SSE)
    if apart:
        call.body(told).body(b"", True)
    else:
        call.body(told, True)


def answer_of(client: Any) -> Answer:
    (answer,) = answers(client.heard(), b"POST")
    return answer


@pytest.mark.parametrize(("build", "endpoint"), ways())
@pytest.mark.parametrize("told", EMPTY)
@pytest.mark.parametrize("apart", [False, True])
def test_an_empty_stream_leads_to_the_next_target(build: Any, endpoint: str, told: bytes, apart: bool) -> None:
    stage = build(models=POOL)
    client = asked(stage, endpoint)
    say(stage, told, apart)
    assert [json.loads(call.sent_body)["model"] for call in stage.upstream.calls] == ["one", "two"]
    stage.call.head(200, SSE).body(EVENT + FINISH + DONE, True)
    assert client.heard().startswith(b"HTTP/1.1 200")
    attempts = stage.record().attempts
    assert [(one.error, one.possibly_billed) for one in attempts] == [("empty_answer", True), (None, False)]
    assert stage.targets.known("up", "one").state(0.0) == "paused"


@pytest.mark.parametrize(("build", "endpoint"), ways())
@pytest.mark.parametrize("told", EMPTY)
def test_an_empty_stream_that_nobody_can_make_up_for_is_an_error_in_the_callers_dialect(
    build: Any, endpoint: str, told: bytes
) -> None:
    stage = build()
    client = asked(stage, endpoint)
    say(stage, told, False)
    answer = answer_of(client)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (502, "empty_answer")
    record = stage.record()
    assert (record.outcome, record.status, record.error) == ("upstream_failed", 502, "empty_answer")


def test_an_empty_stream_is_tried_again_by_the_filter_retry() -> None:
    stage = Stage(retry.build(RetrySettings(base_delay_s=0.0), FakeEnvironment("retry")))
    client = asked(stage, "chat/completions")
    say(stage, DONE, False)
    stage.clock.advance(1.0)
    assert len(stage.upstream.calls) == 2
    stage.call.head(200, SSE).body(EVENT + FINISH + DONE, True)
    assert client.heard().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_ollamas_clients_are_told_of_an_empty_stream_too(provider: str) -> None:
    stage = Stage(provider=provider)
    client = stage.ask({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, "/api/chat")
    stage.call.head(200, SSE if provider == "openai" else NDJSON).body(b"", True)
    answer = answer_of(client)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "empty_answer")
