"""Anthropic's answers as event filters see them, and as they are written again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from netrunner import sse
from netrunner.dialects.anthropic.events import EventCodec
from netrunner.errors import InternalError, UpstreamError
from netrunner.events import (
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    Start,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)

MAX = 1 << 16
USAGE = {"input_tokens": 1, "output_tokens": 2}

START: dict[str, Any] = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": USAGE, "new": 1}}
STOP: dict[str, Any] = {"type": "message_stop"}


def opens(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def piece(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def closes(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ends(reason: str = "end_turn") -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": USAGE}


def text(index: int, *texts: str) -> list[dict[str, Any]]:
    return [opens(index, "text", text=""), *(piece(index, "text_delta", text=one) for one in texts), closes(index)]


def frames(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"event: " + one["type"].encode() + b"\ndata: " + sse.compact(one) + b"\n\n" for one in documents)


Change = Callable[[Event], Sequence[Event]]


def leave(event: Event) -> Sequence[Event]:
    return (event,)


def filtered(data: bytes, change: Change, streaming: bool = True) -> bytes:
    """Return an answer as it is written when a filter changes each event."""
    codec = EventCodec(streaming, MAX)
    chunks = [*codec.feed(data, False), *codec.feed(b"", True)]
    assert codec.complete
    return b"".join(codec.write(one, [new for event in one.events for new in change(event)]) for one in chunks)


def documents(data: bytes) -> list[dict[str, Any]]:
    told = sse.Reader().feed(data)
    found: list[dict[str, Any]] = [json.loads(one.data) for one in told]
    assert [one.name for one in told] == [one["type"].encode() for one in found]
    return found


def blocks(data: bytes) -> list[dict[str, Any]]:
    """Return the blocks of a stream as an accumulator of a client has them; it insists on their order."""
    content: list[dict[str, Any]] = []
    open_ones: set[int] = set()
    for one in documents(data):
        index = one.get("index")
        if one["type"] == "content_block_start":
            assert index == len(content)
            content.append(dict(one["content_block"]))
            open_ones.add(index)
        elif one["type"] == "content_block_delta":
            assert index in open_ones
            for field, value in one["delta"].items():
                if field != "type" and isinstance(value, str):
                    content[index][field] = content[index].get(field, "") + value
        elif one["type"] == "content_block_stop":
            open_ones.remove(one["index"])
        else:
            assert not open_ones
    return content


STREAM = frames(
    START,
    opens(0, "thinking", thinking="", signature=""),
    piece(0, "thinking_delta", thinking="hm"),
    piece(0, "signature_delta", signature="s1"),
    closes(0),
    opens(1, "server_tool_use", id="srv", name="web_search", input={}),
    piece(1, "input_json_delta", partial_json="{}"),
    closes(1),
    *text(2, "Hello ", "secret", " world"),
    {"type": "new_event", "x": 1},
    opens(3, "tool_use", id="t1", name="f", input={}),
    piece(3, "input_json_delta", partial_json='{"a":1}'),
    closes(3),
    opens(4, "tool_use", id="t2", name="g", input={}),
    closes(4),
    ends("tool_use"),
    STOP,
)


def test_an_answer_that_no_filter_changes_keeps_its_bytes() -> None:
    assert filtered(STREAM, leave) == STREAM


def test_an_answer_is_read_the_same_split_at_each_position() -> None:
    for at in range(0, len(STREAM), 7):
        codec = EventCodec(True, MAX)
        chunks = [*codec.feed(STREAM[:at], False), *codec.feed(STREAM[at:], True)]
        assert b"".join(codec.write(one, one.events) for one in chunks) == STREAM


def test_filters_see_block_events_and_the_finish_before_the_mark_that_ends() -> None:
    codec = EventCodec(True, MAX)
    chunks = codec.feed(STREAM, True)
    kinds = [type(event) for one in chunks for event in one.events]
    assert kinds[:2] == [Start, UsageSeen]
    assert kinds[-2:] == [UsageSeen, Finish]
    assert [one.finishes for one in chunks[-3:]] == [False, True, False]
    assert [one.done for one in chunks[-2:]] == [False, True]
    assert chunks[2].native == piece(0, "thinking_delta", thinking="hm")


def test_unnamed_events_comments_and_marks_of_others_are_put_right() -> None:
    unnamed = b": hi\n\n" + b"".join(
        b"id: 1\r\nretry: 5\r\ndata:" + sse.compact(one) + b"\r\n\r\n" for one in documents(STREAM)
    )
    assert filtered(unnamed + b"data: [DONE]\n\n", leave) == STREAM
    pretty = STREAM.replace(b'data: {"type":"message_stop"}', b'data: {"type":\ndata: "message_stop"}')
    assert filtered(pretty, leave) == STREAM
    assert filtered(STREAM.replace(b'{"type":"message_stop"}', b"{}"), leave) == STREAM


def test_letters_that_end_lines_for_some_are_escaped() -> None:
    data = frames(START, *text(0, "x"), ends(), STOP).replace(b'"x"', '"a\u2028b"'.encode())
    assert b"a\\u2028b" in filtered(data, leave)


def test_usage_that_accumulators_need_is_there() -> None:
    data = frames(
        {"type": "message_start", "message": {}}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    )
    told = documents(filtered(data, leave))
    assert told[0]["message"]["usage"]["output_tokens"] == told[1]["usage"]["output_tokens"] == 0
    assert told[2:] == [STOP]


def test_what_comes_after_the_finish_is_left_out_or_the_lanes_to_judge() -> None:
    data = frames(START, ends(), *text(0, "late"), STOP, STOP, closes(0))
    assert filtered(data, leave) == frames(START, ends(), STOP)


def test_a_changed_text_lands_in_its_place() -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, TextDelta):
            new = event.text.replace("secret", "")
            return [msgspec.structs.replace(event, text=new)] if new else []
        return (event,)

    out = filtered(STREAM, change)
    assert blocks(out)[2] == {"type": "text", "text": "Hello  world"}
    assert out == STREAM.replace(frames(piece(2, "text_delta", text="secret")), b"")


def test_a_changed_text_keeps_what_else_its_event_says() -> None:
    delta = piece(0, "text_delta", text="a", extra=1)
    data = frames(START, opens(0, "text", text="a"), delta, closes(0), ends(), STOP)

    def change(event: Event) -> Sequence[Event]:
        return [msgspec.structs.replace(event, text="b")] if isinstance(event, TextDelta) else (event,)

    out = documents(filtered(data, change))
    assert out[1] == opens(0, "text", text="b")
    assert out[2] == piece(0, "text_delta", text="b", extra=1)


def test_text_that_was_held_back_comes_before_the_end_of_its_block() -> None:
    held: list[Event] = []

    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, TextDelta):
            held.append(event)
            return ()
        if type(event).__name__ == "BlockClose" and held:
            return (*held, event)
        return (event,)

    data = frames(START, *text(0, "a", "b"), ends(), STOP)
    assert blocks(filtered(data, change)) == [{"type": "text", "text": "ab"}]


def test_text_without_an_open_block_becomes_a_block_of_its_own_before_the_finish() -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, Finish):
            return TextDelta(text="bye"), TextDelta(text=" now"), TextDelta(text="!", index=9), event
        return (event,)

    out = filtered(frames(START, *text(0, "a"), ends(), STOP), change)
    assert blocks(out) == [{"type": "text", "text": one} for one in ("a", "bye now", "!")]
    assert documents(out)[-2:] == [ends(), STOP]


def test_text_at_the_beginning_moves_the_blocks_that_follow() -> None:
    def change(event: Event) -> Sequence[Event]:
        return (event, ReasoningDelta(text="x", index=7)) if isinstance(event, Start) else (event,)

    out = filtered(frames(START, *text(0, "a"), *text(1, "b"), ends(), STOP), change)
    assert blocks(out) == [
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


def test_text_for_the_last_event_comes_before_it() -> None:
    codec = EventCodec(True, MAX)
    last = codec.feed(frames(START, ends(), STOP), True)[-1]
    assert [one["type"] for one in documents(codec.write(last, [TextDelta(text="x")]))] == [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_stop",
    ]


def test_a_block_that_a_filter_drops_leaves_no_gap() -> None:
    def change(event: Event) -> Sequence[Event]:
        index = getattr(event, "index", None)
        return () if index in (0, 2) else (event,)

    content = blocks(filtered(STREAM, change))
    assert [one["type"] for one in content] == ["server_tool_use", "text", "tool_use"]
    assert [one["type"] for one in blocks(filtered(STREAM, leave))] == [
        "thinking",
        "server_tool_use",
        "text",
        "tool_use",
        "tool_use",
    ]


def test_a_call_may_get_another_name_and_other_arguments() -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL:
            return [msgspec.structs.replace(event, tool_name=f"x_{event.tool_name}")]
        if isinstance(event, BlockOpen):
            return [msgspec.structs.replace(event)]
        if isinstance(event, ToolArgs):
            return [msgspec.structs.replace(event, fragment='{"b":2}')]
        return (event,)

    calls = [one for one in blocks(filtered(STREAM, change)) if one["type"] == "tool_use"]
    assert [(one["name"], one["partial_json"]) for one in calls] == [("x_f", '{"b":2}'), ("x_g", '{"b":2}')]
    content = json.loads(filtered(WHOLE, change, streaming=False))["content"]
    assert (content[3]["name"], content[3]["input"]) == ("x_f", {"b": 2})


def test_a_finish_may_be_another_one() -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, Finish):
            return [msgspec.structs.replace(event, kind=FinishKind.STOP_SEQUENCE, stop_sequence="END")]
        return (event,)

    out = documents(filtered(STREAM, change))
    assert out[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    assert json.loads(filtered(WHOLE, change, streaming=False))["stop_reason"] == "stop_sequence"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "made",
    [
        Signature(data="x"),
        StreamError(kind="x", message="x"),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=9),
        ToolArgs(fragment="{}", index=9),
        Finish(kind=FinishKind.ERROR),
    ],
)
def test_what_a_filter_may_not_make_is_an_error(made: Event, whole: bool) -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, Finish):
            return [made] if isinstance(made, Finish) else [made, event]
        return (event,)

    with pytest.raises(InternalError) as raised:
        filtered(WHOLE if whole else STREAM, change, streaming=not whole)
    assert raised.value.code == "filter_failed"


WHOLE = json.dumps(
    {
        "type": "message",
        "id": "msg_1",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "Hello secret", "citations": None},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            {"type": "container_upload", "file_id": "x"},
        ],
        "stop_reason": "tool_use",
        "usage": USAGE,
        "new": 1,
    }
).encode()


def test_a_whole_answer_that_no_filter_changes_keeps_its_bytes() -> None:
    assert filtered(WHOLE, leave, streaming=False) == WHOLE


def test_a_whole_answer_is_changed_in_its_places() -> None:
    def change(event: Event) -> Sequence[Event]:
        if isinstance(event, TextDelta):
            return [msgspec.structs.replace(event, text="Hello")]
        if isinstance(event, ReasoningDelta):
            return ()
        if isinstance(event, Finish):
            return TextDelta(text="bye", index=8), ReasoningDelta(text="x", index=9), event
        return (event,)

    found = json.loads(filtered(WHOLE, change, streaming=False))
    assert found["content"] == [
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "container_upload", "file_id": "x"},
        {"type": "text", "text": "bye"},
        {"type": "thinking", "thinking": "x", "signature": ""},
    ]
    assert found["new"] == 1


def test_a_whole_answer_loses_the_blocks_that_a_filter_drops_or_empties() -> None:
    def change(event: Event) -> Sequence[Event]:
        return () if isinstance(event, TextDelta) or getattr(event, "index", None) in (0, 3) else (event,)

    found = json.loads(filtered(WHOLE, change, streaming=False))
    assert [one["type"] for one in found["content"]] == ["redacted_thinking", "container_upload"]


def test_arguments_that_are_not_json_cannot_be_written() -> None:
    def change(event: Event) -> Sequence[Event]:
        return [msgspec.structs.replace(event, fragment="{")] if isinstance(event, ToolArgs) else (event,)

    with pytest.raises(InternalError):
        filtered(WHOLE, change, streaming=False)


@pytest.mark.parametrize("streaming", [True, False])
def test_an_error_stays_what_it_is(streaming: bool) -> None:
    told = {"type": "error", "error": {"type": "api_error", "message": "no"}}
    data = frames(START, told) if streaming else sse.compact(told)
    assert filtered(data, leave, streaming) == data
    added = filtered(
        data,
        lambda event: (TextDelta(text="x", index=1), event) if isinstance(event, StreamError) else (event,),
        streaming,
    )
    assert added.endswith(frames(told) if streaming else data)


def test_what_cannot_be_filtered_is_an_error() -> None:
    for streaming, data in ((True, b"data: {\n\n"), (False, b"{"), (True, b"x" * MAX * 2), (False, b"x" * MAX * 2)):
        with pytest.raises(UpstreamError):
            EventCodec(streaming, MAX).feed(data, True)


def test_a_stream_that_was_cut_is_not_complete() -> None:
    codec = EventCodec(True, MAX)
    codec.feed(frames(START, *text(0, "a")), True)
    assert not codec.complete
