"""Whatever an OpenAI-like provider answers, as block events."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.answers import MAX_BLOCKS
from netrunner.dialects.openai.decoder import MAX_CHOICES, ChatDecoder, EmbeddingDecoder
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
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
    Vectors,
)
from netrunner.values import Usage
from tests.support.openai_wire import DONE, HEAD, call, calls, chunk, cuts, event

TEXT, REASONING, REDACTED = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REDACTED
START = Start(id="chatcmpl-1", model="m")
END = chunk(finish="stop") + DONE
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
OTHER = "provider_error"
SEEN = UsageSeen(usage=Usage(input_total=3, output_total=4))


def decoded(data: bytes, streaming: bool = True, max_bytes: int = 1 << 16) -> list[Event]:
    """Return the events of a whole answer, and see that it says to be complete."""
    reader = ChatDecoder(streaming, max_bytes)
    events = reader.feed(data, True)
    assert reader.complete
    return events


def answer(message: Any, finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "model": "m", "choices": [choice], **more}).encode()


def texts(events: list[Event]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def thoughts(events: list[Event]) -> str:
    return "".join(one.text for one in events if isinstance(one, ReasoningDelta))


def called(events: list[Event]) -> list[tuple[str | None, str | None, str]]:
    """Return id, name and arguments of each call."""
    opened = [one for one in events if isinstance(one, BlockOpen) and one.kind is BlockKind.TOOL_CALL]
    return [
        (
            one.tool_id,
            one.tool_name,
            "".join(
                piece.fragment
                for piece in events
                if isinstance(piece, ToolArgs) and (piece.choice, piece.index) == (one.choice, one.index)
            ),
        )
        for one in opened
    ]


def finishes(events: list[Event]) -> list[FinishKind]:
    return [one.kind for one in events if isinstance(one, Finish)]


def code_of(error: pytest.ExceptionInfo[UpstreamError]) -> str:
    return error.value.code


# --- a stream -----------------------------------------------------------------------------------------------

STREAM = (
    chunk({"role": "assistant", "content": ""})
    + b": keepalive\n\n"
    + chunk({"reasoning_content": "hm"})
    + chunk({"content": "Hé\u2028".encode().decode()})
    + calls(call(0, "a", "get", '{"a"'))
    + calls(call(1, "b", "put", "{}"), call(0, None, None, ":1}"))
    + chunk(finish="tool_calls")
    + event({**HEAD, "choices": [], "usage": USAGE})
    + DONE
)
EVENTS = [
    START,
    BlockOpen(kind=REASONING),
    ReasoningDelta(text="hm"),
    BlockClose(),
    BlockOpen(kind=TEXT, index=1),
    TextDelta(text="Hé\u2028", index=1),
    BlockClose(index=1),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="a", tool_name="get"),
    ToolArgs(fragment='{"a"', index=2),
    BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id="b", tool_name="put"),
    ToolArgs(fragment="{}", index=3),
    ToolArgs(fragment=":1}", index=2),
    SEEN,
    BlockClose(index=2),
    BlockClose(index=3),
    Finish(kind=FinishKind.TOOL_CALLS, reason="tool_calls"),
]


def raw(stream: bytes) -> bytes:
    """Return a stream with its text as UTF-8, so that cuts go through characters."""
    return stream.replace(b"\\u00e9", "é".encode()).replace(b"\\u2028", "\u2028".encode())


def test_a_stream_gives_the_same_events_however_it_is_cut() -> None:
    for pieces in cuts(raw(STREAM)):
        reader = ChatDecoder(True, 1 << 16)
        events = [one for piece in pieces for one in reader.feed(piece, False)]
        assert reader.complete
        assert events + reader.feed(b"", True) == EVENTS


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_a_mark_at_the_beginning_and_fields_that_mean_nothing_are_read(end: bytes) -> None:
    stream = b"\xef\xbb\xbfid: 4\nretry: 9\n" + raw(STREAM).replace(b"data: ", b"data:") + b"event: ping\n\ndata:\n\n"
    for pieces in cuts(stream.replace(b"\n", end)):
        reader = ChatDecoder(True, 1 << 16)
        events = [one for piece in pieces for one in reader.feed(piece, False)]
        assert events + reader.feed(b"", True) == EVENTS


def test_an_answer_cut_after_any_event_but_the_finish_has_no_end() -> None:
    stream = STREAM.split(b"\n\n")
    finished = next(at for at, one in enumerate(stream) if b'"finish_reason":"tool_calls"' in one)
    for at in range(len(stream) - 1):
        reader = ChatDecoder(True, 1 << 16)
        told = reader.feed(b"".join(one + b"\n\n" for one in stream[:at]), False)
        assert finishes(told) == []
        assert reader.complete == (at > finished)
        if at > finished:
            assert finishes(reader.feed(b"", True)) == [FinishKind.TOOL_CALLS]
        else:
            with pytest.raises(UpstreamError) as error:
                reader.feed(b"", True)
            assert code_of(error) == "upstream_truncated"


def test_an_answer_cut_inside_an_event_is_truncated_not_malformed() -> None:
    with pytest.raises(UpstreamError) as error:
        decoded(chunk({"content": "x"}) + chunk(finish="stop")[:-9])
    assert code_of(error) == "upstream_truncated"


def test_a_mark_of_the_end_without_a_finish_is_no_end() -> None:
    with pytest.raises(UpstreamError) as error:
        ChatDecoder(True, 1 << 16).feed(chunk({"content": "x"}) + DONE, False)
    assert code_of(error) == "upstream_truncated"


def test_a_stream_whose_other_choice_is_not_finished_is_truncated() -> None:
    with pytest.raises(UpstreamError) as error:
        decoded(chunk({"content": "x"}, index=1) + END)
    assert code_of(error) == "upstream_truncated"


@pytest.mark.parametrize("end", [b"", DONE, DONE + DONE, DONE + chunk({"content": "late"}), DONE[:-2], DONE[:-1]])
def test_the_mark_of_the_end_may_be_missing_or_come_twice(end: bytes) -> None:
    events = decoded(chunk({"content": "x"}) + chunk(finish="stop") + end)
    assert texts(events) == "x"
    assert finishes(events) == [FinishKind.STOP]


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert finishes(decoded(chunk({"content": "x"}) + chunk(finish="length")[:-2])) == [FinishKind.LENGTH]


@pytest.mark.parametrize("choices", [[], None])
def test_chunks_without_choices_are_read_over(choices: Any) -> None:
    empty = event({**HEAD, "choices": choices, "prompt_filter_results": [{}]})
    assert decoded(empty + chunk({"content": "x"}) + empty + END) == [
        START,
        BlockOpen(kind=TEXT),
        TextDelta(text="x"),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="stop"),
    ]


def test_usage_is_found_in_the_finish_chunk_in_its_own_and_where_groq_puts_it() -> None:
    own = event({**HEAD, "choices": [], "usage": USAGE})
    for stream in (
        chunk(finish="stop", usage=USAGE),
        chunk(finish="stop") + own,
        own + chunk(finish="stop"),
        chunk(finish="stop", x_groq={"id": "r", "usage": USAGE}),
    ):
        assert SEEN in decoded(stream)


def test_usage_is_read_field_by_field() -> None:
    usage = {
        **USAGE,
        "total_tokens": "seven",
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": "x"},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    counts = Usage(input_total=3, output_total=4, cache_read=1, reasoning=2)
    assert UsageSeen(usage=counts) in decoded(chunk(finish="stop", usage=usage))


@pytest.mark.parametrize("usage", [{"prompt_tokens": "x"}, [1], "much", {"prompt_tokens_details": 4}])
def test_usage_that_is_none_breaks_nothing(usage: Any) -> None:
    assert not any(isinstance(one, UsageSeen) for one in decoded(chunk(finish="stop", usage=usage)))


@pytest.mark.parametrize("field", ["prompt_cache_hit_tokens", "precached_prompt_tokens"])
def test_cached_tokens_have_other_names_elsewhere(field: str) -> None:
    counts = Usage(input_total=3, output_total=4, cache_read=2)
    assert UsageSeen(usage=counts) in decoded(chunk(finish="stop", usage={**USAGE, field: 2}))


def test_a_completion_is_text() -> None:
    stream = event({**HEAD, "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]})
    stream += event({**HEAD, "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    assert decoded(stream)[1:] == [
        BlockOpen(kind=TEXT),
        TextDelta(text="Hi"),
        BlockClose(),
        Finish(kind=FinishKind.LENGTH, reason="length"),
    ]


def test_text_that_goes_on_is_one_block() -> None:
    events = decoded(chunk({"content": "a"}) + chunk({"content": "b"}) + END)
    assert events[1:4] == [BlockOpen(kind=TEXT), TextDelta(text="a"), TextDelta(text="b")]


def test_several_choices_are_told_apart() -> None:
    stream = chunk({"content": "a"}) + chunk({"content": "b"}, index=1) + calls(call(0, "x", "f", "{}"), index=1)
    events = decoded(stream + chunk(finish="stop") + chunk(finish="stop", index=1) + DONE)
    assert finishes(events) == [FinishKind.STOP, FinishKind.TOOL_CALLS]
    assert [one.text for one in events if isinstance(one, TextDelta) and one.choice == 1] == ["b"]


# --- tool calls ---------------------------------------------------------------------------------------------

TWO = [("a", "get", '{"n":1}'), ("b", "put", '{"n":2}')]
APART = {
    "as they should be": calls(call(0, "a", "get", '{"n"'))
    + calls(call(0, None, None, ":1}"))
    + calls(call(1, "b", "put", '{"n":2}')),
    "without index": calls(call(None, "a", "get", '{"n"'))
    + calls(call(None, None, None, ":1}"))
    + calls(call(None, "b", "put", '{"n":2}')),
    "whole and without index": calls(call(None, "a", "get", '{"n":1}'), call(None, "b", "put", '{"n":2}')),
    "an index that is none": calls({**call(None, "a", "get", '{"n":1}'), "index": "0"})
    + calls({**call(None, "b", "put", '{"n":2}'), "index": None}),
    "from one": calls(call(1, "a", "get", '{"n":1}')) + calls(call(2, "b", "put", '{"n":2}')),
    "all on index 0": calls(call(0, "a", "get", '{"n":1}')) + calls(call(0, "b", "put", '{"n":2}')),
    "all on index 0, in turns": calls(call(0, "a", "get", '{"n"'))
    + calls(call(0, "b", "put", '{"n"'))
    + calls(call(0, "a", None, ":1}"))
    + calls(call(0, "b", None, ":2}")),
    "index only at first": calls(call(0, "a", "get", '{"n"'))
    + calls(call(None, "a", None, ":1}"))
    + calls(call(1, "b", "put", '{"n":2}')),
    "id and name in each piece": calls(call(0, "a", "get", '{"n"'))
    + calls(call(0, "a", "get", ":1}"))
    + calls(call(1, "b", "put", '{"n"'))
    + calls(call(1, "b", "put", ":2}")),
    "id first, name later": calls(call(0, "a")) + calls(call(0, None, "get", '{"n":1}')) + calls(call(1, "b", "put"))
    + calls(call(1, None, None, '{"n":2}')),
    "name first, id later": calls(call(1, "b", "put", '{"n":2}'))[:0]
    + calls(call(0, None, None, ""))
    + calls(call(0, "a", "get", '{"n":1}'))
    + calls(call(1, "b", "put", '{"n":2}')),
    "arguments that are an object": calls(call(0, "a", "get", {"n": 1}), call(1, "b", "put", {"n": 2})),
    "null in what is not told again": calls({**call(0, "a", "get", '{"n":1}')})
    + calls({"index": 0, "id": None, "function": {"name": None, "arguments": None}})
    + calls(call(1, "b", "put", '{"n":2}')),
}  # fmt: skip


@pytest.mark.parametrize("stream", APART.values(), ids=APART.keys())
def test_calls_are_told_apart(stream: bytes) -> None:
    for pieces in cuts(stream + END):
        reader = ChatDecoder(True, 1 << 16)
        events = [one for piece in pieces for one in reader.feed(piece, False)]
        assert called(events) == TWO
        assert finishes(events) == [FinishKind.TOOL_CALLS]


def test_calls_without_ids_are_told_apart_by_name_and_by_what_is_whole_and_get_ids_of_their_own() -> None:
    stream = calls(call(0, None, "get", '{"n"')) + calls(call(0, None, "get", ":1}"))
    stream += calls(call(0, None, "get", '{"n":3}')) + calls(call(0, None, "put", "{}"))
    assert called(decoded(stream + END)) == [
        ("call_chatcmpl1_0_0", "get", '{"n":1}'),
        ("call_chatcmpl1_0_1", "get", '{"n":3}'),
        ("call_chatcmpl1_0_2", "put", "{}"),
    ]


def test_a_name_without_its_id_under_the_index_of_another_is_another_call() -> None:
    stream = calls(call(0, "a", "get", "{}")) + calls(call(0, None, "put", "{}"))
    assert [name for _, name, _ in called(decoded(stream + END))] == ["get", "put"]


def test_the_older_form_of_a_call_is_one() -> None:
    stream = chunk({"function_call": {"name": "get", "arguments": '{"n"'}})
    stream += chunk({"function_call": {"arguments": ":1}"}}) + chunk(finish="function_call")
    events = decoded(stream)
    assert called(events) == [("call_chatcmpl1_0_0", "get", '{"n":1}')]
    assert finishes(events) == [FinishKind.TOOL_CALLS]


def test_a_call_without_arguments_has_none() -> None:
    assert called(decoded(calls(call(0, "a", "get", "")) + END)) == [("a", "get", "")]


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_whether_there_was_a_call_decides_on_the_finish_not_the_word(reason: str) -> None:
    assert finishes(decoded(calls(call(0, "a", "f", "{}"), finish=reason))) == [FinishKind.TOOL_CALLS]
    assert finishes(decoded(calls(call(0, "a", "f", "{}")) + chunk(finish=reason))) == [FinishKind.TOOL_CALLS]
    assert finishes(decoded(chunk(finish=reason))) == [FinishKind.STOP]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("length", FinishKind.LENGTH),
        ("model_length", FinishKind.CONTEXT_FULL),
        ("content_filter", FinishKind.CONTENT_FILTER),
        ("blacklist", FinishKind.CONTENT_FILTER),
        ("error", FinishKind.ERROR),
        ("moonrise", FinishKind.ERROR),
    ],
)
def test_other_finishes_hold_with_a_call_too(reason: str, kind: FinishKind) -> None:
    assert finishes(decoded(chunk(finish=reason))) == [kind]
    assert finishes(decoded(calls(call(0, "a", "f", "{}"), finish=reason))) == [kind]


def test_a_call_that_never_gets_a_name_is_an_error() -> None:
    with pytest.raises(UpstreamError) as error:
        decoded(calls(call(0, "a", None, "{}")) + END)
    assert code_of(error) == "upstream_invalid_response"


def test_a_seal_on_a_call_is_kept() -> None:
    sealed = {**call(0, "a", "f", "{}"), "extra_content": {"google": {"thought_signature": "c2VhbA=="}}}
    assert Signature(data="google-gemini-v1:c2VhbA==", index=0) in decoded(calls(sealed) + END)


# --- reasoning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_content": "hm", "reasoning": "hm"},
        {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
def test_reasoning_is_read_once_wherever_it_stands(delta: Any) -> None:
    assert decoded(chunk(delta) + chunk({"content": "x"}) + END)[1:-1] == [
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="hm"),
        BlockClose(),
        BlockOpen(kind=TEXT, index=1),
        TextDelta(text="x", index=1),
        BlockClose(index=1),
    ]


def test_a_content_of_parts_is_text_and_thinking_and_nothing_else() -> None:
    parts = [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "x"}, {"type": "reference"}]
    events = decoded(answer({"content": parts}), False)
    assert (thoughts(events), texts(events)) == ("hm", "x")


def test_details_keep_their_seals_and_their_blocks() -> None:
    details = [
        {"type": "reasoning.text", "text": "one", "signature": "S", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "format": "openai-responses-v1", "index": 1},
        {"type": "reasoning.text", "text": "two", "signature": "?", "format": "unknown", "index": 2},
        {"type": "reasoning.text", "text": "three", "index": 3},
    ]
    events = decoded(answer({"content": None, "reasoning": "onetwothree", "reasoning_details": details}), False)
    assert events[1:-1] == [
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="one"),
        Signature(data="anthropic-claude-v1:S"),
        BlockClose(),
        BlockOpen(kind=REDACTED, index=1),
        Signature(data="openai-responses-v1:D", index=1),
        BlockClose(index=1),
        BlockOpen(kind=REASONING, index=2),
        ReasoningDelta(text="two", index=2),
        BlockClose(index=2),
        BlockOpen(kind=REASONING, index=3),
        ReasoningDelta(text="three", index=3),
        BlockClose(index=3),
    ]


def test_a_seal_that_comes_after_the_text_belongs_to_it() -> None:
    seal = {"type": "reasoning.text", "signature": "anthropic-claude-v1:S"}
    stream = chunk({"reasoning": "hm"}) + chunk({"reasoning_details": [seal]}) + chunk({"content": "x"})
    assert decoded(stream + END)[1:5] == [
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="hm"),
        Signature(data="anthropic-claude-v1:S"),
        BlockClose(),
    ]


def test_a_seal_without_reasoning_is_a_block_without_text() -> None:
    extra = {"google": {"thought_signature": "Z"}}
    assert decoded(chunk({"content": "x", "extra_content": extra}) + END)[1:5] == [
        BlockOpen(kind=REASONING),
        Signature(data="google-gemini-v1:Z"),
        BlockClose(),
        BlockOpen(kind=TEXT, index=1),
    ]
    detail = {"type": "reasoning.text", "signature": "S", "format": "anthropic-claude-v1"}
    two = chunk({"reasoning_details": [detail]}) + chunk({"reasoning_details": [{"type": "reasoning.text"}]})
    assert Signature(data="anthropic-claude-v1:S") in decoded(two + END)


def test_a_refusal_is_a_block_of_its_own() -> None:
    assert decoded(chunk({"refusal": "no"}) + END)[1:3] == [BlockOpen(kind=BlockKind.REFUSAL), TextDelta(text="no")]


# --- a document ---------------------------------------------------------------------------------------------


def test_a_document_gives_the_same_events_however_it_is_cut() -> None:
    message = {"content": "Hé", "tool_calls": [call(None, "a", "get", {"n": 1})]}
    document = b" \n\n\n" + answer(message, "tool_calls", usage=USAGE).replace(b"\\u00e9", "é".encode())
    expected = decoded(document, False)
    assert called(expected) == [("a", "get", '{"n":1}')]
    assert texts(expected) == "Hé"
    assert SEEN in expected
    for pieces in cuts(document):
        reader = ChatDecoder(False, 1 << 16)
        events = [one for piece in pieces for one in reader.feed(piece, False)]
        assert events == []
        assert not reader.complete
        assert reader.feed(b"", True) == expected
        assert reader.complete


def test_a_document_is_read_where_a_stream_was_asked_for() -> None:
    assert texts(decoded(b"\n\n" + answer({"content": "x"}), True)) == "x"


def test_a_mark_before_a_document_is_read_over() -> None:
    assert texts(decoded(b"\xef\xbb\xbf" + answer({"content": "x"}), False)) == "x"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"7", b"[]", b"{}", b'{"choices": []}', b'{"choices": null, "usage": {}}', b'{"a": "\xff"}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_document_that_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError) as error:
        decoded(body, False, 1 << 20)
    assert code_of(error) == "upstream_invalid_response"


def test_a_document_without_a_finish_is_truncated() -> None:
    with pytest.raises(UpstreamError) as error:
        decoded(answer({"content": "x"}, None), False)
    assert code_of(error) == "upstream_truncated"


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"error": {"message": "Slow down", "type": "rate_limit_exceeded", "code": None}},
            StreamError(kind="rate_limit", message="Slow down", code="rate_limit_exceeded", status=429),
        ),
        (
            {"error": {"code": 429, "message": "Please try again in 2s", "metadata": {}}, "choices": []},
            StreamError(kind="rate_limit", message="Please try again in 2s", code=OTHER, status=429, retry_after_s=2.0),
        ),
        (
            {"error": {"code": "503", "message": "busy", "type": "x"}},
            StreamError(kind="overloaded", message="busy", code="503", status=503),
        ),
        ({"error": "broken"}, StreamError(kind="upstream_error", message="broken", code=OTHER, status=502)),
        (
            {"error": [{"message": "m", "code": "context_length_exceeded"}]},
            StreamError(kind="context_too_long", message="m", code="context_length_exceeded", status=400),
        ),
        (
            {"object": "error", "message": "m", "type": "internal", "code": 3000},
            StreamError(kind="upstream_error", message="m", code="internal", status=502),
        ),
        (
            {"x_groq": {"id": "r", "error": "gone"}, "choices": []},
            StreamError(kind="upstream_error", message="gone", code=OTHER, status=502),
        ),
        (
            {"error": True},
            StreamError(
                kind="upstream_error", message="The provider answered with status 502.", code=OTHER, status=502
            ),
        ),
        (
            {"error": " "},
            StreamError(kind="upstream_error", message="The provider reported an error.", code=OTHER, status=502),
        ),
    ],
)
def test_an_error_under_status_200_is_one_in_whatever_shape(document: Any, expected: StreamError) -> None:
    assert decoded(json.dumps(document).encode(), False) == [expected]
    assert decoded(event(document) + END) == [expected]
    assert decoded(chunk({"content": "x"}) + event(document))[-1] == expected


def test_an_error_in_a_list_and_one_that_only_the_events_name_tells_are_errors() -> None:
    expected = StreamError(kind="bad_request", message="m", code=OTHER, status=400)
    assert decoded(b'[{"error": {"code": 400, "message": "m"}}]', False) == [expected]
    assert decoded(b'event: error\ndata: {"code": 400, "message": "m"}\n\n') == [expected]
    assert decoded(b'event: error\ndata: {"error": {"code": 400, "message": "m"}}\n\n') == [expected]


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {nonsense\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [7]}\n\n',
        b'data: {"id": 7}\n\n',
        b'data: {"x_groq": 7}\n\n',
        b'data: {"choices": [{"index": "0"}]}\n\n',
        b'data: {"choices": [{"index": true}]}\n\n',
        b'data: {"choices": [{"index": -1}]}\n\n',
        b'data: {"choices": [{"index": %d}]}\n\n' % MAX_CHOICES,
        b'data: {"choices": [{"delta": 7}]}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [7]}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [{"type": "text", "text": 7}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"reasoning": {}}}]}\n\n',
        b'data: {"choices": [{"delta": {"reasoning_details": {"a": 1}}}]}\n\n',
        b'data: {"choices": [{"delta": {"audio": {"data": "x"}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": {"a": 1}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": 7}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"id": 7}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": 7}}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"function_call": 7}}]}\n\n',
        b'data: {"choices": [{"finish_reason": 7}]}\n\n',
    ],
)
def test_what_cannot_be_read_is_an_error(stream: bytes) -> None:
    with pytest.raises(UpstreamError) as error:
        ChatDecoder(True, 1 << 16).feed(stream, False)
    assert code_of(error) == "upstream_invalid_response"


def test_everything_is_bounded() -> None:
    begun = json.dumps({"choices": [{"delta": {"content": "x" * 200}}]}).encode()
    many = b"".join(calls(call(at, f"i{at}", "f")) for at in range(MAX_BLOCKS + 1))
    blocks = b"".join(chunk({"content": "x"}) + chunk({"reasoning": "y"}) for _ in range(MAX_BLOCKS // 2 + 1))
    for reader, data in (
        (ChatDecoder(True, 100), b"data: " + begun),
        (ChatDecoder(False, 100), begun),
        (ChatDecoder(True, 300), calls(call(0, "a", "f", "x" * 50)) + calls(call(0, None, None, "x" * 60)) * 5),
        (ChatDecoder(True, 1 << 20), many),
        (ChatDecoder(True, 1 << 20), blocks),
    ):
        with pytest.raises(UpstreamError) as error:
            reader.feed(data, False)
        assert code_of(error) == "answer_too_large"


@given(st.binary(max_size=200), st.booleans())
def test_nothing_but_an_upstream_error_is_raised(noise: bytes, streaming: bool) -> None:
    reader = ChatDecoder(streaming, 1 << 10)
    try:
        events = reader.feed(chunk({"content": "x"}) * streaming + b"data: " * streaming + noise, True)
    except UpstreamError:
        return
    assert isinstance(events[-1], (Finish, StreamError))


# --- embeddings ---------------------------------------------------------------------------------------------


def vectors(*rows: Any, **more: Any) -> list[Event]:
    document = {"object": "list", "model": "e", "data": list(rows), "usage": {"prompt_tokens": 2}, **more}
    reader = EmbeddingDecoder(1 << 16)
    assert reader.feed(json.dumps(document).encode(), False) == []
    events = reader.feed(b"", True)
    assert reader.complete
    return events


def test_embeddings_come_in_the_order_of_their_inputs() -> None:
    rows = {"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1.0, 2.0]}
    assert vectors(*rows) == [
        Start(model="e"),
        Vectors(vectors=[[1.0, 2.0], [3.0, 4.5]]),
        UsageSeen(usage=Usage(input_total=2)),
    ]


def test_embeddings_in_base64_are_little_endian() -> None:
    packed = base64.b64encode(struct.pack("<2f", 1.5, -2.0)).decode()
    assert vectors({"embedding": packed})[1] == Vectors(vectors=[[1.5, -2.0]])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"index": 0}],
        [{"embedding": []}],
        [{"embedding": [True]}],
        [{"embedding": ["1"]}],
        [{"embedding": ""}],
        [{"embedding": "!!"}],
        [{"embedding": "AAA="}],
        [{"embedding": base64.b64encode(struct.pack("<f", float("nan"))).decode()}],
        [{"index": 1, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}],
        [{"index": "0", "embedding": [1]}],
    ],
)
def test_embeddings_that_are_none_are_an_error(rows: list[Any]) -> None:
    with pytest.raises(UpstreamError) as error:
        vectors(*rows)
    assert code_of(error) == "upstream_invalid_response"


def test_an_error_instead_of_embeddings_is_one() -> None:
    assert vectors(error="no") == [StreamError(kind="upstream_error", message="no", code=OTHER, status=502)]
