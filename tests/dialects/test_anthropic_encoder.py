"""Block events written as Anthropic's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner import sse
from netrunner.dialects.anthropic.decoder import Decoder
from netrunner.dialects.anthropic.encoder import REASONS, Encoder
from netrunner.dialects.anthropic.serial import MAX_HELD
from netrunner.dialects.conversation import Asked, Conversation
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
)
from netrunner.values import Usage

ID = "0190f0a1-2b3c-7d4e-8f90-a1b2c3d4e5f6"
NO_COUNTS = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}


def encoder(stream: bool = True) -> Encoder:
    return Encoder(
        Asked(
            id=ID,
            model="my-model",
            endpoint="messages",
            stream=stream,
            wants_usage=True,
            at=0.0,
            elapsed_s=lambda: 0.0,
            request=Conversation(),
        )
    )


def finish(kind: FinishKind = FinishKind.STOP, **fields: Any) -> Finish:
    return Finish(kind=kind, **fields)


def streamed(*events: Event, batches: Sequence[Sequence[Event]] | None = None) -> list[dict[str, Any]]:
    """Return the documents of a stream, each of which has its own name."""
    writer = encoder()
    out = b"".join(writer.write(batch) for batch in (batches or [events])) + writer.end()
    assert out.endswith(b"\n\n")
    told = sse.Reader().feed(out)
    documents: list[dict[str, Any]] = [json.loads(one.data) for one in told]
    assert [one.name for one in told] == [one["type"].encode() for one in documents]
    assert out.count(b"\ndata: ") == len(documents)
    return documents


def whole(*events: Event) -> dict[str, Any]:
    writer = encoder(False)
    assert writer.write(events) == b""
    found: dict[str, Any] = json.loads(writer.end())
    return found


TEXT = (BlockOpen(kind=BlockKind.TEXT), TextDelta(text="Hi"), TextDelta(text=" there"), BlockClose())
CALLS = (
    BlockOpen(kind=BlockKind.TOOL_CALL, index=0, tool_id="c1", tool_name="f"),
    ToolArgs(fragment='{"a":', index=0),
    ToolArgs(fragment="1}", index=0),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=1, tool_id="c2", tool_name="g"),
    ToolArgs(fragment="", index=1),
    BlockClose(index=1),
)


def test_a_stream_has_its_whole_lifecycle() -> None:
    usage = UsageSeen(usage=Usage(input_total=10, output_total=5, cache_read=3, cache_write=2, reasoning=1))
    assert streamed(Start(id="x", model="theirs"), *TEXT, finish(), usage) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_0190f0a12b3c7d4e8f90a1b2c3d4e5f6",
                "type": "message",
                "role": "assistant",
                "model": "my-model",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 5,
                    "cache_creation_input_tokens": 2,
                    "cache_read_input_tokens": 3,
                    "output_tokens": 5,
                    "output_tokens_details": {"thinking_tokens": 1},
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 2,
                "cache_read_input_tokens": 3,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 1},
            },
        },
        {"type": "message_stop"},
    ]


def test_usage_that_comes_late_or_never_is_zero_until_then() -> None:
    told = streamed(batches=[[Start()], [finish()], [UsageSeen(usage=Usage(input_total=2, cache_read=5))]])
    assert told[0]["message"]["usage"] == NO_COUNTS
    assert told[1]["usage"] == {**NO_COUNTS, "cache_read_input_tokens": 5}
    assert streamed(finish())[1]["usage"] == NO_COUNTS


def test_an_empty_answer_has_a_beginning_and_an_end() -> None:
    assert [one["type"] for one in streamed(finish())] == ["message_start", "message_delta", "message_stop"]
    assert whole(finish())["content"] == []


def test_an_answer_that_is_no_stream_is_one_document() -> None:
    assert encoder(False).content_type == b"application/json"
    assert whole(Start(), *TEXT, UsageSeen(usage=Usage(input_total=1, output_total=2)), finish()) == {
        "id": "msg_0190f0a12b3c7d4e8f90a1b2c3d4e5f6",
        "type": "message",
        "role": "assistant",
        "model": "my-model",
        "content": [{"type": "text", "text": "Hi there"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**NO_COUNTS, "input_tokens": 1, "output_tokens": 2},
    }


def test_calls_begin_with_an_empty_input_and_their_arguments_follow() -> None:
    told = streamed(*CALLS, finish(FinishKind.TOOL_CALLS))
    assert [one for one in told if one["type"].startswith("content")] == [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
        },
        {"type": "content_block_stop", "index": 1},
    ]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    assert whole(*CALLS, finish(FinishKind.TOOL_CALLS))["content"] == [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
    ]


def interleaved() -> list[list[Event]]:
    """Return three calls whose pieces come in turns, each on its own."""
    pieces: list[Event] = [
        BlockOpen(kind=BlockKind.TOOL_CALL, index=0, tool_id="c0", tool_name="f"),
        ToolArgs(fragment='{"a"', index=0),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=1, tool_id="c1", tool_name="f"),
        ToolArgs(fragment='{"b"', index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="c2", tool_name="f"),
        ToolArgs(fragment=":2}", index=1),
        ToolArgs(fragment='{"c":3}', index=2),
        BlockClose(index=1),
        ToolArgs(fragment=":1}", index=0),
    ]
    return [*([one] for one in pieces), [Finish(kind=FinishKind.TOOL_CALLS)]]


def test_calls_that_come_at_once_are_written_one_after_the_other() -> None:
    told = streamed(batches=interleaved())
    assert [one["index"] for one in told if "index" in one] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    content = whole(*(event for batch in interleaved() for event in batch))["content"]
    assert [(one["id"], one["input"]) for one in content] == [("c0", {"a": 1}), ("c1", {"b": 2}), ("c2", {"c": 3})]


def test_any_number_of_calls_may_wait() -> None:
    opened: list[Event] = []
    for number in range(1000):
        opened.append(BlockOpen(kind=BlockKind.TOOL_CALL, index=number, tool_id=f"c{number}", tool_name="f"))
        opened.append(ToolArgs(fragment="{", index=number))
    told = streamed(*opened, finish(FinishKind.TOOL_CALLS))
    indexes = [one["index"] for one in told if "index" in one]
    assert indexes == [number for number in range(1000) for _ in range(3)]


def test_calls_that_wait_are_bounded() -> None:
    writer = encoder()
    writer.write([event for batch in interleaved()[:4] for event in batch])
    with pytest.raises(UpstreamError) as raised:
        writer.write([ToolArgs(fragment="x" * MAX_HELD, index=1)])
    assert raised.value.code == "answer_too_large"


def test_calls_without_an_id_get_one_of_their_own() -> None:
    opened = [BlockOpen(kind=BlockKind.TOOL_CALL, index=n) for n in range(2)]
    content = whole(*opened, finish(FinishKind.TOOL_CALLS))["content"]
    assert [(one["id"], one["name"]) for one in content] == [
        ("toolu_0190f0a12b3c7d4e8f900001", ""),
        ("toolu_0190f0a12b3c7d4e8f900002", ""),
    ]


def test_calls_that_end_an_answer_must_be_there() -> None:
    assert whole(*TEXT, finish(FinishKind.TOOL_CALLS))["stop_reason"] == "end_turn"


@pytest.mark.parametrize("arguments", ['{"a"', "[1]", "1"])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        whole(BlockOpen(kind=BlockKind.TOOL_CALL), ToolArgs(fragment=arguments), finish(FinishKind.TOOL_CALLS))
    assert raised.value.code == "upstream_invalid_response"


def test_a_call_that_the_end_has_cut_is_no_call() -> None:
    found = whole(
        *TEXT,
        BlockOpen(kind=BlockKind.TOOL_CALL, index=1),
        ToolArgs(fragment='{"a', index=1),
        finish(FinishKind.LENGTH),
    )
    assert [one["type"] for one in found["content"]] == ["text"]


def test_thinking_is_written_with_its_seal() -> None:
    events = (
        BlockOpen(kind=BlockKind.REASONING),
        ReasoningDelta(text="hm"),
        Signature(data="anthropic-claude-v1:s1"),
        BlockClose(),
        BlockOpen(kind=BlockKind.REDACTED, index=1),
        Signature(data="anthropic-claude-v1:d1", index=1),
        Signature(data="anthropic-claude-v1:d2", index=1),
        BlockClose(index=1),
        *(msgspec.structs.replace(one, index=2) for one in TEXT),
        finish(),
    )
    assert [one for one in streamed(*events) if one["type"].startswith("content")][:5] == [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s1"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "d1"}},
    ]
    assert whole(*events)["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d1"},
        {"type": "text", "text": "Hi there"},
    ]


def test_a_seal_of_another_provider_says_its_format() -> None:
    content = whole(BlockOpen(kind=BlockKind.REASONING), Signature(data="google-gemini-v1:x"), finish())["content"]
    assert content == [{"type": "thinking", "thinking": "", "signature": "google-gemini-v1:x"}]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_a_calls_seal_goes_before_it_as_thinking_without_words(order: tuple[int, ...]) -> None:
    events = [
        BlockOpen(kind=BlockKind.TOOL_CALL, index=0, tool_id="c", tool_name="f"),
        ToolArgs(fragment="{}", index=0),
        Signature(data="google-gemini-v1:x", index=0),
    ]
    told = [events[at] for at in order]
    assert whole(*told, finish(FinishKind.TOOL_CALLS))["content"] == [
        {"type": "thinking", "thinking": "", "signature": "google-gemini-v1:x"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]
    indexes = [one["index"] for one in streamed(*told, finish(FinishKind.TOOL_CALLS)) if "index" in one]
    assert indexes == [0, 0, 0, 1, 1, 1]


def test_what_this_dialect_has_no_block_for_is_left_out_and_indexes_have_no_gaps() -> None:
    events = (
        BlockOpen(kind=BlockKind.REDACTED),
        BlockClose(),
        BlockOpen(kind=BlockKind.IMAGE, index=1),
        Signature(data="google-gemini-v1:x", index=1),
        BlockClose(index=1),
        BlockOpen(kind=BlockKind.TEXT, index=2),
        Signature(data="google-gemini-v1:x", index=2),
        TextDelta(text="", index=2),
        TextDelta(text="Hi", index=2),
        TextDelta(text="second", choice=1),
        finish(),
        finish(FinishKind.LENGTH, choice=1),
    )
    assert whole(*events)["content"] == [{"type": "text", "text": "Hi"}]
    told = streamed(*events)
    assert [one["index"] for one in told if "index" in one] == [0, 0, 0]
    assert told[-2]["delta"]["stop_reason"] == "end_turn"


def test_a_refusal_is_text() -> None:
    content = whole(BlockOpen(kind=BlockKind.REFUSAL), TextDelta(text="No."), finish())["content"]
    assert content == [{"type": "text", "text": "No."}]


def test_keepalives_are_pings() -> None:
    assert encoder().write([KeepAlive()]) == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(("kind", "reason"), [one for one in REASONS.items() if one[0] is not FinishKind.TOOL_CALLS])
def test_every_finish_has_its_word(kind: FinishKind, reason: str) -> None:
    assert whole(finish(kind, stop_sequence="END"))["stop_reason"] == reason
    assert streamed(finish(kind, stop_sequence="END"))[-2]["delta"] == {"stop_reason": reason, "stop_sequence": "END"}


@pytest.mark.parametrize("events", [(), TEXT, (finish(FinishKind.ERROR),)])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_an_end_is_never_given_one(events: tuple[Event, ...], stream: bool) -> None:
    writer = encoder(stream)
    writer.write(events)
    with pytest.raises(InternalError):
        writer.end()


def test_line_ends_of_other_alphabets_are_escaped() -> None:
    writer = encoder()
    out = writer.write([TextDelta(text="a\u2028b\u2029c\u0085d")])
    assert b"a\\u2028b\\u2029c\\u0085d" in out
    assert len(out.decode().splitlines()) == out.count(b"\n")


KINDS = [BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL]


@st.composite
def answers(draw: Any) -> list[Event]:
    """Return the events of one orderly answer."""
    events: list[Event] = [Start(id="i", model="m")]
    calls = 0
    for index, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=5))):
        if kind is BlockKind.TOOL_CALL:
            calls += 1
            events.append(BlockOpen(kind=kind, index=index, tool_id=f"c{index}", tool_name="f"))
            events.append(ToolArgs(fragment=json.dumps({"a": draw(st.text(max_size=5))}), index=index))
        else:
            events.append(BlockOpen(kind=kind, index=index))
            make = TextDelta if kind is BlockKind.TEXT else ReasoningDelta
            events += [
                make(text=one, index=index) for one in draw(st.lists(st.text(min_size=1, max_size=9), max_size=3))
            ]
        if kind is BlockKind.REASONING:
            events.append(Signature(data="anthropic-claude-v1:s", index=index))
        events.append(BlockClose(index=index))
    events.append(UsageSeen(usage=Usage(input_total=9, output_total=3, cache_read=1, cache_write=2)))
    return [*events, finish(FinishKind.TOOL_CALLS if calls else FinishKind.STOP)]


@given(answers(), st.booleans(), st.integers(1, 4))
def test_what_is_written_is_read_again_as_it_was(events: list[Event], stream: bool, size: int) -> None:
    writer = encoder(stream)
    batches = [events[at : at + size] for at in range(0, len(events), size)]
    out = b"".join(writer.write(batch) for batch in batches) + writer.end()
    told = Decoder(stream, 1 << 20).feed(out, True)
    assert said(told) == said(events)


def said(events: list[Event]) -> list[Any]:
    """Return what an answer says, however it was cut."""
    blocks: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, BlockOpen):
            blocks[event.index] = [event.kind, event.tool_id, event.tool_name, "", None]
        elif isinstance(event, (TextDelta, ReasoningDelta)):
            blocks[event.index][3] += event.text
        elif isinstance(event, ToolArgs):
            blocks[event.index][3] += event.fragment
        elif isinstance(event, Signature):
            blocks[event.index][4] = event.data
    for block in blocks.values():
        if block[0] is BlockKind.TOOL_CALL:
            block[3] = json.loads(block[3])
    counts = [event.usage for event in events if isinstance(event, UsageSeen)][-1]
    return [list(blocks.values()), counts, next(event.kind for event in events if isinstance(event, Finish))]
