"""Ollama's answers through event filters: the same bytes where nothing changed, the same document else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from netrunner.dialects.ollama.events import EventCodec
from netrunner.errors import InternalError, UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)

Change = Callable[[Event], list[Event]]
HEAD = {"model": "m", "created_at": "2026-11-26T12:00:00Z", "unknown": [1.5]}
CALLS = [
    {"id": "c1", "odd": 1, "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
    {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}},
]


def line(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def said(**message: Any) -> bytes:
    return line({**HEAD, "message": {"role": "assistant", **message}, "done": False})


LAST = line(
    {**HEAD, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 4}
)
STREAM = said(content="", thinking="hm") + said(content="Hé") + said(content="llo", tool_calls=CALLS) + LAST
COMPLETION = (
    line({**HEAD, "response": "", "thinking": "hm", "done": False})
    + line({**HEAD, "response": "Hi", "logprobs": [1], "done": False})
    + line({**HEAD, "response": "", "done": True, "done_reason": "stop"})
)


def same(event: Event) -> list[Event]:
    return [event]


def upper(event: Event) -> list[Event]:
    if isinstance(event, (TextDelta, ReasoningDelta)):
        return [msgspec.structs.replace(event, text=event.text.upper())]
    return [event]


def no_text(event: Event) -> list[Event]:
    return [] if isinstance(event, (TextDelta, ReasoningDelta)) else [event]


def written(stream: bytes, change: Change, endpoint: str = "chat", streaming: bool = True) -> bytes:
    codec = EventCodec(endpoint, streaming, 1 << 16)
    out = b""
    for chunk in codec.feed(stream, True):
        out += codec.write(chunk, [made for event in chunk.events for made in change(event)])
    assert codec.complete
    return out


def documents(stream: bytes, change: Change, endpoint: str = "chat") -> list[Any]:
    return [json.loads(one) for one in written(stream, change, endpoint).splitlines()]


@pytest.mark.parametrize(("stream", "endpoint"), [(STREAM, "chat"), (COMPLETION, "generate")])
def test_what_nobody_changes_keeps_its_bytes_however_it_is_cut(stream, endpoint):
    for at in range(len(stream)):
        codec = EventCodec(endpoint, True, 1 << 16)
        chunks = codec.feed(stream[:at], False) + codec.feed(stream[at:], True)
        assert b"".join(codec.write(chunk, list(chunk.events)) for chunk in chunks) == stream
        assert [chunk.finishes for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert not any(chunk.done for chunk in chunks)


def test_a_document_keeps_its_bytes():
    body = json.dumps(json.loads(LAST), indent=1).encode()
    assert written(body, same, streaming=False) == body


def test_changed_texts_land_where_the_old_ones_were():
    found = documents(STREAM, upper)
    assert [one["message"].get("thinking", one["message"]["content"]) for one in found] == ["HM", "HÉ", "LLO", ""]
    assert all(one["unknown"] == [1.5] for one in found)
    assert found[2]["message"]["tool_calls"] == CALLS
    completion = documents(COMPLETION, upper, "generate")
    assert [(one["response"], one.get("thinking")) for one in completion] == [("", "HM"), ("HI", None), ("", None)]
    assert "logprobs" not in completion[1]
    assert not any("message" in one for one in completion)


def test_a_chat_that_repeats_its_text_is_changed_in_both_places():
    stream = line({**HEAD, "message": {"role": "assistant", "content": "a"}, "response": "a", "done": False}) + LAST
    (first, _) = documents(stream, upper)
    assert (first["message"]["content"], first["response"]) == ("A", "A")


def test_lines_that_tell_nothing_any_more_are_left_out():
    found = documents(STREAM, no_text)
    assert [bool(one["message"].get("tool_calls")) for one in found] == [True, False]
    assert found[-1]["done"] is True
    assert len(documents(COMPLETION, no_text, "generate")) == 1


@pytest.mark.parametrize(
    ("stream", "endpoint", "content", "thinking"),
    [
        (LAST, "chat", lambda one: one["message"]["content"], lambda one: one["message"]["thinking"]),
        (
            line({**HEAD, "done": True}),
            "chat",
            lambda one: one["message"]["content"],
            lambda one: one["message"]["thinking"],
        ),
        (line({**HEAD, "done": True}), "generate", lambda one: one["response"], lambda one: one["thinking"]),
    ],
)
def test_what_filters_held_back_lands_in_the_last_line(stream, endpoint, content, thinking):
    def held(event: Event) -> list[Event]:
        return (
            [TextDelta(text="a"), ReasoningDelta(text="b"), TextDelta(text="c"), event]
            if isinstance(event, Finish)
            else [event]
        )

    (last,) = documents(stream, held, endpoint)
    assert (content(last), thinking(last)) == ("ac", "b")


def test_calls_are_removed_renamed_and_rewritten():
    def change(event: Event) -> list[Event]:
        if getattr(event, "index", None) == 3 and isinstance(event, (BlockOpen, ToolArgs, BlockClose)):
            return []
        if isinstance(event, BlockOpen) and event.tool_name == "f":
            return [msgspec.structs.replace(event, tool_name="h")]
        if isinstance(event, ToolArgs):
            return [ToolArgs(fragment='{"b"', index=event.index), ToolArgs(fragment=":2}", index=event.index)]
        return [event]

    (call,) = documents(STREAM, change)[2]["message"]["tool_calls"]
    assert call == {"id": "c1", "odd": 1, "function": {"index": 0, "name": "h", "arguments": {"b": 2}}}


def test_calls_that_are_all_removed_leave_nothing():
    found = documents(STREAM, lambda event: [] if getattr(event, "index", 0) > 1 else [event])
    assert "tool_calls" not in found[2]["message"]


def test_a_finish_may_have_another_reason():
    found = documents(STREAM, lambda one: [Finish(kind=FinishKind.LENGTH)] if isinstance(one, Finish) else [one])
    assert found[-1]["done_reason"] == "length"


@pytest.mark.parametrize(
    "made",
    [
        Signature(data="x"),
        StreamError(kind="upstream_error", message="x"),
        Finish(kind=FinishKind.STOP),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=9, tool_name="x"),
        ToolArgs(fragment="[", index=2),
        ToolArgs(fragment="[1]", index=2),
    ],
)
def test_what_cannot_be_written_is_the_filters_fault(made):
    def change(event: Event) -> list[Event]:
        if isinstance(event, ToolArgs):
            return [made] if isinstance(made, ToolArgs) else [event, made]
        return [event]

    with pytest.raises(InternalError) as caught:
        written(STREAM, change)
    assert caught.value.code == "filter_failed"


def test_an_error_is_no_finish():
    with pytest.raises(InternalError):
        written(STREAM, lambda event: [Finish(kind=FinishKind.ERROR)] if isinstance(event, Finish) else [event])


def test_a_whole_answer_is_changed_in_its_place():
    found = json.loads(written(said(content="Hi").replace(b"false", b"true"), upper, streaming=False))
    assert (found["message"]["content"], found["unknown"]) == ("HI", [1.5])


def test_an_error_line_ends_the_answer_and_stays():
    error = line({"error": "x", "odd": 1})
    codec = EventCodec("chat", True, 1 << 16)
    (chunk,) = codec.feed(error, True)
    assert (chunk.finishes, codec.complete, codec.write(chunk, list(chunk.events))) == (True, True, error)
    assert json.loads(codec.write(chunk, [])) == {"error": "x", "odd": 1}


def test_counts_stay_whatever_a_filter_drops():
    found = documents(STREAM, lambda event: [] if isinstance(event, UsageSeen) else [event])
    assert found[-1]["eval_count"] == 4


def test_what_follows_the_end_could_not_be_seen_and_is_refused():
    with pytest.raises(UpstreamError):
        written(STREAM + LAST, same)


def test_an_unfinished_stream_is_not_complete():
    codec = EventCodec("chat", True, 1 << 16)
    codec.feed(said(content="x"), True)
    assert not codec.complete


@pytest.mark.parametrize("stream", [b"nonsense\n", b'{"x":"' + b"x" * (1 << 17)])
def test_what_cannot_be_read_is_refused(stream):
    with pytest.raises(UpstreamError):
        written(stream, same)
