"""A provider that speaks another dialect than its caller: what it is asked, and the answer's way back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.interfaces import IPrepares
from netrunner.routing.table import Candidate
from netrunner.testing.fakes import FakeEnvironment
from tests.support.client import answers
from tests.support.stage import JSON, SSE, Stage, body_of

ASK = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**ASK, "stream": True}
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "gpt"}
DONE = b"data: [DONE]\n\n"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """Return one event of the provider's stream, in OpenAI's dialect."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice], **more}).encode() + b"\n\n"


def document(text: str) -> bytes:
    """Return the provider's answer as one document."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return json.dumps({"id": "c1", "model": "gpt", "choices": choices, "usage": usage}).encode()


def told(heard: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the events that a caller of Anthropic's dialect got."""
    events = []
    for block in body_of(heard).split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        events.append((name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: "))))
    return events


def text_in(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(data["delta"].get("text", "") for name, data in events if name == "content_block_delta")


def test_a_request_is_written_in_the_providers_dialect_with_its_own_key() -> None:
    stage = Stage()
    stage.ask(STREAM, "/v1/messages", headers=[(b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"caller")])
    request = stage.call.request
    assert (request.method, request.target) == (b"POST", b"/v1/chat/completions")
    assert json.loads(stage.call.sent_body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    names = [name for name, _ in request.headers]
    assert b"x-api-key" not in names
    assert stage.call.header(b"authorization") == [b"Bearer sk-stored-key-of-the-operator"]


def test_an_answer_comes_in_the_callers_dialect_and_is_recorded_with_what_it_says() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/v1/messages")
    stage.call.head(200, JSON, (b"x-ratelimit-remaining-tokens", b"7"), (b"set-cookie", b"a")).body(
        document("Good day"), True
    )
    (answer,) = answers(client.heard(), b"POST")
    message = json.loads(answer.body)
    assert (message["type"], message["content"][0]["text"], message["model"]) == ("message", "Good day", "m")
    assert answer.headers[b"content-length"] == b"%d" % len(answer.body)
    assert answer.headers[b"x-netrunner-upstream-x-ratelimit-remaining-tokens"] == b"7"
    assert b"set-cookie" not in answer.headers
    record = stage.record()
    assert (record.dialect, record.attempts[0].dialect, record.outcome) == ("anthropic", "openai", "done")
    assert record.finish_reason == "stop"
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total) == (3, 2)
    assert record.bytes_out == len(answer.body)


def test_a_stream_is_committed_when_there_is_something_to_be_seen_and_goes_on_event_by_event() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(b": processing\n\n")
    assert client.heard() == b""
    stage.call.body(chunk("Good "))
    heard = client.heard()
    assert [name for name, _ in told(heard)] == ["message_start", "content_block_start", "content_block_delta"]
    stage.call.body(chunk("day")).body(chunk(finish="stop")).body(DONE, True)
    heard += client.heard()
    assert text_in(told(heard)) == "Good day"
    assert [name for name, _ in told(heard)][-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert heard.endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "done"


def test_an_answer_in_one_piece_becomes_a_stream_where_one_was_asked_for() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, JSON).body(document("Good day"), True)
    assert text_in(told(client.heard())) == "Good day"


def test_a_stream_becomes_one_answer_where_no_stream_was_asked_for() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good ") + chunk("day"))
    assert client.heard() == b""
    stage.call.body(chunk(finish="stop") + DONE, True)
    (answer,) = answers(client.heard(), b"POST")
    assert json.loads(answer.body)["content"][0]["text"] == "Good day"


@pytest.mark.parametrize("asked", [ASK, STREAM])
def test_an_error_answer_is_told_in_the_callers_dialect(asked: Any) -> None:
    stage = Stage()
    client = stage.ask(asked, "/v1/messages")
    error = {"error": {"message": "slow down", "type": "rate", "code": "rate_limit_exceeded"}}
    stage.call.head(429, JSON, (b"retry-after", b"7")).body(json.dumps(error).encode(), True)
    (answer,) = answers(client.heard(), b"POST")
    assert answer.status == 429
    assert answer.headers[b"retry-after"] == b"7"
    body = json.loads(answer.body)
    assert (body["type"], body["error"]["type"], body["error"]["message"]) == ("error", "rate_limit_error", "slow down")
    assert stage.record().outcome == "upstream_failed"


def test_an_error_as_first_event_is_an_error_answer() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"no room","code":503}}\n\n')
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (529, "overloaded_error")
    assert stage.call.aborted


def test_an_error_after_text_is_told_as_an_event_and_the_answer_never_looks_complete() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good ")).body(
        chunk("day") + b'data: {"error":{"message":"boo","code":500}}\n\n'
    )
    heard = client.heard()
    events = told(heard)
    assert text_in(events) == "Good day"
    assert events[-1][0] == "error"
    assert "message_stop" not in [name for name, _ in events]
    assert not heard.endswith(b"0\r\n\r\n")
    assert client.is_over()
    assert stage.record().outcome == "upstream_truncated"


@pytest.mark.parametrize("how", ["broken", "short"])
def test_a_stream_that_breaks_off_never_looks_complete(how: str) -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good "))
    if how == "broken":
        stage.call.fail()
    else:
        stage.call.body(chunk("day"), True)
    events = told(client.heard())
    assert text_in(events) == ("Good " if how == "broken" else "Good day")
    assert events[-1][0] == "error"
    assert stage.record().outcome == "upstream_truncated"


