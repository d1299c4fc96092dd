"""Tokens that no provider has counted, where caller and provider speak one dialect."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Usage
from tests.support.stage import DONE, JSON, SSE, Stage

TURN = {"role": "user", "content": "x" * 400}
ASKED = {"model": "m", "messages": [TURN]}
TEXT = "Words that nobody counts, of which there are a few here."
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 12345678}'}}
COUNTS = {"prompt_tokens": 1, "completion_tokens": 2}


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    document = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({**document, "choices": choices}).encode() + b"\n\n"


def whole(**more: Any) -> bytes:
    message = {"role": "assistant", "content": TEXT, **more}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": choices}).encode()


def filtered() -> Any:
    return StripThinking(StripThinkingSettings(), FakeEnvironment("strip_thinking"))


def counted(stage: Stage, *pieces: bytes, body: Any = ASKED, path: str = "/v1/chat/completions") -> Usage | None:
    """Return the usage in the record of a stream of these pieces."""
    stage.ask({**body, "stream": True}, path)
    stage.call.head(200, SSE)
    for piece in pieces:
        stage.call.body(piece)
    stage.call.body(b"", True)
    return stage.record().usage


def about(usage: Usage | None, made: int, asked: int = 110) -> None:
    """Assert that tokens were counted here, and come to about so many."""
    assert usage is not None
    assert usage.source == "counted"
    assert usage.input_total == pytest.approx(asked, rel=0.25)
    assert usage.output_total == pytest.approx(made, rel=0.25)


@pytest.mark.parametrize("with_filter", [False, True])
def test_a_streams_texts_are_counted_where_its_provider_tells_no_counts(with_filter: bool) -> None:
    stage = Stage(*([filtered()] if with_filter else []), repair=True)
    texts = [chunk(content=TEXT[at : at + 14]) for at in range(0, len(TEXT), 14)]
    about(counted(stage, *texts, chunk("stop"), DONE), 14)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_what_was_thought_is_counted_as_well(field: str) -> None:
    about(counted(Stage(repair=True), chunk(**{field: TEXT}), chunk("stop", content=TEXT), DONE), 28)


def test_arguments_of_calls_are_counted() -> None:
    about(counted(Stage(repair=True), chunk(tool_calls=[CALL]), chunk("tool_calls"), DONE), 4)


def test_a_completions_text_is_counted() -> None:
    piece = {"id": "c", "object": "text_completion", "created": 7, "model": "m"}
    choices = [{"index": 0, "text": TEXT, "finish_reason": "stop"}]
    event = b"data: " + json.dumps({**piece, "choices": choices}).encode() + b"\n\n"
    asked = {"model": "m", "prompt": "x" * 420}
    about(counted(Stage(repair=True), event, DONE, body=asked, path="/v1/completions"), 14)


@pytest.mark.parametrize("repair", [False, True])
def test_a_documents_texts_are_counted(repair: bool) -> None:
    stage = Stage(repair=repair)
    stage.ask(ASKED)
    stage.call.head(200, JSON).body(whole(tool_calls=[CALL]), True)
    about(stage.record().usage, 18)


@pytest.mark.parametrize("repair", [False, True])
def test_a_document_that_tells_its_counts_is_believed(repair: bool) -> None:
    stage = Stage(repair=repair)
    stage.ask(ASKED)
    stage.call.head(200, JSON).body(whole()[:-1] + b', "usage": ' + json.dumps(COUNTS).encode() + b"}", True)
    usage = stage.record().usage
    assert usage is not None
    assert (usage.source, usage.input_total, usage.output_total) == ("provider", 1, 2)


def test_a_stream_that_tells_its_counts_is_believed() -> None:
    last = b'data: {"choices": [], "usage": ' + json.dumps(COUNTS).encode() + b"}\n\n"
    usage = counted(Stage(repair=True), chunk(content=TEXT), chunk("stop"), last, DONE)
    assert usage is not None
    assert (usage.source, usage.input_total, usage.output_total) == ("provider", 1, 2)


def test_of_a_request_with_an_image_nobody_says_what_it_takes() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"pixels" * 9000).decode()
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    usage = counted(Stage(repair=True), chunk(content=TEXT), chunk("stop"), DONE, body=body)
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (None, 14)


def test_what_came_before_a_client_left_is_counted() -> None:
    stage = Stage(repair=True)
    client = stage.ask({**ASKED, "stream": True})
    stage.call.head(200, SSE).body(chunk(content=TEXT))
    client.settle()
    assert stage.record().outcome == "client_gone"
    about(stage.record().usage, 14)


TOLD = b'data: {"choices": [], "usage": ' + json.dumps(COUNTS).encode() + b"}\n\n"


def spoken(stage: Stage, *pieces: bytes, **more: Any) -> Usage | None:
    """Return the usage in the record of one more stream of these pieces, which go on as they came."""
    stage.ask({**ASKED, "stream": True, **more})
    stage.call.head(200, SSE)
    for piece in pieces:
        stage.call.body(piece)
    stage.call.body(b"", True)
    usage = stage.records[-1].usage
    return usage


TEXTS = [chunk(content=TEXT[at : at + 14]) for at in range(0, len(TEXT), 14)]


def test_a_stream_that_goes_on_as_it_came_is_counted_until_its_provider_has_told_counts() -> None:
    stage = Stage()
    about(spoken(stage, *TEXTS, chunk("stop"), DONE), 14)
    about(spoken(stage, *TEXTS, chunk("stop"), DONE), 14)
    told = spoken(stage, *TEXTS, chunk("stop"), TOLD, DONE)
    assert told is not None
    assert (told.source, told.input_total, told.output_total) == ("provider", 1, 2)
    # From now on nobody looks into what this model's streams say.
    assert spoken(stage, *TEXTS, chunk("stop"), DONE) is None
    about(spoken(stage, *TEXTS, chunk("stop"), DONE, stream_options={"include_usage": True}), 14)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_counted_does_not_depend_on_how_the_bytes_come(size: int) -> None:
    stream = b"".join([*TEXTS, chunk(reasoning="\u00e9\u00e8" * 20), chunk(tool_calls=[CALL]), chunk("stop"), DONE])
    usage = spoken(Stage(), *(stream[at : at + size] for at in range(0, len(stream), size)))
    assert usage is not None
    assert (usage.source, usage.output_total) == ("counted", 28)


def test_a_text_that_looks_like_a_field_is_none() -> None:
    quoted = 'the field "content": "' + "x" * 378
    about(spoken(Stage(), chunk(content=quoted), chunk("stop"), DONE), 100)


def test_a_line_without_an_end_is_counted_in_pieces() -> None:
    stream = chunk(content="x" * 1000).removesuffix(b"\n\n") + b" " * 100_000
    usage = spoken(Stage(), stream, b"\n\n" + chunk("stop"), DONE)
    about(usage, 250)


def test_a_string_that_is_none_is_counted_by_its_length() -> None:
    usage = spoken(Stage(), b'data: {"content": "\\q' + b"x" * 38 + b'"}\n\n', *TEXTS, chunk("stop"), DONE)
    about(usage, 24)


def test_nothing_is_counted_of_an_answer_that_is_an_error() -> None:
    stage = Stage(repair=True)
    stage.ask(ASKED)
    stage.call.head(400, JSON).body(b'{"error": {"message": "no"}}', True)
    assert stage.record().usage is None


@pytest.mark.parametrize(
    "answer", [b"[]", b'{"choices": 7}', b'{"choices": [7, {"message": 7}, {"message": {"tool_calls": [7, {}]}}]}']
)
def test_what_is_no_answer_breaks_no_count(answer: bytes) -> None:
    stage = Stage()
    stage.ask(ASKED)
    stage.call.head(200, JSON).body(answer, True)
    assert stage.record().usage is None


def test_texts_that_are_none_are_passed_on_as_they_came() -> None:
    stage = Stage(repair=True)
    odd = chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])
    client = stage.ask({**ASKED, "stream": True})
    stage.call.head(200, SSE).body(chunk(role="assistant", content=None)).body(odd).body(chunk("stop") + DONE, True)
    assert odd in client.heard()
