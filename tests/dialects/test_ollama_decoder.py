"""Ollama's answers as block events, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.answers import MAX_BLOCKS
from netrunner.dialects.ollama.decoder import Decoder
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
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

HEAD = {"model": "m", "created_at": "2026-11-26T12:00:00.123456789Z"}
CALLS = [
    {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": "é"}}},
    {"function": {"name": "g", "arguments": {}}},
]
DONE = {"done": True, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 3, "eval_count": 4}


def line(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def said(**message: Any) -> bytes:
    return line({**HEAD, "message": {"role": "assistant", "content": "", **message}, "done": False})


def done(**more: Any) -> bytes:
    return line({**HEAD, "message": {"role": "assistant", "content": ""}, **DONE, **more})


def decoded(pieces: list[bytes], endpoint: str = "chat", streaming: bool = True, max_bytes: int = 4096) -> list[Event]:
    """Return the events of an answer, without what they came from."""
    decoder = Decoder(endpoint, streaming, max_bytes)
    events = [event for piece in pieces for event in decoder.feed(piece, False)] + decoder.feed(b"", True)
    assert decoder.complete
    return [msgspec.structs.replace(event, native=None) for event in events]


def finish(events: list[Event]) -> Finish:
    (found,) = [event for event in events if isinstance(event, Finish)]
    return found


STREAM = (
    said(thinking="H")
    + said(thinking="m")
    + said(content="Hé😀")
    + said(content="llo\u2028")
    + said(tool_calls=CALLS)
    + said(content="!")
    + done()
)


def test_a_stream_becomes_events():
    events = decoded([STREAM])
    made = events[12]
    assert isinstance(made, BlockOpen)
    assert (made.tool_id or "").startswith("call_")
    assert events == [
        Start(model="m"),
        BlockOpen(kind=BlockKind.REASONING, index=0),
        ReasoningDelta(text="H", index=0),
        ReasoningDelta(text="m", index=0),
        BlockClose(index=0),
        BlockOpen(kind=BlockKind.TEXT, index=1),
        TextDelta(text="Hé😀", index=1),
        TextDelta(text="llo\u2028", index=1),
        BlockClose(index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="c1", tool_name="f"),
        ToolArgs(fragment='{"a":"é"}', index=2),
        BlockClose(index=2),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id=made.tool_id, tool_name="g"),
        ToolArgs(fragment="{}", index=3),
        BlockClose(index=3),
        BlockOpen(kind=BlockKind.TEXT, index=4),
        TextDelta(text="!", index=4),
        BlockClose(index=4),
        UsageSeen(usage=Usage(input_total=3, output_total=4)),
        Finish(kind=FinishKind.TOOL_CALLS, reason="stop"),
    ]


SAMPLES = [
    STREAM,
    STREAM.replace(b"\n", b"\r\n"),
    STREAM.replace(b"\n", b"\r"),
    b"\xef\xbb\xbf\n\n" + STREAM.replace(b"\n", b"\n\n"),
    STREAM.rstrip(),
]


@pytest.mark.parametrize("stream", SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(stream):
    expected = decoded([STREAM])
    assert decoded([stream]) == expected
    assert decoded([stream[at : at + 1] for at in range(len(stream))]) == expected
    for at in range(len(stream)):
        assert decoded([stream[:at], stream[at:]]) == expected


@given(st.lists(st.integers(1, 80), max_size=40))
def test_a_stream_is_read_in_any_pieces(lengths):
    pieces, at = [], 0
    for length in lengths:
        pieces.append(STREAM[at : at + length])
        at += length
    assert decoded([*pieces, STREAM[at:]]) == decoded([STREAM])


def test_each_event_carries_the_line_it_came_from():
    events = Decoder("chat", True, 4096).feed(STREAM, True)
    assert [event.native for event in events if isinstance(event, Finish)] == [json.loads(done())]


def test_a_stream_that_ends_before_it_is_done_is_truncated():
    lines = STREAM.splitlines(keepends=True)
    for number in range(len(lines)):
        with pytest.raises(UpstreamError) as caught:
            decoded(lines[:number])
        assert caught.value.code == "upstream_truncated"


def test_a_stream_that_breaks_off_inside_a_line_is_no_answer():
    with pytest.raises(UpstreamError) as caught:
        decoded([STREAM[:-5]])
    assert caught.value.code == "upstream_invalid_response"


def test_an_answer_that_comes_as_one_document_tells_the_same():
    message = {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": CALLS}
    document = json.dumps({**HEAD, "message": message, **DONE}, indent=1).encode()
    whole = decoded([document], streaming=False)
    assert decoded([document[at : at + 1] for at in range(len(document))], streaming=False) == whole
    assert [type(event) for event in whole[:7]] == [
        Start,
        BlockOpen,
        ReasoningDelta,
        BlockClose,
        BlockOpen,
        TextDelta,
        BlockClose,
    ]
    assert finish(whole).kind is FinishKind.TOOL_CALLS


def test_a_document_that_is_not_done_is_truncated():
    with pytest.raises(UpstreamError) as caught:
        decoded([said(content="Hi")], streaming=False)
    assert caught.value.code == "upstream_truncated"


def test_a_completion_has_its_text_beside_everything_else():
    stream = (
        line({**HEAD, "response": "", "thinking": "Hm", "done": False})
        + line({**HEAD, "response": "Hi", "done": False})
        + line({**HEAD, "response": "", "tool_calls": CALLS[:1], **DONE, "context": [1, 2]})
    )
    events = decoded([stream], endpoint="generate")
    assert [event.text for event in events if isinstance(event, (TextDelta, ReasoningDelta))] == ["Hm", "Hi"]
    assert finish(events).kind is FinishKind.TOOL_CALLS


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("stop", FinishKind.STOP),
        ("length", FinishKind.LENGTH),
        ("load", FinishKind.STOP),
        ("unload", FinishKind.STOP),
        ("tool_calls", FinishKind.STOP),
        (None, FinishKind.STOP),
        ("exploded", FinishKind.ERROR),
    ],
)
def test_a_reason_is_known_or_an_error(reason, kind):
    found = finish(decoded([done(done_reason=reason)]))
    assert (found.kind, found.reason) == (kind, reason)


def test_calls_cut_off_by_a_limit_end_by_length():
    assert finish(decoded([said(tool_calls=CALLS) + done(done_reason="length")])).kind is FinishKind.LENGTH


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({}, Usage(input_total=3, output_total=4)),
        ({"prompt_eval_count": None}, Usage(input_total=0, output_total=4)),
        ({"eval_count": None}, Usage(input_total=3, output_total=0)),
        ({"eval_count": "many"}, Usage(input_total=3, output_total=0)),
        ({"prompt_eval_count": None, "eval_count": None}, None),
    ],
)
def test_a_count_that_is_left_out_beside_the_other_is_zero(counts, usage):
    seen = [event.usage for event in decoded([done(**counts)]) if isinstance(event, UsageSeen)]
    assert seen == ([] if usage is None else [usage])


def test_an_error_line_ends_the_answer():
    events = decoded([said(content="Hi"), line({"error": "the runner died"}), said(content="more")])
    assert events[-1] == StreamError(kind="upstream_error", message="the runner died")
    assert not any(isinstance(event, Finish) for event in events)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": "x", "code": "c"}, StreamError(kind="upstream_error", message="x", code="c")),
        ({"error": {"message": "x"}, "code": 7}, StreamError(kind="upstream_error", message="x")),
        ({"error": [1]}, StreamError(kind="upstream_error", message="")),
        (
            {"error": "the input length exceeds the context length"},
            StreamError(kind="context_too_long", message="the input length exceeds the context length"),
        ),
    ],
)
def test_an_answer_that_is_an_error_is_one_whatever_its_status(document, expected):
    assert decoded([line(document)], streaming=False) == [expected]
    assert decoded([line(document)], endpoint="embed", streaming=False) == [expected]


def test_what_follows_the_end_is_passed_over():
    assert decoded([STREAM, b"nonsense\n"]) == decoded([STREAM])


def test_calls_without_ids_have_the_same_id_again_and_no_other_call_has_it():
    def ids(stream: bytes) -> list[str | None]:
        return [event.tool_id for event in decoded([stream]) if isinstance(event, BlockOpen)]

    one = said(tool_calls=[CALLS[1], CALLS[1]]) + said(tool_calls=[CALLS[1]]) + done()
    other = one.replace(b".123456789Z", b".123456790Z")
    assert ids(one) == ids(one)
    assert len({*ids(one), *ids(other)}) == 6


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(None, "{}"), ("", "{}"), ('{"a": 1}', '{"a":1}'), ({"a": [1.0]}, '{"a":[1.0]}'), ("null", "{}")],
)
def test_arguments_become_json(arguments, expected):
    events = decoded([said(tool_calls=[{"function": {"name": "f", "arguments": arguments}}]) + done()])
    assert [event.fragment for event in events if isinstance(event, ToolArgs)] == [expected]


@pytest.mark.parametrize(
    "stream",
    [
        b"[]\n",
        b"7\n",
        b"nonsense\n",
        b"\xff\n",
        b'{"a":' + b"[" * 3000 + b"\n",
        line({"model": 7}),
        line({"message": []}),
        said(content=7),
        said(content=["Hi"]),
        said(thinking={}),
        said(tool_calls={}),
        said(tool_calls=[7]),
        said(tool_calls=[{}]),
        said(tool_calls=[{"function": 7}]),
        said(tool_calls=[{"function": {"name": ""}}]),
        said(tool_calls=[{"id": 7, "function": {"name": "f"}}]),
        said(tool_calls=[{"function": {"name": "f", "arguments": []}}]),
        said(tool_calls=[{"function": {"name": "f", "arguments": 7}}]),
        said(tool_calls=[{"function": {"name": "f", "arguments": "{"}}]),
        said(tool_calls=[{"function": {"name": "f", "arguments": "[1]"}}]),
        said(images=["aGk="]),
        line({**HEAD, "image": "aGk=", "done": True}),
        done(done_reason=7),
        said(tool_calls=[CALLS[1]] * (MAX_BLOCKS + 1)),
    ],
)
def test_what_cannot_be_read_is_no_answer(stream):
    decoder = Decoder("chat", True, 1 << 20)
    with pytest.raises(UpstreamError) as caught:
        decoder.feed(stream, False)
    assert (caught.value.code, caught.value.status) == ("upstream_invalid_response", 502)


@pytest.mark.parametrize("streaming", [True, False])
def test_what_is_too_large_is_refused(streaming):
    with pytest.raises(UpstreamError) as caught:
        decoded([b'{"x":"'] + [b"x" * 100] * 50, streaming=streaming)
    assert caught.value.code == "answer_too_large"


@given(st.binary(max_size=200))
def test_nonsense_is_an_error_and_nothing_else(data):
    with pytest.raises(UpstreamError, match="provider's answer"):
        decoded([data])


@pytest.mark.parametrize(
    ("endpoint", "document", "vectors", "usage"),
    [
        ("embed", {"embeddings": [[1, 2.5], [3, 4]], "prompt_eval_count": 5}, [[1, 2.5], [3, 4]], 5),
        ("embed", {"embeddings": []}, [], None),
        ("embed", {"embedding": [3], "embeddings": [[1], [2]]}, [[1], [2]], None),
        ("embeddings", {"embedding": [0.5]}, [[0.5]], None),
    ],
)
def test_embeddings_are_read(endpoint, document, vectors, usage):
    seen = [] if usage is None else [UsageSeen(usage=Usage(input_total=usage, output_total=0))]
    events = decoded([line({"model": "m", **document})], endpoint=endpoint, streaming=False)
    assert events == [Start(model="m"), Vectors(vectors=vectors), *seen]


@pytest.mark.parametrize(
    "document", [{}, {"embeddings": 7}, {"embeddings": [7]}, {"embeddings": [["x"]]}, {"embedding": None}]
)
def test_what_holds_no_embeddings_is_no_answer(document):
    with pytest.raises(UpstreamError) as caught:
        decoded([line(document)], endpoint="embed", streaming=False)
    assert caught.value.code == "upstream_invalid_response"
