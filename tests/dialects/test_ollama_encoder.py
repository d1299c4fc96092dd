"""Block events written as Ollama's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.conversation import Asked, Conversation, Embedding
from netrunner.dialects.ollama.decoder import Decoder
from netrunner.dialects.ollama.dialect import OllamaDialect
from netrunner.errors import InternalError, UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Signature,
    Start,
    TextDelta,
    ToolArgs,
    UsageSeen,
    Vectors,
)
from netrunner.values import Usage

STOP = Finish(kind=FinishKind.STOP, reason="end_turn")
SAID: list[Event] = [
    Start(id="x", model="theirs"),
    BlockOpen(kind=BlockKind.REASONING),
    ReasoningDelta(text="Hm"),
    Signature(data="anthropic-claude-v1:s"),
    BlockClose(),
    BlockOpen(kind=BlockKind.TEXT, index=1),
    TextDelta(text="Hé", index=1),
    TextDelta(text="llo", index=1),
    BlockClose(index=1),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="t1", tool_name="f"),
    ToolArgs(fragment='{"a"', index=2),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_name="g"),
    ToolArgs(fragment=":1}", index=2),
    BlockClose(index=3),
    BlockClose(index=2),
    UsageSeen(usage=Usage(input_total=3)),
    UsageSeen(usage=Usage(output_total=4)),
    Finish(kind=FinishKind.TOOL_CALLS),
]


class Times:
    """Seconds since the exchange began; each look is a quarter later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def encoder(endpoint: str = "chat", stream: bool = True, elapsed_s: Any = None) -> Any:
    request = Embedding(inputs=("a",)) if endpoint.startswith("embed") else Conversation()
    asked = Asked(
        id="0199-ab",
        model="ours",
        endpoint=endpoint,
        stream=stream,
        wants_usage=False,
        at=1_800_000_000.0,
        elapsed_s=elapsed_s or Times(),
        request=request,
    )
    return OllamaDialect().encoder(asked)


def lines(events: list[Event], **more: Any) -> list[Any]:
    """Return what is written of events that come one by one."""
    writer = encoder(**more)
    written = b"".join(writer.write([event]) for event in events) + writer.end()
    assert written.endswith(b"\n")
    return [json.loads(line) for line in written.decode().splitlines()]


def document(events: list[Event], **more: Any) -> Any:
    writer = encoder(stream=False, **more)
    assert writer.write(events) == b""
    return json.loads(writer.end())


def test_a_chat_is_a_line_for_each_piece():
    found = lines(SAID)
    assert [one["message"] for one in found] == [
        {"role": "assistant", "content": "", "thinking": "Hm"},
        {"role": "assistant", "content": "Hé"},
        {"role": "assistant", "content": "llo"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_0199ab_0", "function": {"index": 0, "name": "g", "arguments": {}}}],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "t1", "function": {"index": 1, "name": "f", "arguments": {"a": 1}}}],
        },
        {"role": "assistant", "content": ""},
    ]
    assert {one["model"] for one in found} == {"ours"}
    assert [one["done"] for one in found] == [False] * 5 + [True]
    assert found[0]["created_at"] == "2027-01-15T08:00:00.500Z"
    assert found[0].keys() == {"model", "created_at", "message", "done"}


def test_the_last_line_tells_reason_counts_and_times_that_add_up():
    last = lines(SAID)[-1]
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 3, 4)
    assert last["prompt_eval_duration"] == 250_000_000
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"]
    assert last["load_duration"] == 0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("elapsed_s", [0.0, 1e-9, 1e9])
def test_no_time_that_clients_divide_by_is_zero(stream, elapsed_s):
    writer = encoder(stream=stream, elapsed_s=lambda: elapsed_s)
    writer.write([TextDelta(text="x"), STOP])
    last = json.loads(writer.end())
    times = last["total_duration"], last["prompt_eval_duration"], last["eval_duration"]
    assert all(isinstance(one, int) and one > 0 for one in times)
    assert times[0] == times[1] + times[2]


def test_counts_that_nobody_told_are_left_out():
    last = lines([STOP])[-1]
    assert not {"prompt_eval_count", "eval_count"} & last.keys()


def test_an_empty_answer_is_one_last_line():
    (last,) = lines([Start(), STOP])
    assert (last["message"], last["done"], last["done_reason"]) == ({"role": "assistant", "content": ""}, True, "stop")


def test_a_keepalive_is_an_empty_piece():
    found = lines([Start(), KeepAlive(), STOP])
    assert found[0]["message"] == {"role": "assistant", "content": ""}
    assert found[0]["done"] is False
    assert document([KeepAlive(), STOP])["message"] == {"role": "assistant", "content": ""}


def test_a_completion_has_its_pieces_beside_everything_else():
    found = lines(SAID, endpoint="generate")
    assert [one["response"] for one in found] == ["", "Hé", "llo", "", "", ""]
    assert (found[0]["thinking"], found[4]["tool_calls"][0]["id"]) == ("Hm", "t1")
    assert not any("message" in one for one in found)
    assert found[-1]["done"] is True