def test_what_cannot_be_read_is_a_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/v1/messages")
    stage.call.head(200, JSON).body(b"<html>", True)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, stage.record().error) == (502, "upstream_invalid_response")


def test_a_coding_nobody_asked_for_is_a_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/v1/messages")
    stage.call.head(200, JSON, (b"content-encoding", b"zstd"))
    assert answers(client.heard(), b"POST")[0].status == 502
    assert stage.record().error == "upstream_bad_encoding"


def test_what_has_no_place_is_told_in_a_header_and_in_the_record() -> None:
    stage = Stage()
    client = stage.ask({**ASK, "metadata": {"user_id": "u"}, "service_tier": "auto", "x": 1}, "/v1/messages")
    stage.call.head(200, JSON).body(document("Good day"), True)
    (answer,) = answers(client.heard(), b"POST")
    dropped = answer.headers[b"netrunner-dropped"].decode().split(", ")
    assert {"service_tier", "x"} <= set(dropped)
    assert stage.record().dropped == dropped


def test_a_request_that_cannot_be_translated_is_refused_before_anybody_is_called() -> None:
    stage = Stage()
    client = stage.ask({**ASK, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "/v1/messages")
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, "unsupported_parameter")
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"model": "m"}', b'{"model": "m", "messages": 7}'])
def test_a_malformed_request_is_a_400_in_the_callers_dialect(body: bytes) -> None:
    stage = Stage()
    client = stage.client().say(
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, json.loads(answer.body)["type"]) == (400, "error")
    assert stage.upstream.calls == []


def test_tokens_are_counted_by_a_rule_of_thumb_where_nobody_else_can() -> None:
    stage = Stage()
    client = stage.ask({"model": "m", "messages": ASK["messages"]}, "/v1/messages/count_tokens")
    (answer,) = answers(client.heard(), b"POST")
    assert json.loads(answer.body)["input_tokens"] > 0
    assert answer.headers[b"netrunner-estimated"] == b"tokens"
    assert stage.upstream.calls == []
    assert stage.record().outcome == "done"


def test_a_request_that_only_loads_a_model_is_answered_here() -> None:
    stage = Stage()
    client = stage.ask({"model": "m", "messages": []}, "/api/chat")
    (answer,) = answers(client.heard(), b"POST")
    assert json.loads(answer.body)["done_reason"] == "load"
    assert stage.upstream.calls == []


def test_event_filters_see_what_is_translated() -> None:
    stage = Stage(StripThinking(StripThinkingSettings(), FakeEnvironment()))
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("<think>no</th")).body(chunk("ink>yes<thin")).body(
        chunk(finish="stop") + DONE, True
    )
    events = told(client.heard())
    assert text_in(events) == "yes<thin"
    assert events[-1][0] == "message_stop"


def test_a_client_that_leaves_aborts_the_provider() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good "))
    client.settle()
    assert stage.call.aborted
    assert stage.record().outcome == "client_gone"


def test_embeddings_are_translated_too() -> None:
    stage = Stage()
    client = stage.ask({"model": "m", "input": ["a", "b"]}, "/api/embed")
    assert json.loads(stage.call.sent_body)["input"] == ["a", "b"]
    data = [{"index": index, "embedding": [float(index), 0.5]} for index in (1, 0)]
    stage.call.head(200, JSON).body(json.dumps({"data": data, "usage": {"prompt_tokens": 2}}).encode(), True)
    (answer,) = answers(client.heard(), b"POST")
    assert json.loads(answer.body)["embeddings"] == [[0.0, 0.5], [1.0, 0.5]]


def test_an_endpoint_that_only_one_dialect_knows_is_not_there_for_others() -> None:
    stage = Stage()
    stage.pipeline.providers["up"].dialects = frozenset()
    client = stage.ask({"model": "m"}, "/v1/moderations")
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "endpoint_not_found")


@pytest.mark.parametrize("sent", [False, True])
def test_a_provider_that_cannot_get_ready_is_passed_over_if_nothing_was_sent(
    sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(models={"m": (Candidate("up", "a"), Candidate("other", "b"))})
    error = UpstreamError("no token", code="upstream_auth")
    error.sent = sent

    async def prepare(call: Any) -> None:
        if call.model == "a":
            raise error

    provider = stage.pipeline.providers["up"].provider
    monkeypatch.setattr(provider, "prepare", prepare, raising=False)
    stage.pipeline.providers["up"].prepares = True
    assert not IPrepares.providedBy(provider)
    client = stage.ask(ASK, "/v1/messages")
    if sent:
        assert answers(client.heard(), b"POST")[0].status == 502
        assert stage.upstream.calls == []
    else:
        assert json.loads(stage.call.sent_body)["model"] == "b"


def test_what_a_provider_does_not_count_is_counted_and_flagged() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good ")).body(chunk("day")).body(chunk(finish="stop") + DONE, True)
    assert told(client.heard())[-1][0] == "message_stop"
    usage = stage.record().usage
    assert usage is not None
    assert (usage.source, usage.input_total, usage.output_total) == ("counted", 5, 2)


def test_what_came_before_a_client_left_is_counted() -> None:
    stage = Stage()
    client = stage.ask(STREAM, "/v1/messages")
    stage.call.head(200, SSE).body(chunk("Good day"))
    client.settle()
    usage = stage.record().usage
    assert usage is not None
    assert (usage.source, usage.output_total) == ("counted", 2)
