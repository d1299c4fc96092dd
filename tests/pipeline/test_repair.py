"""Answers that are repaired on their way: OpenAI in, OpenAI out, event by event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.client import answers
from tests.support.stage import DONE, JSON, SSE, Stage, body_of, error_of

GOOD = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"a"},"finish_reason":null}]}\n\n'
)
MORE = GOOD.replace(b'"role":"assistant",', b"")
STOP = GOOD.replace(b'{"role":"assistant","content":"a"},"finish_reason":null', b'{},"finish_reason":"stop"')
USAGE = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt","choices":[],"usage":'
    b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
)
ASK = {"model": "m", "messages": [], "stream": True}


def documents(body: bytes) -> list[Any]:
    return [json.loads(one[6:]) for one in body.split(b"\n\n") if one.startswith(b"data: {")]


@pytest.fixture
def stage() -> Stage:
    return Stage(repair=True)


def test_what_needs_no_repair_goes_on_as_its_own_bytes(stage: Stage) -> None:
    client = stage.ask(ASK)
    stage.call.head(200, SSE).body(GOOD)
    assert body_of(client.heard()) == GOOD
    stage.call.body(MORE).body(STOP + DONE, True)
    assert client.heard().count(b"data: ") == 3
    assert stage.record().outcome == "done"


def test_what_clients_stumble_over_is_mended(stage: Stage) -> None:
    client = stage.ask(ASK)
    bare = b'id: 1\nretry: 5\nevent: ping\ndata: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    stage.call.head(200, SSE).body(bare).body(STOP + DONE, True)
    body = body_of(client.heard())
    first = documents(body)[0]
    assert {"id", "object", "created", "model"} <= set(first)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    assert not {b"id:", b"retry:", b"event:"} & {line.split(b" ")[0] for line in body.split(b"\n")}


def test_counts_are_asked_for_and_hidden_from_who_did_not_ask(stage: Stage) -> None:
    client = stage.ask(ASK)
    assert json.loads(stage.call.sent_body)["stream_options"] == {"include_usage": True}
    stage.call.head(200, SSE).body(GOOD + STOP + USAGE + DONE, True)
    assert b"usage" not in body_of(client.heard())
    record = stage.record()
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total, record.finish_reason) == (1, 2, "stop")


def test_who_asks_for_counts_gets_them(stage: Stage) -> None:
    asked = {**ASK, "stream_options": {"include_usage": True}}
    client = stage.ask(asked)
    assert json.loads(stage.call.sent_body) == asked
    stage.call.head(200, SSE).body(GOOD + STOP + USAGE + DONE, True)
    assert body_of(client.heard()) == GOOD + STOP + USAGE + DONE


def test_a_request_that_is_no_stream_is_sent_as_it_came(stage: Stage) -> None:
    client = stage.ask({"model": "m", "messages": []})
    assert json.loads(stage.call.sent_body) == {"model": "m", "messages": []}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    stage.call.head(200, JSON, (b"content-length", b"9")).body(
        json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode(), True
    )
    (answer,) = answers(client.heard(), b"POST")
    mended = json.loads(answer.body)["choices"][0]["message"]["tool_calls"][0]["function"]
    assert json.loads(mended["arguments"]) == {"a": 1}
    assert answer.headers[b"content-length"] == b"%d" % len(answer.body)


def test_an_error_as_first_event_is_an_error_answer(stage: Stage) -> None:
    client = stage.ask(ASK)
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"slow down","code":429,"type":"rate"}}\n\n')
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["message"]) == (429, "slow down")
    assert stage.call.aborted


def test_an_error_after_text_is_passed_on_once_and_recorded(stage: Stage) -> None:
    client = stage.ask(ASK)
    stage.call.head(200, SSE).body(GOOD).body(b'data: {"error":{"message":"boo","code":"broken"}}\n\n', True)
    body = body_of(client.heard())
    assert [sorted(document) for document in documents(body)][1:] == [["error"]]
    assert stage.record().error == "broken"


def test_a_stream_that_ends_without_saying_so_is_not_completed(stage: Stage) -> None:
    client = stage.ask(ASK)
    stage.call.head(200, SSE).body(GOOD).body(MORE, True)
    heard = client.heard()
    assert documents(body_of(heard))[-1]["error"]["code"] == "upstream_truncated"
    assert not heard.endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "upstream_truncated"


def test_a_missing_done_is_no_break_where_the_finish_is_told(stage: Stage) -> None:
    client = stage.ask(ASK)
    stage.call.head(200, SSE).body(GOOD).body(STOP, True)
    assert client.heard().endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "done"


def test_endpoints_without_a_repair_go_on_untouched(stage: Stage) -> None:
    client = stage.ask({"model": "m", "input": "x"}, "/v1/embeddings")
    stage.call.head(200, JSON).body(b'{"data":  []}', True)
    assert body_of(client.heard()) == b'{"data":  []}'