def test_an_answer_that_is_no_stream_is_one_document():
    found = document(SAID)
    assert found["message"] == {
        "role": "assistant",
        "content": "Héllo",
        "thinking": "Hm",
        "tool_calls": [
            {"id": "call_0199ab_0", "function": {"index": 0, "name": "g", "arguments": {}}},
            {"id": "t1", "function": {"index": 1, "name": "f", "arguments": {"a": 1}}},
        ],
    }
    assert (found["model"], found["done"], found["done_reason"], found["eval_count"]) == ("ours", True, "stop", 4)
    completion = document(SAID, endpoint="generate")
    assert (completion["response"], completion["thinking"], len(completion["tool_calls"])) == ("Héllo", "Hm", 2)


@pytest.mark.parametrize("endpoint", ["chat", "generate"])
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_written_is_read_again(endpoint, stream):
    writer = encoder(endpoint=endpoint, stream=stream)
    written = writer.write(SAID) + writer.end()
    events = Decoder(endpoint, stream, 1 << 20).feed(written, True)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Héllo"
    assert [event.tool_name for event in events if isinstance(event, BlockOpen) and event.tool_name] == ["g", "f"]
    assert [event.usage for event in events if isinstance(event, UsageSeen)] == [Usage(input_total=3, output_total=4)]
    assert isinstance(events[-1], Finish)
    assert events[-1].kind is FinishKind.TOOL_CALLS


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FinishKind.STOP, "stop"),
        (FinishKind.STOP_SEQUENCE, "stop"),
        (FinishKind.LENGTH, "length"),
        (FinishKind.CONTEXT_FULL, "length"),
        (FinishKind.TOOL_CALLS, "stop"),
        (FinishKind.CONTENT_FILTER, "stop"),
        (FinishKind.PAUSE, "stop"),
    ],
)
def test_every_finish_has_a_word(kind, reason):
    assert lines([Finish(kind=kind)])[-1]["done_reason"] == reason


def test_an_error_is_no_end_of_an_answer():
    with pytest.raises(InternalError):
        encoder().write([Finish(kind=FinishKind.ERROR)])


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_nothing_has_finished_has_no_end(stream):
    writer = encoder(stream=stream)
    writer.write([TextDelta(text="x")])
    with pytest.raises(InternalError):
        writer.end()


def call(fragment: str) -> list[Event]:
    return [
        BlockOpen(kind=BlockKind.TOOL_CALL, tool_id="t", tool_name="f"),
        ToolArgs(fragment=fragment),
        BlockClose(),
    ]


@pytest.mark.parametrize("fragment", ['{"a":', "[1]", "7", "[" * 5000])
def test_a_call_whose_arguments_are_no_object_is_an_error(fragment):
    with pytest.raises(UpstreamError) as caught:
        encoder().write([*call(fragment), Finish(kind=FinishKind.TOOL_CALLS)])
    assert caught.value.code == "upstream_invalid_response"


@pytest.mark.parametrize("kind", [FinishKind.LENGTH, FinishKind.CONTEXT_FULL, FinishKind.CONTENT_FILTER])
def test_a_call_that_a_limit_has_cut_off_is_left_out(kind):
    found = document([TextDelta(text="So", index=9), *call('{"a":'), Finish(kind=kind)])
    assert found["message"] == {"role": "assistant", "content": "So"}


@pytest.mark.parametrize("fragment", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(fragment):
    found = document([*call(fragment), Finish(kind=FinishKind.TOOL_CALLS)])
    assert found["message"]["tool_calls"][0]["function"]["arguments"] == {}


def test_only_the_first_choice_is_written():
    events = [
        TextDelta(text="one"),
        TextDelta(text="two", choice=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, choice=1, index=1, tool_id="t", tool_name="f"),
        Finish(kind=FinishKind.LENGTH, choice=1),
        STOP,
    ]
    found = document(events)
    assert (found["message"]["content"], found["done_reason"]) == ("one", "stop")
    assert "tool_calls" not in found["message"]


def test_a_refusal_is_text_and_what_has_no_place_is_left_out():
    events = [
        BlockOpen(kind=BlockKind.REDACTED),
        Signature(data="anthropic-claude-v1:s"),
        BlockOpen(kind=BlockKind.REFUSAL, index=1),
        TextDelta(text="No", index=1),
        TextDelta(text="", index=1),
        STOP,
    ]
    assert [one["message"]["content"] for one in lines(events)] == ["No", ""]


def test_a_line_is_one_for_every_client():
    (first, _) = lines([TextDelta(text="a\u2028b\u0085c\nd"), STOP])
    assert first["message"]["content"] == "a\u2028b\u0085c\nd"


def test_the_type_of_the_answer_tells_whether_it_is_a_stream():
    assert encoder().content_type == b"application/x-ndjson"
    assert encoder(stream=False).content_type == b"application/json; charset=utf-8"
    assert encoder("embed", stream=False).content_type == b"application/json; charset=utf-8"


EMBEDDED: list[Event] = [Start(), Vectors(vectors=[[1.0, 2.0], [3.0]]), UsageSeen(usage=Usage(input_total=5))]


def test_embeddings_are_written_in_both_ways():
    found = document(EMBEDDED, endpoint="embed")
    assert (found["model"], found["embeddings"], found["prompt_eval_count"]) == ("ours", [[1, 2], [3]], 5)
    assert found["total_duration"] > 0
    assert document(EMBEDDED, endpoint="embeddings") == {"embedding": [1, 2]}
    assert document([], endpoint="embeddings") == {"embedding": []}
    assert "prompt_eval_count" not in document(EMBEDDED[:2], endpoint="embed")
