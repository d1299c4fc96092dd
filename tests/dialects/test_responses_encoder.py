"""Block events written as answers of the Responses API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.conversation import Asked, Conversation
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.responses.dialect import ResponsesDialect
from netrunner.dialects.responses.reading import read
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

TOKEN = "0190a0b0c0d07e0f8a1b2c3d4e5f6071"
STOP = Finish(kind=FinishKind.STOP)
TEXT, CALL, REASONING, REDACTED = BlockKind.TEXT, BlockKind.TOOL_CALL, BlockKind.REASONING, BlockKind.REDACTED
NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
dialect = ResponsesDialect()


def encoder(stream: bool, **fields: Any) -> Any:
    body = json.dumps({"model": "m", "input": "hi", **fields}).encode()
    return dialect.encoder(
        Asked(
            id="0190a0b0-c0d0-7e0f-8a1b-2c3d4e5f6071",
            model="mine",
            endpoint="responses",
            stream=stream,
            wants_usage=False,
            at=1700000000.9,
            elapsed_s=lambda: 1.0,
            request=read(body, Gaps()),
        )
    )


def parsed(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, which is written as clients need it."""
    found = []
    for one in stream.split(b"\n\n")[:-1]:
        name, data = one.split(b"\n")
        document = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + document["type"].encode()
        found.append(document)
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


