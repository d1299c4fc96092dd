"""Cohere's answers as block events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.cohere.dialect import CohereDialect
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Finish,
    FinishKind,
    ReasoningDelta,
    Start,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
    Vectors,
)
from netrunner.values import Usage
from tests.support.answers import (
    assert_survives,
    assert_truncation_shows,
    called,
    read,
    read_in_every_way,
    said,
    with_wrong_types,
)

MAX = 1 << 20
USAGE = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 9.0},
    "tokens": {"input_tokens": 71.0, "output_tokens": 10.0},
    "cached_tokens": 16.0,
}
COUNTS = UsageSeen(usage=Usage(input_total=71, output_total=10, cache_read=16))


def streaming():
    return CohereDialect().decoder("chat", True, MAX)


def whole():
    return CohereDialect().decoder("chat", False, MAX)


def embedding():
    return CohereDialect().decoder("embed", False, MAX)


def stream(*events):
    return b"".join(
        f"event: {event.get('type', 'message')}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    )


def event(kind, index=None, **message):
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


def end(reason="COMPLETE", usage=USAGE, **more):
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": usage, **more}}


START = {"type": "message-start", "id": "c14", "delta": {"message": {"role": "assistant", "content": []}}}
TEXT = [
    START,
    event("content-start", 0, content={"type": "text", "text": ""}),
    event("content-delta", 0, content={"text": "Grüß"}),
    event("content-delta", 0, content={"text": " dich"}),
    {"type": "content-end", "index": 0},
    end(),
]
THOUGHT = [
    START,
    event("content-start", 0, content={"type": "thinking", "thinking": ""}),
    event("content-delta", 0, content={"thinking": "Hm."}),
    {"type": "content-end", "index": 0},
    event("content-start", 1, content={"type": "text", "text": "Y"}),
    event("content-delta", 1, content={"text": "es"}),
    {"type": "content-end", "index": 1},
    end(),
]
CALLS = [
    START,
    event("tool-plan-delta", tool_plan="I will "),
    event("tool-plan-delta", tool_plan="look."),
    event(
        "tool-call-start",
        0,
        tool_calls={"id": "look_1", "type": "function", "function": {"name": "look", "arguments": ""}},
    ),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"at": '}}),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": '"here"}'}}),
    {"type": "tool-call-end", "index": 0},
    event("tool-call-start", 1, tool_calls={"function": {"name": "wait", "arguments": "{}"}}),
    {"type": "tool-call-end", "index": 1},
    end("TOOL_CALL"),
]


def test_a_text_is_a_block_with_a_start_usage_and_a_finish():
    assert read_in_every_way(streaming, stream(*TEXT)) == [
        Start(id="c14"),
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="Grüß"),
        TextDelta(text=" dich"),
        BlockClose(),
        COUNTS,
        Finish(kind=FinishKind.STOP, reason="COMPLETE"),
    ]


def test_a_stream_of_crlf_with_comments_and_a_last_mark_is_the_same():
    data = b": hello\r\n\r\n" + stream(*TEXT).replace(b"\n", b"\r\n") + b"data: [DONE]\r\n\r\n"
    assert read(streaming(), data) == read(streaming(), stream(*TEXT))


def test_nothing_after_the_end_of_the_message_counts():
    assert read(streaming(), stream(*TEXT, *TEXT)) == read(streaming(), stream(*TEXT))


def test_thinking_is_a_block_of_its_own():
    assert read_in_every_way(streaming, stream(*THOUGHT))[1:-2] == [
        BlockOpen(kind=BlockKind.REASONING),
        ReasoningDelta(text="Hm."),
        BlockClose(),
        BlockOpen(kind=BlockKind.TEXT, index=1),
        TextDelta(text="Y", index=1),
        TextDelta(text="es", index=1),
        BlockClose(index=1),
    ]


def test_a_plan_is_text_before_the_calls():
    events = read_in_every_way(streaming, stream(*CALLS))
    assert said(events) == "I will look."
    assert called(events) == [("look_1", "look", '{"at": "here"}'), ("call_c14_1", "wait", "{}")]
    assert [event.index for event in events if isinstance(event, BlockClose)] == [0, 1, 2]
    assert events[-1] == Finish(kind=FinishKind.TOOL_CALLS, reason="TOOL_CALL")


def test_calls_written_at_once_keep_their_arguments_apart():
    events = read(
        streaming(),
        stream(
            START,
            event("tool-call-start", 0, tool_calls={"id": "a", "function": {"name": "one"}}),
            event("tool-call-start", 1, tool_calls={"id": "b", "function": {"name": "two"}}),
            event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"n": 1}'}}),
            event("tool-call-delta", 1, tool_calls={"function": {"arguments": '{"n": 2}'}}),
            end("TOOL_CALL"),
        ),
    )
    assert called(events) == [("a", "one", '{"n": 1}'), ("b", "two", '{"n": 2}')]


def test_citations_debug_and_unknown_events_are_left_out():
    further = [
        {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"start": 0}}}},
        {"type": "citation-end", "index": 0},
        {"type": "debug", "prompt": "?"},
        {"type": "brand-new"},
        {"type": "citation-start", "delta": None},
    ]
    assert read(streaming(), stream(*TEXT[:3], *further, *TEXT[3:])) == read(streaming(), stream(*TEXT))


def test_an_answer_without_a_beginning_gets_a_start():
    assert read(streaming(), stream(*TEXT[1:]))[:2] == [Start(), BlockOpen(kind=BlockKind.TEXT)]


ANSWER = {
    "id": "c14",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "tool_plan": "I will look.",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes"}, {"type": "new"}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        "citations": [{"start": 0}],
    },
    "usage": USAGE,
}


def test_an_answer_that_is_one_document_gives_the_same_events():
    assert read_in_every_way(whole, json.dumps(ANSWER).encode()) == [
        Start(id="c14"),
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="I will look."),
        BlockClose(),
        BlockOpen(kind=BlockKind.REASONING, index=1),
        ReasoningDelta(text="Hm.", index=1),
        BlockClose(index=1),
        BlockOpen(kind=BlockKind.TEXT, index=2),
        TextDelta(text="Yes", index=2),
        BlockClose(index=2),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id="a", tool_name="look"),
        ToolArgs(fragment="{}", index=3),
        BlockClose(index=3),
        COUNTS,
        Finish(kind=FinishKind.TOOL_CALLS, reason="TOOL_CALL"),
    ]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("COMPLETE", FinishKind.STOP),
        ("STOP_SEQUENCE", FinishKind.STOP_SEQUENCE),
        ("MAX_TOKENS", FinishKind.LENGTH),
        ("TOOL_CALL", FinishKind.STOP),
        ("BRAND_NEW", FinishKind.ERROR),
        (None, FinishKind.ERROR),
    ],
)
def test_a_finish_means_what_came_and_never_a_stop_when_it_is_unknown(reason, kind):
    assert read(streaming(), stream(*TEXT[:-1], end(reason)))[-1] == Finish(kind=kind, reason=reason)


def test_calls_are_what_an_answer_ended_for_whatever_it_says():
    for reason, kind in (("COMPLETE", FinishKind.TOOL_CALLS), ("MAX_TOKENS", FinishKind.LENGTH)):
        assert read(streaming(), stream(*CALLS[:-1], end(reason)))[-1] == Finish(kind=kind, reason=reason)


@pytest.mark.parametrize(
    ("reason", "error", "told"),
    [
        ("ERROR", "GPU on fire", StreamError(kind="upstream_error", message="GPU on fire", code="upstream_error")),
        ("ERROR", None, StreamError(kind="upstream_error", message="The model failed.", code="upstream_error")),
        ("TIMEOUT", None, StreamError(kind="timeout", message="The model failed.", code="timeout")),
        ("COMPLETE", "odd", StreamError(kind="upstream_error", message="odd", code="upstream_error")),
    ],
)
def test_an_error_at_the_end_is_an_error_and_no_finish(reason, error, told):
    decoder = streaming()
    events = read(decoder, stream(*TEXT[:3], end(reason, error=error)))
    assert events[-3:] == [BlockClose(), COUNTS, told]
    assert decoder.complete


@pytest.mark.parametrize("decoder", [streaming, whole, embedding])
def test_an_error_document_inside_a_200_is_an_error(decoder):
    document = json.dumps({"id": "x", "message": "too many tokens"}).encode()
    data = b"data: " + document + b"\n\n" if decoder is streaming else document
    events = read(decoder(), data)
    assert events[-1] == StreamError(kind="upstream_error", message="too many tokens")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"billed_units": {"input_tokens": 3.0}}, Usage(input_total=3)),
        ({"tokens": {"output_tokens": 4}, "cached_tokens": "no"}, Usage(output_total=4)),
        ({"tokens": {"input_tokens": -1}, "billed_units": {"input_tokens": True}}, None),
        ({"tokens": []}, None),
        ([], None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_read_as_far_as_it_goes(usage, counts):
    events = read(streaming(), stream(*TEXT[:-1], end(usage=usage)))
    assert [event.usage for event in events if isinstance(event, UsageSeen)] == ([] if counts is None else [counts])


def test_an_answer_that_ends_early_is_never_complete():
    data = stream(*CALLS)
    assert_truncation_shows(streaming, data, len(data))
    assert_truncation_shows(whole, json.dumps(ANSWER).encode(), len(json.dumps(ANSWER)))


def test_an_answer_beyond_its_bound_is_refused():
    for decoder in (CohereDialect().decoder("chat", kind, 100) for kind in (True, False)):
        with pytest.raises(UpstreamError) as caught:
            decoder.feed(b"data: " + b"x" * 100, False)
        assert caught.value.code == "answer_too_large"


def test_an_answer_of_too_many_blocks_is_refused():
    texts = (event("content-delta", index, content={"text": "x"}) for index in range(1025))
    with pytest.raises(UpstreamError, match="too many blocks"):
        read(streaming(), stream(*texts))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": 1},
        {"type": "message-start", "id": 1},
        {"type": "content-delta", "delta": []},
        {"type": "content-delta", "delta": {"message": "x"}},
        event("content-delta", 0, content="x"),
        event("content-delta", 0, content={"text": 1}),
        event("content-delta", 0, content={"thinking": {}}),
        event("tool-plan-delta", tool_plan=1),
        event("tool-call-start", 0, tool_calls=[]),
        event("tool-call-start", 0, tool_calls={"function": {}}),
        event("tool-call-start", 0, tool_calls={"id": 1, "function": {"name": "x"}}),
        event("tool-call-start", 0, tool_calls={"function": {"name": "x", "arguments": {}}}),
        event("tool-call-delta", 0, tool_calls={"function": {"arguments": "{}"}}),
        {"type": "message-end", "delta": 1},
        end(1),
        end(error=1),
        [],
        "x",
    ],
)
def test_a_field_of_the_wrong_type_is_an_error(wrong):
    with pytest.raises(UpstreamError) as caught:
        streaming().feed(b"data: " + json.dumps(wrong).encode() + b"\n\n", False)
    assert caught.value.code == "upstream_invalid_response"


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: {}x\n\n", b'data: {"a": "\xff"}\n\n'])
def test_what_is_no_json_is_an_error(data):
    with pytest.raises(UpstreamError) as caught:
        streaming().feed(data, False)
    assert caught.value.code == "upstream_invalid_response"


def test_vectors_are_read():
    document = {
        "id": "e1",
        "embeddings": {"float": [[0.5, -1], [2.0, 3e-4]]},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4.0}},
    }
    assert read_in_every_way(embedding, json.dumps(document).encode()) == [
        Start(id="e1"),
        Vectors(vectors=[[0.5, -1], [2.0, 3e-4]]),
        UsageSeen(usage=Usage(input_total=4)),
    ]
    assert read(embedding(), b'{"embeddings": {"float": []}}') == [Start(), Vectors(vectors=[])]


@pytest.mark.parametrize(
    "embeddings", [None, [], {}, {"float": None}, {"float": [1]}, {"float": [["1"]]}, {"float": [[True]]}]
)
def test_vectors_that_are_none_are_an_error(embeddings):
    with pytest.raises(UpstreamError) as caught:
        read(embedding(), json.dumps({"embeddings": embeddings}).encode())
    assert caught.value.code == "upstream_invalid_response"


def test_an_embedding_that_ends_early_is_an_error():
    with pytest.raises(UpstreamError):
        read(embedding(), b'{"embeddings": {"float": [[')


@pytest.mark.parametrize("chunks", [TEXT, THOUGHT, CALLS])
def test_a_field_of_any_wrong_type_in_any_event_is_read_or_refused(chunks):
    for number, one in enumerate(chunks):
        for wrong in with_wrong_types(one):
            assert_survives(streaming, stream(*chunks[:number], wrong, *chunks[number + 1 :]))


def test_a_field_of_any_wrong_type_in_a_whole_answer_is_read_or_refused():
    for wrong in with_wrong_types(ANSWER):
        assert_survives(whole, json.dumps(wrong).encode())


@given(st.data())
def test_bytes_gone_wrong_are_read_or_refused(data):
    answer = bytearray(stream(*CALLS))
    for _ in range(data.draw(st.integers(1, 4))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    assert_survives(streaming, bytes(answer))
