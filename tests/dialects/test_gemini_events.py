"""Gemini's answers as event filters see them: the same JSON where nothing changed, the same document else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from netrunner.dialects.gemini.events import Chunk, EventCodec
from netrunner.errors import InternalError, UpstreamError
from netrunner.events import (
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
)


def piece(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0, "safetyRatings": [1.5]}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "unknown": {"x": 1}, **more}


CALL = {"functionCall": {"id": "c", "name": "get", "args": {"a": 1}, "odd": 1}, "thoughtSignature": "AAAA"}
STREAM = [
    piece({"text": "hm", "thought": True, "thoughtSignature": "BBBB"}),
    piece({"text": "Hello", "odd": 1}),
    piece(CALL, {"executableCode": {"code": "1"}}),
    piece({"text": "", "thoughtSignature": "CCCC"}, finish="STOP", usageMetadata={"promptTokenCount": 1}),
]
Change = Callable[[Event], list[Event]]


def sse(*documents: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents)


def chunks(data: bytes, streaming: bool = True) -> tuple[EventCodec, list[Chunk]]:
    codec = EventCodec(streaming, 1 << 20)
    return codec, codec.feed(data, False) + codec.feed(b"", True)


def passed(data: bytes, change: Change, streaming: bool = True) -> bytes:
    codec, found = chunks(data, streaming)
    return b"".join(codec.write(chunk, [one for event in chunk.events for one in change(event)]) for chunk in found)


def documents(data: bytes) -> list[Any]:
    return [json.loads(block[6:]) for block in data.split(b"\n\n") if block]


def only(of: type[Event], **changes: Any) -> Change:
    return lambda event: [msgspec.structs.replace(event, **changes)] if isinstance(event, of) else [event]


def without(*kinds: type[Event]) -> Change:
    return lambda event: [] if isinstance(event, kinds) else [event]


def parts(document: Any) -> Any:
    return document["candidates"][0]["content"]["parts"]


@pytest.mark.parametrize("form", ["events", "list", "document"])
def test_what_nobody_changes_stays_as_it_was(form):
    data = {
        "events": sse(*STREAM),
        "list": b"[" + b",\r\n".join(json.dumps(one).encode() for one in STREAM) + b"]",
        "document": json.dumps(STREAM[3]).encode(),
    }[form]
    assert passed(data, lambda event: [event], form == "events") == data


def test_other_framings_become_plain_events():
    data = sse(*STREAM[1:]).replace(b"\n\n", b"\r\n\r\n").replace(b'"text": "Hello"', b'"text":\r\ndata: "Hello"')
    found = passed(b": hi\r\n\r\n" + data + b"data: [DONE]\r\n\r\n", lambda event: [event])
    assert documents(found) == STREAM[1:]
    assert b"DONE" not in found


def test_a_text_is_changed_and_what_stands_beside_it_lives_on():
    [thought, text, call, last] = documents(passed(sse(*STREAM), only(TextDelta, text="Bye")))
    assert text == piece({"text": "Bye", "odd": 1})
    assert [thought, call, last] == [STREAM[0], STREAM[2], STREAM[3]]


def test_reasoning_is_changed_and_keeps_its_seal():
    assert documents(passed(sse(*STREAM), only(ReasoningDelta, text="")))[0] == piece(
        {"text": "", "thought": True, "thoughtSignature": "BBBB"}
    )
    assert parts(documents(passed(sse(*STREAM), without(ReasoningDelta)))[0]) == [
        {"text": "", "thought": True, "thoughtSignature": "BBBB"}
    ]


def test_a_signed_text_that_changes_keeps_its_seal_once():
    signed = {"text": "Hello", "thoughtSignature": "AAAA"}
    data = sse(piece(signed, {"text": "!"}, finish="STOP"))
    assert parts(documents(passed(data, only(TextDelta, text="x")))[0]) == [{**signed, "text": "x"}, {"text": "x"}]
    assert parts(documents(passed(data, without(TextDelta)))[0]) == [{**signed, "text": ""}]


def test_arguments_and_names_of_calls_are_changed_within_them():
    changed = documents(passed(sse(*STREAM), only(ToolArgs, fragment='{"b":2}')))[2]
    assert parts(changed) == [
        {**CALL, "functionCall": {"id": "c", "name": "get", "args": {"b": 2}, "odd": 1}},
        {"executableCode": {"code": "1"}},
    ]
    renamed = documents(passed(sse(*STREAM), only(BlockOpen, tool_name="put")))[2]
    assert parts(renamed)[0]["functionCall"]["name"] == "put"
    emptied = documents(passed(sse(*STREAM), only(ToolArgs, fragment="")))[2]
    assert parts(emptied)[0]["functionCall"]["args"] == {}


def test_a_piece_that_says_nothing_any_more_is_left_out_of_a_stream():
    found = documents(passed(sse(*STREAM), without(TextDelta)))
    assert found == [STREAM[0], STREAM[2], STREAM[3]]


def test_in_a_list_every_element_stays():
    found = json.loads(passed(json.dumps(STREAM).encode(), without(TextDelta, BlockOpen, ToolArgs, Signature), False))
    assert [len(one["candidates"]) for one in found] == [1, 0, 0, 1]


def test_counts_stay_when_everything_else_is_dropped():
    data = sse(piece({"text": "a"}, usageMetadata={"promptTokenCount": 1}), piece(finish="STOP"))
    [first, _] = documents(passed(data, without(TextDelta)))
    assert (first["candidates"], first["usageMetadata"]) == ([], {"promptTokenCount": 1})


def test_a_filters_own_text_goes_into_the_piece_it_was_given_for():
    codec, [*_, last] = chunks(sse(*STREAM))
    added = [TextDelta(text="more"), ReasoningDelta(text="why", choice=1), TextDelta(text="")]
    [document] = documents(codec.write(last, [*added, *last.events]))
    assert parts(document) == [{"text": "more"}, {"text": "", "thoughtSignature": "CCCC"}]
    assert document["candidates"][1]["content"]["parts"] == [{"text": "why", "thought": True}]


def test_text_that_was_held_back_until_the_end_of_a_list_becomes_an_element():
    codec, [*_, end] = chunks(json.dumps([piece(finish="STOP")]).encode(), False)
    assert end.done
    assert codec.write(end, []) == b"]"
    written = codec.write(end, [TextDelta(text="late")])
    assert json.loads(b"[{}" + written)[1] == {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "late"}]}, "index": 0}]
    }


def test_a_finish_may_be_changed():
    assert (
        documents(passed(sse(*STREAM), only(Finish, kind=FinishKind.LENGTH)))[3]["candidates"][0]["finishReason"]
        == "MAX_TOKENS"
    )
    same = only(Finish, stop_sequence="x")
    assert documents(passed(sse(*STREAM), same))[3]["candidates"][0]["finishReason"] == "STOP"
    with pytest.raises(InternalError):
        passed(sse(*STREAM), only(Finish, kind=FinishKind.ERROR))


def test_a_finish_of_a_blocked_prompt_can_be_changed_too():
    data = sse({"promptFeedback": {"blockReason": "SAFETY"}})
    _, [chunk] = chunks(data)
    assert chunk.finishes
    [document] = documents(passed(data, only(Finish, kind=FinishKind.STOP)))
    assert document["candidates"][0]["finishReason"] == "STOP"


def test_chunks_after_a_finish_wait_with_it():
    _, found = chunks(sse(STREAM[1], *STREAM[3:], {"usageMetadata": {"promptTokenCount": 1}}, piece(finish="STOP")))
    assert [chunk.finishes for chunk in found] == [False, True, True, True]
    assert sum(isinstance(event, Finish) for chunk in found for event in chunk.events) == 1
    assert chunks(json.dumps(STREAM[3]).encode(), False)[1][0].finishes


@pytest.mark.parametrize(
    "made",
    [
        BlockOpen(kind=BlockKind.TOOL_CALL, tool_id="x", tool_name="y"),
        ToolArgs(fragment="{}"),
        Signature(data="x"),
        StreamError(kind="x", message="y"),
    ],
)
def test_what_a_filter_cannot_make_is_refused(made):
    codec, found = chunks(sse(*STREAM))
    with pytest.raises(InternalError) as caught:
        codec.write(found[1], [made])
    assert caught.value.code == "filter_failed"


@pytest.mark.parametrize("fragment", ["{", "[1]"])
def test_arguments_that_are_no_object_are_refused(fragment):
    with pytest.raises(InternalError):
        passed(sse(*STREAM), only(ToolArgs, fragment=fragment))


def test_a_block_of_a_filter_that_is_no_call_is_where_its_text_is():
    codec, found = chunks(sse(*STREAM))
    opened = BlockOpen(kind=BlockKind.IMAGE)
    assert parts(documents(codec.write(found[1], [opened, TextDelta(text="x")]))[0]) == [{"text": "x"}]


def test_an_error_is_passed_on_and_ends_the_answer():
    error = {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}
    codec, found = chunks(sse(STREAM[1]) + json.dumps(error, indent=1).encode() + b"\n\n" + sse(STREAM[1]))
    assert codec.complete
    assert [type(event) for event in found[1].events] == [StreamError]
    assert documents(codec.write(found[1], found[1].events)) == [error]
    assert len(found) == 2


def test_an_error_that_a_filter_drops_is_told_all_the_same():
    codec, [chunk] = chunks(sse({"error": {"message": "x"}}))
    assert documents(codec.write(chunk, [])) == [{"error": {"message": "x"}}]


def test_an_answer_that_is_cut_is_no_answer():
    for data in (sse(STREAM[1]), json.dumps(STREAM).encode()[:-1], b""):
        with pytest.raises(UpstreamError) as caught:
            chunks(data)
        assert caught.value.code == "upstream_truncated"