def told(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    """Return a stream's events, written one by one."""
    one = encoder(True, **fields)
    assert one.content_type == b"text/event-stream; charset=utf-8"
    return parsed(b"".join([one.write([event]) for event in events]) + one.end())


def types(found: list[dict[str, Any]]) -> list[str]:
    return [one["type"].removeprefix("response.") for one in found]


def answer(*events: Event, **fields: Any) -> dict[str, Any]:
    one = encoder(False, **fields)
    assert one.content_type == b"application/json"
    assert b"".join(one.write([event]) for event in events) == b""
    found: dict[str, Any] = json.loads(one.end())
    return found


def output(*events: Event) -> list[dict[str, Any]]:
    """Return the items of an answer: the same in a stream, written by pieces or at once, and in a document."""
    whole = answer(*events)
    assert told(*events)[-1]["response"] == whole
    one = encoder(True)
    assert parsed(one.write(events) + one.end())[-1]["response"]["output"] == whole["output"]
    items: list[dict[str, Any]] = whole["output"]
    return items


def call(index: int, tool_id: str | None = "c", name: str = "f") -> BlockOpen:
    return BlockOpen(kind=CALL, index=index, tool_id=tool_id, tool_name=name)


# --- the life of items --------------------------------------------------------------------------------------


def test_a_text_has_its_whole_life():
    found = told(
        Start(id="x", model="y"),
        BlockOpen(kind=TEXT),
        TextDelta(text="Hell"),
        TextDelta(text="o"),
        BlockClose(),
        UsageSeen(usage=Usage(input_total=7, output_total=5, cache_read=1, cache_write=2, reasoning=3)),
        STOP,
    )
    assert types(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    place = {"item_id": f"msg_{TOKEN}_0", "output_index": 0, "content_index": 0}
    item = {"id": f"msg_{TOKEN}_0", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    bare = [{key: value for key, value in one.items() if key not in ("type", "sequence_number")} for one in found]
    assert bare[2:9] == [
        {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {**place, "part": {**part, "text": ""}},
        {**place, "delta": "Hell", "logprobs": []},
        {**place, "delta": "o", "logprobs": []},
        {**place, "text": "Hello", "logprobs": []},
        {**place, "part": part},
        {"output_index": 0, "item": {**item, "status": "completed", "content": [part]}},
    ]
    response = found[-1]["response"]
    assert response["output"] == [{**item, "status": "completed", "content": [part]}]
    assert (response["status"], response["id"]) == ("completed", f"resp_{TOKEN}")
    assert response["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 12,
    }
    for one in found[:2]:
        assert one["response"] == {**response, "status": "in_progress", "output": [], "usage": None}


def test_texts_and_refusals_that_follow_one_another_are_one_message():
    events = [
        TextDelta(text="a"),
        BlockOpen(kind=TEXT, index=1),
        TextDelta(text="b", index=1),
        BlockOpen(kind=BlockKind.REFUSAL, index=2),
        TextDelta(text="no", index=2),
        STOP,
    ]
    (message,) = output(*events)
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["a", "b", "no"]
    found = told(*events)
    assert types(found)[-6:] == [
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [one["content_index"] for one in found if one["type"] == "response.content_part.added"] == [0, 1, 2]
    assert (found[-5]["delta"], found[-4]["refusal"]) == ("no", "no")


def test_a_thought_is_told_as_its_summary_with_its_seal():
    found = told(
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="h"),
        ReasoningDelta(text="m"),
        Signature(data="openai-responses-v1:own"),
        BlockClose(),
        STOP,
    )
    assert types(found)[2:] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "completed",
    ]
    assert found[2]["item"] == {"id": f"rs_{TOKEN}_0", "type": "reasoning", "summary": []}
    assert {(one["item_id"], one["output_index"], one["summary_index"]) for one in found[3:8]} == {
        (f"rs_{TOKEN}_0", 0, 0)
    }
    summary = {"type": "summary_text", "text": "hm"}
    assert (found[3]["part"], found[4]["delta"], found[6]["text"]) == ({**summary, "text": ""}, "h", "hm")
    assert (found[7]["part"], found[8]["item"]) == (
        summary,
        {"id": f"rs_{TOKEN}_0", "type": "reasoning", "summary": [summary], "encrypted_content": "own"},
    )


@pytest.mark.parametrize(
    ("kind", "summary"), [(REDACTED, []), (REASONING, [{"type": "summary_text", "text": ""}])], ids=["all", "hidden"]
)
def test_a_seal_on_nothing_tells_whether_there_was_a_text(kind, summary):
    (item,) = output(BlockOpen(kind=kind), Signature(data="anthropic-claude-v1:x"), STOP)
    assert (item["summary"], item["encrypted_content"]) == (summary, "anthropic-claude-v1:x")


@pytest.mark.parametrize("kind", [REASONING, REDACTED, BlockKind.IMAGE, BlockKind.CITATION])
def test_what_holds_nothing_that_can_be_told_is_no_item(kind):
    assert output(BlockOpen(kind=kind), BlockClose(), STOP) == []


def test_something_that_cannot_be_told_does_not_end_a_message():
    (message,) = output(TextDelta(text="a"), BlockOpen(kind=BlockKind.CITATION, index=1), TextDelta(text="b"), STOP)
    assert [part["text"] for part in message["content"]] == ["a", "b"]


def test_a_call_has_its_whole_life():
    found = told(
        TextDelta(text="x"), call(1), ToolArgs(fragment='{"a"', index=1), ToolArgs(fragment=":1}", index=1), STOP
    )
    assert types(found)[6:] == [
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    item = {"id": f"fc_{TOKEN}_1", "type": "function_call", "call_id": "c", "name": "f"}
    assert found[8]["item"] == {**item, "status": "in_progress", "arguments": ""}
    assert [one["delta"] for one in found[9:11]] == ['{"a"', ":1}"]
    assert (found[11]["arguments"], found[11]["item_id"], found[11]["output_index"]) == ('{"a":1}', item["id"], 1)
    assert found[12]["item"] == {**item, "status": "completed", "arguments": '{"a":1}'}


def test_calls_may_be_written_at_once():
    items = output(
        call(0, "a"),
        ToolArgs(fragment='{"x":', index=0),
        call(1, "b"),
        ToolArgs(fragment="{}", index=1),
        ToolArgs(fragment="1}", index=0),
        STOP,
    )
    assert [(one["call_id"], one["arguments"]) for one in items] == [("a", '{"x":1}'), ("b", "{}")]


def test_a_call_without_arguments_has_empty_ones():
    found = told(call(0), ToolArgs(fragment=""), BlockClose(), STOP)
    deltas = [one["delta"] for one in found if one["type"] == "response.function_call_arguments.delta"]
    assert (deltas, found[-1]["response"]["output"][0]["arguments"]) == (["{}"], "{}")


def test_a_call_whose_arguments_break_off_is_incomplete():
    (item,) = output(call(0), ToolArgs(fragment='{"a'), Finish(kind=FinishKind.LENGTH))
    assert (item["status"], item["arguments"]) == ("incomplete", '{"a')


@pytest.mark.parametrize("tool_id", [None, "", "x" * 65, "dup"])
def test_each_call_has_an_id_of_its_own_that_is_not_too_long(tool_id):
    items = output(call(0, "dup"), call(1, tool_id), call(2, tool_id), STOP)
    ids = [one["call_id"] for one in items]
    assert len(set(ids)) == 3
    assert all(0 < len(one) <= 64 for one in ids)


def test_a_seal_of_a_call_is_a_thought_before_it_wherever_it_comes():
    sealed = Signature(data="google-gemini-v1:x")
    before = output(call(0), sealed, ToolArgs(fragment="{}"), STOP)
    one = encoder(True)
    together = parsed(one.write([call(0), ToolArgs(fragment="{}"), sealed, STOP]) + one.end())[-1]["response"]["output"]
    assert before == together
    thought = {"id": f"rs_{TOKEN}_0", "type": "reasoning", "summary": [], "encrypted_content": "google-gemini-v1:x"}
    assert (before[0], before[1]["type"]) == (thought, "function_call")


def test_what_was_written_is_read_back_when_the_caller_sends_it_again():
    items = output(
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="hm"),
        Signature(data="anthropic-claude-v1:a"),
        BlockOpen(kind=REDACTED, index=1),
        Signature(data="anthropic-claude-v1:b", index=1),
        TextDelta(text="hello", index=2),
        call(3),
        Signature(data="google-gemini-v1:c", index=3),
        ToolArgs(fragment="{}", index=3),
        STOP,
    )
    gaps = Gaps()
    found = read(json.dumps({"model": "m", "input": items}).encode(), gaps)
    (turn,) = found.turns
    assert [getattr(part, "signature", None) for part in turn.parts] == [
        "anthropic-claude-v1:a",
        "anthropic-claude-v1:b",
        None,
        "google-gemini-v1:c",
        None,
    ]
    assert [getattr(part, "redacted", None) for part in turn.parts] == [False, True, None, False, None]
    assert gaps.dropped == []


# --- the response -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "details"),
    [
        (FinishKind.STOP, "completed", None),
        (FinishKind.STOP_SEQUENCE, "completed", None),
        (FinishKind.TOOL_CALLS, "completed", None),
        (FinishKind.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (FinishKind.CONTEXT_FULL, "incomplete", {"reason": "max_output_tokens"}),
        (FinishKind.CONTENT_FILTER, "incomplete", {"reason": "content_filter"}),
        (FinishKind.PAUSE, "incomplete", None),
    ],
)
def test_a_response_says_how_it_ended(kind, status, details):
    found = told(TextDelta(text="a"), Finish(kind=kind))
    response = found[-1]["response"]
    assert found[-1]["type"] == f"response.{status}"
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][0]["status"] == status


def test_an_empty_answer_is_a_response_without_items():
    assert types(told(STOP)) == ["created", "in_progress", "completed"]
    assert (answer(STOP)["output"], answer(STOP)["usage"]) == ([], NO_USAGE)


def test_a_response_without_settings_tells_what_they_are():
    assert answer(STOP) == {
        "id": f"resp_{TOKEN}",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": NO_USAGE,
        "model": "mine",
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "safety_identifier": None,
        "temperature": 1.0,
        "tool_choice": "auto",
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
        "background": False,
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "top_logprobs": 0,
        "reasoning": {"effort": None, "summary": None},
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tools": [],
    }


def test_settings_are_told_back_as_they_were_asked():
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    asked = {
        "instructions": "be",
        "max_output_tokens": 5,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "temperature": 0.0,
        "tool_choice": {"type": "function", "name": "f"},
        "user": "u",
    }
    text = {"format": {"type": "json_object"}, "verbosity": "low"}
    found = answer(STOP, **asked, tools=[tool], text=text, reasoning={"effort": "low"}, store=True)
    assert {name: found[name] for name in asked} == asked
    assert (found["tools"], found["text"]) == ([{**tool, "description": None}], text)
    assert (found["reasoning"], found["store"]) == ({"effort": "low", "summary": None}, False)


def test_a_request_of_which_nothing_is_kept_is_answered_too():
    asked = Asked(
        id="x",
        model="m",
        endpoint="responses",
        stream=False,
        wants_usage=False,
        at=1.0,
        elapsed_s=float,
        request=Conversation(),
    )
    one = dialect.encoder(asked)
    one.write([STOP])
    assert json.loads(one.end())["temperature"] == 1.0


# --- the rest -----------------------------------------------------------------------------------------------


def test_a_sign_of_life_is_a_comment():
    one = encoder(True)
    assert one.write([KeepAlive()]) == b": keepalive\n\n"
    assert one.write([]) == b""


def test_further_choices_are_passed_over():
    other = [TextDelta(text="b", choice=1), Finish(kind=FinishKind.STOP, choice=1)]
    (message,) = output(TextDelta(text="a"), *other, STOP)
    assert message["content"][0]["text"] == "a"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_not_complete_is_not_ended(stream):
    one = encoder(stream)
    one.write([TextDelta(text="a")])
    with pytest.raises(InternalError):
        one.end()


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_is_never_told_as_an_end(stream):
    with pytest.raises(InternalError):
        encoder(stream).write([Finish(kind=FinishKind.ERROR)])


def test_an_error_is_numbered_like_what_came_before_it():
    one = encoder(True)
    written = one.write([TextDelta(text="a")])
    error = UpstreamError("It broke.", code="upstream_truncated", param="p")
    assert parsed(written + one.error(error))[-1] == {
        "type": "error",
        "code": "upstream_truncated",
        "message": "It broke.",
        "param": "p",
        "error": {"type": "server_error", "code": "upstream_truncated", "message": "It broke.", "param": "p"},
        "sequence_number": 5,
    }


def test_what_line_splitters_cut_is_escaped():
    one = encoder(True)
    assert b"a\\u2028\\u2029\\u0085" in one.write([TextDelta(text="a\u2028\u2029\u0085")])


SOME = st.one_of(
    st.builds(
        BlockOpen, kind=st.sampled_from(BlockKind), index=st.integers(0, 3), tool_id=st.sampled_from([None, "c"])
    ),
    st.builds(TextDelta, text=st.sampled_from(["", "a"]), index=st.integers(0, 3)),
    st.builds(ReasoningDelta, text=st.sampled_from(["", "a"]), index=st.integers(0, 3)),
    st.builds(BlockClose, index=st.integers(0, 3)),
    st.just(Start()),
)


@given(st.lists(SOME, max_size=12))
def test_whatever_comes_every_item_is_added_and_done_and_all_of_them_are_the_output(events):
    found = told(*events, STOP)
    added, done = ([one for one in found if one["type"] == f"response.output_item.{way}"] for way in ("added", "done"))
    assert [one["output_index"] for one in added] == list(range(len(added)))
    items = {one["output_index"]: one["item"] for one in done}
    assert [items[number] for number in range(len(added))] == found[-1]["response"]["output"]
    assert [one["item"]["id"] for one in added] == [items[number]["id"] for number in range(len(added))]
    assert answer(*events, STOP) == found[-1]["response"]
