"""Chats and completions as block events, and back: the same bytes where nothing changed, the same document else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.dialects.openai.events import MAX_BLOCKS, EventCodec
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
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


def data(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def piece(delta: Any = None, index: int = 0, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return data({**HEAD, "choices": [choice], "unknown": [1.5, "x"], **more})


def call(index: int, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, "id": f"id{index}", "type": "function", "function": function} if name else {
        "index": index, "function": function
    }  # fmt: skip


USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
STREAM = (
    piece({"role": "assistant", "content": ""})
    + b": keepalive\n\n"
    + piece({"reasoning_content": "hm"})
    + piece({"content": "Hé😀"})
    + piece({"content": "llo"}, index=1)
    + piece({"refusal": "no"})
    + piece({"tool_calls": [call(0, "get", '{"a"'), call(1, "put")]})
    + piece({"tool_calls": [call(0, None, ":1}")]})
    + piece({}, finish="tool_calls")
    + piece({"content": "!"}, index=1, finish="stop")
    + data({**HEAD, "choices": [], "usage": USAGE})
    + b"data: [DONE]\n\n"
)
ANSWER = json.dumps(
    {
        "id": "a1",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "one",
                    "reasoning": "r",
                    "reasoning_details": [{"text": "r"}],
                },
                "logprobs": {"content": [{"token": "one"}]},
                "finish_reason": "stop",
            },
            {
                "index": 1,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [call(0, "f", "{}"), call(1, "g", "[]")],
                },
                "finish_reason": "tool_calls",
            },
        ],
        "usage": USAGE,
        "kept": {"a": 1},
    },
    indent=1,
).encode()


def codec(streaming: bool = True, completions: bool = False, max_bytes: int = 1 << 20) -> EventCodec:
    return EventCodec(streaming, completions, max_bytes)


def passed(reader: EventCodec, pieces: list[bytes]) -> tuple[bytes, list[Event]]:
    """Return what is written when nothing is changed, and the events."""
    out = b""
    events: list[Event] = []
    for number, one in enumerate(pieces):
        for chunk in reader.feed(one, number == len(pieces) - 1):
            events += chunk.events
            out += reader.write(chunk, list(chunk.events))
    return out, events


def bare(events: Any) -> list[Event]:
    return [msgspec.structs.replace(event, native=None) for event in events]


def changed(stream: bytes, change: Any, streaming: bool = True, completions: bool = False) -> bytes:
    """Return what is written when ``change`` makes a list of events of each one."""
    reader = codec(streaming, completions)
    return b"".join(
        reader.write(chunk, [made for event in chunk.events for made in change(event)])
        for chunk in reader.feed(stream, True)
    )


def documents(written: bytes) -> list[Any]:
    """Return the documents of a stream, each of which stands on one line."""
    events = written.split(b"\n\n")
    assert events.pop() == b""
    assert all(event.startswith((b"data: ", b":")) and b"\n" not in event for event in events)
    return [json.loads(event[6:]) for event in events if event.startswith(b"data: {")]


def no_text(event: Event) -> list[Event]:
    return [] if isinstance(event, (TextDelta, ReasoningDelta)) else [event]


def upper(event: Event) -> list[Event]:
    if isinstance(event, (TextDelta, ReasoningDelta)):
        return [msgspec.structs.replace(event, text=event.text.upper())]
    return [event]


def test_a_stream_becomes_events() -> None:
    _, events = passed(codec(), [STREAM])
    assert bare(events) == [
        Start(id="c1", model="m"),
        KeepAlive(),
        BlockOpen(kind=BlockKind.REASONING, index=0),
        ReasoningDelta(text="hm", index=0),
        BlockOpen(kind=BlockKind.TEXT, index=1),
        TextDelta(text="Hé😀", index=1),
        BlockOpen(kind=BlockKind.TEXT, choice=1, index=0),
        TextDelta(text="llo", choice=1, index=0),
        BlockOpen(kind=BlockKind.REFUSAL, index=2),
        TextDelta(text="no", index=2),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id="id0", tool_name="get"),
        ToolArgs(fragment='{"a"', index=3),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=4, tool_id="id1", tool_name="put"),
        ToolArgs(fragment=":1}", index=3),
        *(BlockClose(index=index) for index in range(5)),
        Finish(kind=FinishKind.TOOL_CALLS, reason="tool_calls"),
        TextDelta(text="!", choice=1, index=0),
        BlockClose(choice=1, index=0),
        Finish(kind=FinishKind.STOP, reason="stop", choice=1),
        next(UsageSeen(usage=event.usage) for event in events if isinstance(event, UsageSeen)),
    ]
    assert all(event.native["id"] == "c1" for event in events if not isinstance(event, KeepAlive))


def test_a_whole_answer_becomes_a_short_list_of_the_same_events() -> None:
    _, events = passed(codec(False), [ANSWER])
    assert [type(event) for event in events] == [
        *(Start, BlockOpen, ReasoningDelta, BlockOpen, TextDelta, BlockClose, BlockClose, Finish),
        *(BlockOpen, ToolArgs, BlockOpen, ToolArgs, BlockClose, BlockClose, Finish, UsageSeen),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_nothing_changed_is_the_same_bytes_however_they_are_cut(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    whole, events = passed(codec(), [stream])
    assert whole == stream
    for pieces in ([bytes([byte]) for byte in stream], *([stream[:cut], stream[cut:]] for cut in range(len(stream)))):
        out, seen = passed(codec(), pieces)
        assert out == stream
        assert bare(seen) == bare(events)


def test_a_whole_answer_is_the_same_bytes_however_it_is_cut() -> None:
    for cut in range(len(ANSWER)):
        assert passed(codec(False), [ANSWER[:cut], ANSWER[cut:]])[0] == ANSWER


deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.one_of(st.none(), st.text()),
        "reasoning_content": st.text(),
        "refusal": st.text(),
        "x": st.integers(-(2**53), 2**53),
    },
)


@settings(deadline=None)
@given(st.lists(st.tuples(deltas, st.integers(0, 3))), st.data())
def test_any_stream_passes_unchanged_and_a_changed_one_says_what_the_filter_said(
    told: list[tuple[dict[str, Any], int]], draw: st.DataObject
) -> None:
    stream = b"".join(piece(delta, index) for delta, index in told) + b"data: [DONE]\n\n"
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert passed(codec(), pieces)[0] == stream
    said = [document["choices"][0] for document in documents(changed(stream, upper))]
    for index in range(4):
        for field in ("content", "reasoning_content", "refusal"):
            before = "".join(delta.get(field) or "" for delta, of in told if of == index)
            after = "".join(one["delta"].get(field) or "" for one in said if one["index"] == index)
            assert after == before.upper()


def test_a_changed_text_is_patched_into_its_choice_and_everything_else_is_kept() -> None:
    before, after = documents(STREAM), documents(changed(STREAM, upper))
    assert before[2]["choices"][0]["delta"]["content"] == "Hé😀"
    before[1]["choices"][0]["delta"]["reasoning_content"] = "HM"
    before[2]["choices"][0]["delta"]["content"] = "HÉ😀"
    before[3]["choices"][0]["delta"]["content"] = "LLO"
    before[4]["choices"][0]["delta"]["refusal"] = "NO"
    assert after == before


def test_a_chunk_with_nothing_left_goes_while_roles_finishes_usage_and_the_end_stay() -> None:
    written = changed(STREAM, no_text)
    left = documents(written)
    assert written.endswith(b"data: [DONE]\n\n")
    assert left[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["finish_reason"] for one in left for choice in one["choices"] if choice["finish_reason"]] == [
        "tool_calls",
        "stop",
    ]
    assert left[-1]["usage"] == USAGE
    assert len(left) == 6


def test_a_filter_that_drops_everything_loses_neither_finish_nor_usage_nor_error() -> None:
    stream = STREAM.removesuffix(b"data: [DONE]\n\n") + data({"error": {"message": "boo", "code": 5}})
    written = changed(stream, lambda event: [])
    assert b'"finish_reason":"stop"' in written
    assert b'"usage":{' in written
    assert b'"boo"' in written
    assert b"keepalive" not in written
    whole = json.loads(changed(ANSWER, lambda event: [], streaming=False))
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", "tool_calls"]
    assert whole["usage"] == USAGE
    assert whole["choices"][0]["message"]["content"] == ""


def test_what_quotes_a_changed_text_goes_with_it() -> None:
    choice = json.loads(changed(ANSWER, upper, streaming=False))["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "ONE", "reasoning": "R"}
    assert choice["logprobs"] is None
    assert json.loads(ANSWER)["choices"][0]["logprobs"]


def test_events_of_a_filters_own_become_chunks_before_the_one_they_come_with() -> None:
    def announce(event: Event) -> list[Event]:
        return [TextDelta(text="a\u2028b", choice=2), event] if isinstance(event, Finish) else [event]

    written = changed(piece({"content": "x"}) + piece({}, finish="stop"), announce)
    assert b"\\u2028" in written
    said = documents(written)
    assert said[1] == {
        **HEAD,
        "choices": [{"index": 2, "delta": {"role": "assistant", "content": "a\u2028b"}, "finish_reason": None}],
    }
    assert said[2]["choices"][0]["finish_reason"] == "stop"


def test_a_filters_reasoning_arguments_and_finish_find_their_fields() -> None:
    def more(event: Event) -> list[Event]:
        if isinstance(event, KeepAlive):
            return [ReasoningDelta(text="r"), ToolArgs(fragment="1", index=0), Finish(kind=FinishKind.LENGTH, choice=9)]
        return [event]

    written = changed(piece({"tool_calls": [call(0, "f")]}) + b": hi\n\n", more)
    choices = [document["choices"][0] for document in documents(written)[1:]]
    assert choices[0]["delta"]["reasoning_content"] == "r"
    assert choices[1]["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "1"}}]
    assert choices[2]["finish_reason"] == "length"


def test_a_changed_finish_is_told_and_an_unchanged_kind_keeps_the_providers_word() -> None:
    def filtered(event: Event) -> list[Event]:
        return (
            [msgspec.structs.replace(event, kind=FinishKind.CONTENT_FILTER)] if isinstance(event, Finish) else [event]
        )

    assert documents(changed(piece({}, finish="stop"), filtered))[0]["choices"][0]["finish_reason"] == "content_filter"

    def equal(event: Event) -> list[Event]:
        return [msgspec.structs.replace(event, reason=None)] if isinstance(event, Finish) else [event]

    assert documents(changed(piece({}, finish="weird"), equal))[0]["choices"][0]["finish_reason"] == "weird"


def test_a_dropped_tool_call_goes_with_all_its_arguments_and_the_others_are_counted_anew() -> None:
    def drop(event: Event) -> list[Event]:
        return [] if isinstance(event, BlockOpen) and event.tool_name == "get" else [event]

    stream = piece({"tool_calls": [call(0, "get", "1"), call(1, "put", "2")]}) + piece(
        {"tool_calls": [call(0, None, "3")]}
    )
    stream += piece({"tool_calls": [call(1, None, "4")]})
    deltas = [document["choices"][0]["delta"] for document in documents(changed(stream, drop))]
    assert [one for delta in deltas for one in delta["tool_calls"]] == [
        {**call(1, "put", "2"), "index": 0},
        {"index": 0, "function": {"arguments": "4"}},
    ]


def test_a_dropped_tool_call_of_a_whole_answer_goes_too() -> None:
    def drop(event: Event) -> list[Event]:
        return [] if isinstance(event, BlockOpen) and event.tool_name == "f" else [event]

    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "fgf"]
    answer = {"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}
    said = json.loads(changed(json.dumps(answer).encode(), drop, streaming=False))
    assert said["choices"][0]["message"]["tool_calls"] == [calls[1]]


def test_a_renamed_tool_call_is_told_by_its_new_name() -> None:
    def rename(event: Event) -> list[Event]:
        return [msgspec.structs.replace(event, tool_name="safe")] if isinstance(event, BlockOpen) else [event]

    said = json.loads(changed(ANSWER, rename, streaming=False))["choices"][1]["message"]["tool_calls"]
    assert [one["function"]["name"] for one in said] == ["safe", "safe"]


def test_a_function_call_of_old_and_a_custom_tool_are_calls_too() -> None:
    old = piece({"function_call": {"name": "f", "arguments": "{}"}})
    assert documents(changed(old, lambda event: [event] if not isinstance(event, BlockOpen) else [])) == []
    custom = piece({"tool_calls": [{"index": 0, "id": "i", "type": "custom", "custom": {"name": "n", "input": "in"}}]})
    events = passed(codec(), [custom])[1]
    assert bare(events)[1:] == [
        BlockOpen(kind=BlockKind.TOOL_CALL, tool_id="i", tool_name="n"),
        ToolArgs(fragment="in"),
    ]


def test_text_without_a_place_is_added_to_a_whole_answer() -> None:
    def more(event: Event) -> list[Event]:
        return [TextDelta(text="more", choice=event.choice, index=9), event] if isinstance(event, Finish) else [event]

    choices = json.loads(changed(ANSWER, more, streaming=False))["choices"]
    assert [choice["message"]["content"] for choice in choices] == ["onemore", "more"]


def test_no_text_without_a_place_is_nothing() -> None:
    def more(event: Event) -> list[Event]:
        return [TextDelta(text="", choice=event.choice, index=9), event] if isinstance(event, Finish) else [event]

    assert json.loads(changed(ANSWER, more, streaming=False)) == json.loads(ANSWER)


def test_completions_are_read_and_written_in_their_own_shape() -> None:
    stream = data({**HEAD, "choices": [{"index": 0, "text": "ab", "finish_reason": None}]})
    (document,) = documents(changed(stream, upper, completions=True))
    assert document["choices"][0]["text"] == "AB"

    def before(event: Event) -> list[Event]:
        return [TextDelta(text="x", choice=1), event]

    made = documents(changed(stream, before, completions=True))[0]
    assert made == {**HEAD, "choices": [{"index": 1, "text": "x", "finish_reason": None}]}


def test_fields_that_clients_stumble_over_are_left_out() -> None:
    ugly = b'id: 4\nretry: 1\nevent: x\ndata: {"choices":\ndata: []}\n\nevent: ping\n\ndata:[DONE]\n\n'
    assert passed(codec(), [ugly])[0] == b'data: {"choices":[]}\n\ndata: [DONE]\n\n'


def test_a_last_event_without_its_blank_line_gets_one() -> None:
    whole = piece({"content": "x"}, finish="stop")
    assert passed(codec(), [whole.rstrip()])[0] == whole


def test_text_repeated_beside_a_delta_is_left_out() -> None:
    both = {"index": 0, "delta": {"content": "b"}, "message": {"content": "ab"}, "finish_reason": None}
    (document,) = documents(passed(codec(), [data({**HEAD, "choices": [both]})])[0])
    assert "message" not in document["choices"][0]


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {not json\n\n",
        b"data: \xff\n\n",
        b"data: " + b"[" * 5000 + b"\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        data({"choices": {}}),
        data({"choices": ["x"]}),
        data({"choices": [{"index": "0"}]}),
        data({"choices": [{"index": True}]}),
        data({"choices": [{"index": -1}]}),
        data({"choices": [{"index": 0}, {"index": 0}]}),
        data({"choices": [{"delta": "x"}]}),
        piece({"content": [{"type": "text", "text": "x"}]}),
        piece({"reasoning_content": "a", "reasoning": "b"}),
        piece({"tool_calls": [call(0, "a"), call(0, "b")]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": "1", "input": "2"}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"name": "a"}, "custom": {"name": "b"}}]}),
        piece({"function_call": "x"}),
        piece({"audio": {"transcript": "x"}}),
        piece({"reasoning_details": [{"type": "reasoning.text", "text": "x"}]}),
    ],
)
def test_what_filters_could_not_see_is_an_error(bad: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        codec().feed(bad, False)
    assert caught.value.code == "upstream_invalid_response"
    with pytest.raises(UpstreamError):
        codec(False).feed(bad[6:], True)


def test_the_errors_of_a_provider_are_events() -> None:
    told = {"message": "boo", "type": "server_error", "code": 503}
    reader = codec()
    (chunk,) = reader.feed(data({"error": told}), False)
    assert bare(chunk.events)[1:] == [StreamError(kind="server_error", message="boo", code="503")]
    assert reader.complete
    (chunk,) = codec().feed(data({"error": "no"}), False)
    assert bare(chunk.events)[1:] == [StreamError(kind="provider_error", message="no")]


def test_an_unknown_finish_is_never_a_stop() -> None:
    (chunk,) = codec().feed(piece({}, finish="weird"), False)
    assert bare(chunk.events)[-1] == Finish(kind=FinishKind.ERROR, reason="weird")


@pytest.mark.parametrize("streaming", [True, False])
def test_an_event_or_answer_over_its_bound_is_refused_before_it_is_whole(streaming: bool) -> None:
    reader = codec(streaming, max_bytes=1000)
    reader.feed(b"data: {" + b" " * 900, False)
    with pytest.raises(UpstreamError) as caught:
        reader.feed(b" " * 100, False)
    assert caught.value.code == "answer_too_large"


def test_a_stream_is_complete_when_every_choice_is_or_when_it_says_so() -> None:
    reader = codec()
    reader.feed(piece({"content": "a"}) + piece({"content": "b"}, index=1) + piece({}, finish="stop"), False)
    assert not reader.complete
    other = codec()
    other.feed(piece({}, index=1, finish="stop") + piece({}, finish="stop") + piece({}), False)
    assert other.complete
    told = codec()
    told.feed(piece({"content": "a"}) + b"data: [DONE]\n\n", False)
    assert told.complete


def test_usage_after_a_finish_waits_with_it_however_it_is_told() -> None:
    told = piece({}, finish="stop") + piece({}, usage=USAGE) + data({"choices": [], "usage": USAGE})
    assert [chunk.finishes for chunk in codec().feed(told, False)] == [True, True, True]


parts = [
    b"data: ",
    b"data:",
    b"\n",
    b"\r",
    b"\n\n",
    b": x",
    b"event: x",
    b"[DONE]",
    b'{"choices":',
    b"[",
    b"]",
    b"{",
    b"}",
]
parts += [
    b"null",
    b'"index":',
    b'"delta":',
    b'"content":',
    b'"tool_calls":',
    b'"finish_reason":',
    b'"x"',
    b",",
    b"0",
    b"\xff",
]


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(parts), st.binary(max_size=3))), st.booleans())
def test_no_answer_raises_anything_but_an_error_of_the_provider(pieces: list[bytes], streaming: bool) -> None:
    reader = codec(streaming, max_bytes=200)
    try:
        for number, one in enumerate(pieces):
            for chunk in reader.feed(one, number == len(pieces) - 1):
                reader.write(chunk, ())
    except UpstreamError:
        pass


def test_an_endless_number_of_choices_is_refused() -> None:
    with pytest.raises(UpstreamError, match="too many parts"):
        codec().feed(b"".join(piece({}, index=n) for n in range(MAX_BLOCKS + 1)), False)


def test_an_endless_number_of_tool_calls_is_refused() -> None:
    reader = codec()
    with pytest.raises(UpstreamError, match="too many parts"):
        reader.feed(b"".join(piece({"tool_calls": [call(n, "f")]}) for n in range(MAX_BLOCKS + 1)), False)


@pytest.mark.parametrize(
    "made",
    [
        Signature(data="x"),
        StreamError(kind="x", message="y"),
        Finish(kind=FinishKind.ERROR),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=7),
        ToolArgs(fragment="x", index=7),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
def test_what_a_filter_makes_and_nobody_can_write_is_its_failure(made: Event, streaming: bool) -> None:
    with pytest.raises(InternalError) as caught:
        changed(STREAM if streaming else ANSWER, lambda event: [event, made], streaming)
    assert caught.value.code == "filter_failed"
