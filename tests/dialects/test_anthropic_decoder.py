"""Anthropic's answers read as block events."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.answers import MAX_BLOCKS, last_usage
from netrunner.dialects.anthropic.decoder import FINISHES, Decoder
from netrunner.errors import UpstreamError
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
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage

MAX = 1 << 16


def frames(*documents: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + one["type"].encode() + b"\ndata: " + json.dumps(one).encode() + b"\n\n" for one in documents
    )


def began(**usage: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    return {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}


def opens(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def piece(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def closes(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ends(reason: str | None, sequence: str | None = None, **usage: Any) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": sequence}
    return {"type": "message_delta", "delta": delta, "usage": usage}


STOP = {"type": "message_stop"}

DOCUMENTS: list[dict[str, Any]] = [
    began(input_tokens=10, cache_read_input_tokens=3, cache_creation_input_tokens=2, output_tokens=1),
    opens(0, "thinking", thinking="", signature=""),
    {"type": "ping"},
    piece(0, "thinking_delta", thinking="hm … "),
    piece(0, "thinking_delta", thinking="so"),
    piece(0, "signature_delta", signature="se"),
    piece(0, "signature_delta", signature="aled"),
    closes(0),
    opens(1, "redacted_thinking", data="secret"),
    closes(1),
    opens(2, "server_tool_use", id="srv", name="web_search", input={}),
    piece(2, "input_json_delta", partial_json="{}"),
    closes(2),
    opens(3, "text", text=""),
    piece(3, "text_delta", text="Привет"),
    piece(3, "citations_delta", citation={"type": "char_location"}),
    piece(3, "brand_new_delta", thing=1),
    piece(3, "text_delta", text=" \u2028 мир"),
    closes(3),
    {"type": "brand_new_event", "index": 9},
    opens(4, "tool_use", id="toolu_1", name="get", input={}),
    piece(4, "input_json_delta", partial_json=""),
    piece(4, "input_json_delta", partial_json='{"a":'),
    piece(4, "input_json_delta", partial_json=" 1}"),
    closes(4),
    opens(5, "tool_use", id="toolu_2", name="now", input={}),
    closes(5),
    ends("tool_use", None, output_tokens=25, output_tokens_details={"thinking_tokens": 5}),
    STOP,
]
STREAM = frames(*DOCUMENTS)

EXPECTED = [
    Start(id="msg_1", model="claude"),
    UsageSeen(usage=Usage(input_total=15, output_total=1, cache_read=3, cache_write=2)),
    BlockOpen(kind=BlockKind.REASONING, index=0),
    KeepAlive(),
    ReasoningDelta(text="hm … ", index=0),
    ReasoningDelta(text="so", index=0),
    Signature(data="anthropic-claude-v1:sealed", index=0),
    BlockClose(index=0),
    BlockOpen(kind=BlockKind.REDACTED, index=1),
    Signature(data="anthropic-claude-v1:secret", index=1),
    BlockClose(index=1),
    BlockOpen(kind=BlockKind.TEXT, index=2),
    TextDelta(text="Привет", index=2),
    TextDelta(text=" \u2028 мир", index=2),
    BlockClose(index=2),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id="toolu_1", tool_name="get"),
    ToolArgs(fragment='{"a":', index=3),
    ToolArgs(fragment=" 1}", index=3),
    BlockClose(index=3),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=4, tool_id="toolu_2", tool_name="now"),
    ToolArgs(fragment="{}", index=4),
    BlockClose(index=4),
    UsageSeen(usage=Usage(input_total=15, output_total=25, cache_read=3, cache_write=2, reasoning=5)),
    Finish(kind=FinishKind.TOOL_CALLS, reason="tool_use"),
]


def bare(events: list[Event]) -> list[Event]:
    """Return the events without what they came from."""
    return [msgspec.structs.replace(event, native=None) for event in events]


def read(*pieces: bytes, streaming: bool = True, max_bytes: int = MAX) -> list[Event]:
    decoder = Decoder(streaming, max_bytes)
    events = [event for one in pieces for event in decoder.feed(one, False)]
    events += decoder.feed(b"", True)
    assert decoder.complete
    return bare(events)


def failure(*pieces: bytes, streaming: bool = True, max_bytes: int = MAX) -> str:
    with pytest.raises(UpstreamError) as raised:
        read(*pieces, streaming=streaming, max_bytes=max_bytes)
    return raised.value.code


def test_a_stream_is_read_event_by_event() -> None:
    assert read(STREAM) == EXPECTED


def test_a_stream_is_the_same_byte_by_byte() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EXPECTED


def test_a_stream_is_the_same_split_at_each_position() -> None:
    for at in range(len(STREAM)):
        assert read(STREAM[:at], STREAM[at:]) == EXPECTED


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_other_line_ends_a_mark_and_comments_are_understood(line_end: bytes) -> None:
    assert read(b"\xef\xbb\xbf: hi\n\n".replace(b"\n", line_end) + STREAM.replace(b"\n", line_end)) == EXPECTED


@given(st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_a_stream_is_the_same_cut_anywhere(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[one:two] for one, two in itertools.pairwise(at))) == EXPECTED


@pytest.mark.parametrize("whole", range(len(DOCUMENTS) - 2))
def test_a_stream_cut_after_an_event_or_inside_the_next_is_truncated(whole: int) -> None:
    before, after = frames(*DOCUMENTS[:whole]), frames(*DOCUMENTS[: whole + 1])
    assert failure(before) == "upstream_truncated"
    assert failure(after[:-10]) == "upstream_truncated"


def test_a_stream_that_said_why_it_ends_needs_no_last_event() -> None:
    assert read(frames(*DOCUMENTS[:-1])) == EXPECTED


def test_events_know_what_they_came_from_and_nothing_follows_the_end() -> None:
    decoder = Decoder(True, MAX)
    events = decoder.feed(STREAM + STREAM + b"data: [DONE]\n\n", True)
    assert len(events) == len(EXPECTED)
    assert isinstance(events[4], ReasoningDelta)
    assert events[4].native == DOCUMENTS[3]


def test_events_without_a_name_or_without_a_type_are_known_by_the_other() -> None:
    unnamed = b"".join(line for line in STREAM.splitlines(keepends=True) if not line.startswith(b"event:"))
    assert read(unnamed) == EXPECTED
    assert read(frames(*DOCUMENTS[:-1]) + b"event: message_stop\ndata: {}\n\n") == EXPECTED


WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sealed"},
        {"type": "text", "text": "Look:"},
        {"type": "web_search_tool_result", "content": []},
        {"type": "tool_use", "id": "t1", "name": "get", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def test_a_whole_answer_gives_the_same_events() -> None:
    data = b" \n" + json.dumps(WHOLE).encode()
    expected = [
        Start(id="msg_1", model="claude"),
        UsageSeen(usage=Usage(input_total=3, output_total=4)),
        BlockOpen(kind=BlockKind.REASONING, index=0),
        ReasoningDelta(text="hm", index=0),
        Signature(data="anthropic-claude-v1:sealed", index=0),
        BlockClose(index=0),
        BlockOpen(kind=BlockKind.TEXT, index=1),
        TextDelta(text="Look:", index=1),
        BlockClose(index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="t1", tool_name="get"),
        ToolArgs(fragment='{"a":1}', index=2),
        BlockClose(index=2),
        Finish(kind=FinishKind.TOOL_CALLS, reason="tool_use"),
    ]
    assert read(data, streaming=False) == expected
    assert read(*(data[at : at + 1] for at in range(len(data))), streaming=False) == expected


@pytest.mark.parametrize(
    ("reason", "kind"),
    [(reason, kind) for reason, kind in FINISHES.items() if reason != "tool_use"]
    + [("tool_use", FinishKind.STOP), ("new_reason", FinishKind.ERROR), ("", FinishKind.ERROR)],
)
def test_a_reason_without_calls_is_what_it_says_and_never_a_stop_by_guess(reason: str, kind: FinishKind) -> None:
    events = read(frames(began(), ends(reason, "END" if reason == "stop_sequence" else None), STOP))
    sequence = "END" if reason == "stop_sequence" else None
    assert events[-1] == Finish(kind=kind, reason=reason, stop_sequence=sequence)


@pytest.mark.parametrize(("reason", "kind"), [("end_turn", FinishKind.TOOL_CALLS), ("max_tokens", FinishKind.LENGTH)])
def test_an_answer_with_calls_ends_for_them_unless_it_was_cut(reason: str, kind: FinishKind) -> None:
    stream = frames(began(), opens(0, "tool_use", id="t", name="f", input={}), closes(0), ends(reason), STOP)
    assert read(stream)[-1] == Finish(kind=kind, reason=reason)


def test_blocks_that_nobody_closed_are_closed_before_the_end() -> None:
    stream = frames(began(), opens(7, "thinking", thinking="", signature="s"), ends("end_turn"), STOP)
    assert read(stream)[1:] == [
        BlockOpen(kind=BlockKind.REASONING),
        Signature(data="anthropic-claude-v1:s"),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="end_turn"),
    ]


def test_an_answer_that_begins_with_a_block_has_a_beginning_all_the_same() -> None:
    block = [opens(0, "text", text=""), piece(0, "text_delta", text="x"), closes(0)]
    assert read(frames(*block, ends("end_turn"), STOP)) == [
        Start(),
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="x"),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="end_turn"),
    ]
    assert read(frames(ends("end_turn")))[0] == Start()


def test_a_block_may_begin_with_all_it_holds() -> None:
    stream = frames(
        began(),
        opens(0, "text", text="Hi"),
        closes(0),
        opens(1, "thinking", thinking="hm"),
        piece(1, "thinking_delta", thinking=""),
        closes(1),
        opens(2, "tool_use", id="t", name="f", input={"a": 1}),
        closes(2),
        ends("end_turn"),
    )
    told = [event for event in read(stream) if isinstance(event, (TextDelta, ReasoningDelta, ToolArgs))]
    assert told == [
        TextDelta(text="Hi"),
        ReasoningDelta(text="hm", index=1),
        ToolArgs(fragment='{"a":1}', index=2),
    ]


def test_a_seal_that_says_its_format_keeps_it() -> None:
    stream = frames(began(), opens(0, "thinking", signature="google-gemini-v1:x"), closes(0), ends("end_turn"))
    assert Signature(data="google-gemini-v1:x") in read(stream)


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([{"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 7, "output_tokens": 2}], Usage(7, 2)),
        ([{"input_tokens": 7, "output_tokens": 1}, {"input_tokens": None, "output_tokens": 2}], Usage(7, 2)),
        (
            [{"input_tokens": 7, "cache_read_input_tokens": 5}, {"cache_read_input_tokens": 5, "output_tokens": 2}],
            Usage(12, 2, 5),
        ),
        (
            [
                {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4}},
                {},
            ],
            Usage(7, None, None, 6),
        ),
        ([{"input_tokens": 1, "cache_creation": {}}, {"output_tokens": "x"}], Usage(1)),
        (
            [{"input_tokens": True, "output_tokens_details": {"thinking_tokens": None}}, {"output_tokens": 3}],
            Usage(None, 3),
        ),
    ],
)
def test_counts_are_taken_field_by_field_and_never_added_up(usages: list[dict[str, Any]], expected: Usage) -> None:
    events = read(frames(began(**usages[0]), ends("end_turn", **usages[1]), STOP))
    assert last_usage(None, events) == expected


@pytest.mark.parametrize("usage", [None, [], "x", {}])
def test_usage_that_is_none_breaks_nothing(usage: Any) -> None:
    start = began()
    start["message"]["usage"] = usage
    assert not any(isinstance(event, UsageSeen) for event in read(frames(start, ends("end_turn"), STOP)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"type": "overloaded_error", "message": "Overloaded"},
            StreamError(kind="overloaded", message="Overloaded", code="overloaded_error"),
        ),
        ({"type": "novel_error"}, StreamError(kind="upstream_error", message="", code="novel_error")),
        ("broken", StreamError(kind="upstream_error", message="broken")),
        ({"type": 5, "message": 5}, StreamError(kind="upstream_error", message="")),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
def test_an_error_inside_an_answer_is_its_last_event(error: Any, expected: StreamError, streaming: bool) -> None:
    told = {"type": "error", "error": error}
    events = read(frames(*DOCUMENTS[:4], told) if streaming else json.dumps(told).encode(), streaming=streaming)
    assert events[-1] == expected
    assert not any(isinstance(event, Finish) for event in events)


def test_an_error_without_a_type_is_an_error_too() -> None:
    told = {"error": {"type": "api_error", "message": "no"}}
    expected = [StreamError(kind="upstream_error", message="no", code="api_error")]
    assert read(b"data: " + json.dumps(told).encode() + b"\n\n") == expected
    assert read(json.dumps(told).encode(), streaming=False) == expected


@pytest.mark.parametrize(
    "documents",
    [
        [began(), began()],
        [opens(0, "text"), opens(0, "text")],
        [piece(0, "text_delta", text="x")],
        [opens(0, "text"), closes(0), piece(0, "text_delta", text="x")],
        [closes(0)],
        [opens(0, "text"), piece(0, "input_json_delta", partial_json="x")],
        [opens(0, "tool_use"), piece(0, "text_delta", text="x")],
        [opens(0, "text"), piece(0, "text_delta", text=1)],
        [opens(0, "text", text=1)],
        [opens(0, "tool_use", id=1)],
        [opens(0, "tool_use", input=[])],
        [{"type": "content_block_start", "index": "0", "content_block": {}}],
        [{"type": "content_block_start", "index": True, "content_block": {}}],
        [{"type": "content_block_start", "index": -1, "content_block": {}}],
        [{"type": "content_block_start", "index": 0, "content_block": []}],
        [{"type": "content_block_stop"}],
        [opens(0, "text"), {"type": "content_block_delta", "index": 0, "delta": 1}],
        [{"type": "message_start", "message": 1}],
        [{"type": "message_start", "message": {"id": 1}}],
        [{"type": "message_delta", "delta": {"stop_reason": 1}}],
        [ends("end_turn", 1)],  # type: ignore[arg-type]  # what is to be refused
        [STOP],
        [ends(None), STOP],
    ],
)
def test_what_cannot_be_read_is_an_error(documents: list[dict[str, Any]]) -> None:
    assert failure(frames(*documents)) == "upstream_invalid_response"


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: []\n\n", b'data: {"type": "\xff"}\n\n'])
def test_events_that_are_no_documents_are_errors(data: bytes) -> None:
    assert failure(frames(began()) + data) == "upstream_invalid_response"


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", b"[]", b"{}", b'{"content": null}', b'{"content": [], "stop_reason": null}', b'{"content": [1]}'],
)
def test_a_whole_answer_that_is_none_is_an_error(document: bytes) -> None:
    assert failure(document, streaming=False) == "upstream_invalid_response"


def test_a_type_that_is_no_text_is_an_event_nobody_knows() -> None:
    assert read(frames(began()) + b'data: {"type": 1}\n\ndata:\n\n' + frames(ends("end_turn"), STOP))[-1] == Finish(
        kind=FinishKind.STOP, reason="end_turn"
    )


def test_everything_is_bounded() -> None:
    assert failure(b"data: " + b"x" * MAX) == "answer_too_large"
    assert failure(b"x" * (MAX + 1), streaming=False) == "answer_too_large"
    blocks = [one for n in range(MAX_BLOCKS + 1) for one in (opens(n, "text"), closes(n))]
    assert failure(frames(began(), *blocks)) == "answer_too_large"
    seal = piece(0, "signature_delta", signature="s" * (MAX // 2))
    assert failure(frames(opens(0, "thinking"), seal, seal, seal)) == "answer_too_large"
