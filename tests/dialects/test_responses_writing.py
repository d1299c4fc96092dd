"""Conversations written as requests to the Responses API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.responses.reading import read
from netrunner.dialects.responses.writing import write
from netrunner.errors import UnsupportedParameter

HELLO = Turn("user", (Text("hi"),))
LONG = "toolu_" + "x" * 80


def written(gaps: Gaps | None = None, **fields: Any) -> dict[str, Any]:
    told = write(Conversation(**{"turns": (HELLO,), **fields}), "m", False, gaps or Gaps())
    assert (told.endpoint, told.query) == ("responses", b"")
    found: dict[str, Any] = json.loads(told.body)
    return found


def items(*parts: Any, role: Any = "assistant", gaps: Gaps | None = None) -> Any:
    return written(gaps, turns=(Turn(role, parts),))["input"]


def test_a_plain_request_says_what_was_asked_and_keeps_nothing():
    hello = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert written() == {"model": "m", "input": [hello], "stream": False, "store": False}
    assert json.loads(write(Conversation(turns=(HELLO,)), "m", True, Gaps()).body)["stream"] is True


def test_turns_become_items_in_their_order():
    gaps = Gaps()
    found = written(
        gaps,
        instructions=("a", "b"),
        turns=(
            HELLO,
            Turn(
                "assistant",
                (
                    Reasoning("hm", "openai-responses-v1:own"),
                    Text("x"),
                    Refusal("no"),
                    ToolCall("c", "f", "{}"),
                    Text("y"),
                ),
            ),
            Turn("user", (ToolResult("c", (Text("1"), Text("2"))), Text("go on"))),
            Turn("system", (Text("be"),)),
        ),
    )
    assert found["instructions"] == "a\n\nb"
    assert found["input"][1:] == [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "own",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "y"}]},
        {"type": "function_call_output", "call_id": "c", "output": "12"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be"}]},
    ]
    assert gaps.dropped == []


def test_what_is_written_is_read_again():
    conversation = Conversation(
        instructions=("a",),
        turns=(
            HELLO,
            Turn("assistant", (Reasoning("", "openai-responses-v1:s", True), Text("x"), ToolCall("c", "f", "{}"))),
            Turn("user", (ToolResult("c", (Text("1"), Media(kind="image", url="https://x/y", detail="auto")), "f"),)),
        ),
        tools=(Tool("f", "d", {"type": "object"}, False),),
        tool_choice=ToolChoice("named", "f"),
        format=Format("json_schema", {"type": "object"}, "n", "d", True),
        thinking=Thinking(enabled=True, effort="low", shown=True),
        max_tokens=5,
        temperature=0.5,
        top_p=0.25,
        parallel_tool_calls=True,
        user="u",
    )
    gaps = Gaps()
    found = read(write(conversation, "m", True, gaps).body, gaps)
    found.native = None
    assert (found, gaps.dropped) == (conversation, [])


def test_what_another_model_thought_is_not_said_again():
    gaps = Gaps()
    assert items(Reasoning("hm", "anthropic-claude-v1:x"), Reasoning("hm"), gaps=gaps) == []
    assert gaps.dropped == ["reasoning"]


def test_a_call_and_its_result_find_each_other_though_their_id_is_too_long():
    call, other = items(ToolCall(LONG, "f", "{}"), ToolCall(LONG + "y", "f", "{}"))
    (result,) = items(ToolResult(LONG, (Text("1"),)), role="user")
    assert call["call_id"] == result["call_id"] != other["call_id"]
    assert len(call["call_id"]) == 64
    assert items(ToolCall("x" * 64, "f", "{}"))[0]["call_id"] == "x" * 64


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media(kind="image", url="https://x/y", detail="low"),
            {"type": "input_image", "detail": "low", "image_url": "https://x/y"},
        ),
        (
            Media(kind="image", mime="image/gif", data="AA=="),
            {"type": "input_image", "detail": "auto", "image_url": "data:image/gif;base64,AA=="},
        ),
        (Media(kind="image", file_id="f"), {"type": "input_image", "detail": "auto", "file_id": "f"}),
        (Media(kind="document", file_id="f"), {"type": "input_file", "file_id": "f"}),
        (Media(kind="document", url="https://x/y"), {"type": "input_file", "file_url": "https://x/y"}),
        (
            Media(kind="document", mime="text/plain", data="AA==", name="a.txt"),
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,AA=="},
        ),
        (
            Media(kind="document", data="AA=="),
            {"type": "input_file", "filename": "document", "file_data": "data:application/pdf;base64,AA=="},
        ),
    ],
)
def test_images_and_files_are_written(media, part):
    (message,) = items(media, role="user")
    assert message["content"] == [part]
    (result,) = items(ToolResult("c", (media,)), role="user")
    assert result["output"] == [part]


def test_a_result_says_that_its_call_failed():
    (result,) = items(ToolResult("c", (Text("gone"),), is_error=True), role="user")
    assert result["output"] == "Error: gone"


@pytest.mark.parametrize(
    ("role", "part", "name"),
    [
        ("user", Media(kind="audio", mime="audio/wav", data="AA=="), "audio"),
        ("assistant", Media(kind="image", url="https://x/y"), "assistant_media"),
    ],
)
def test_media_without_a_place_are_given_up(role, part, name):
    gaps = Gaps()
    assert items(part, role=role, gaps=gaps) == []
    assert gaps.dropped == [name]


@pytest.mark.parametrize(
    ("thinking", "told"),
    [
        (Thinking(enabled=False), {"reasoning": {"effort": "none"}}),
        (Thinking(enabled=True, effort="max"), {"reasoning": {"effort": "max"}}),
        (Thinking(enabled=True, budget_tokens=1024), {"reasoning": {"effort": "low"}}),
        (Thinking(enabled=True, budget_tokens=8192), {"reasoning": {"effort": "medium"}}),
        (Thinking(budget_tokens=64000, shown=True), {"reasoning": {"effort": "high", "summary": "auto"}}),
        (Thinking(enabled=True, shown=False), {}),
    ],
)
def test_how_much_to_think_is_written(thinking, told):
    found = written(thinking=thinking)
    assert {name: value for name, value in found.items() if name == "reasoning"} == told
    assert found.get("include") == (None if thinking.enabled is False else ["reasoning.encrypted_content"])


@pytest.mark.parametrize(
    ("format", "told"),
    [
        (Format("json_object"), {"type": "json_object"}),
        (
            Format("json_schema", {"type": "array"}),
            {"type": "json_schema", "name": "answer", "schema": {"type": "array"}},
        ),
        (Format("json_schema"), {"type": "json_schema", "name": "answer", "schema": {}}),
    ],
)
def test_the_form_of_an_answer_is_written(format, told):
    assert written(format=format)["text"] == {"format": told}


def test_a_tool_is_strict_only_if_the_caller_says_so():
    (tool,) = written(tools=(Tool("f"),))["tools"]
    assert tool == {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    assert written(tools=(Tool("f", strict=True),))["tools"][0]["strict"] is True


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_a_choice_of_tools_is_a_word(mode):
    assert written(tools=(Tool("f"),), tool_choice=ToolChoice(mode))["tool_choice"] == mode


def test_without_tools_only_a_demand_for_one_is_told():
    assert "tool_choice" not in written(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    found = written(tool_choice=ToolChoice("required"), parallel_tool_calls=False)
    assert (found["tool_choice"], "parallel_tool_calls" in found) == ("required", False)


def test_what_has_no_place_is_given_up_by_the_callers_name():
    gaps = Gaps()
    gaps.called("top_k", "topK")
    lost = {"top_k": 1, "seed": 0, "presence_penalty": 1.0, "frequency_penalty": 1.0, "logprobs": True}
    named = Turn("user", (Text("hi"),), "bob")
    assert set(written(gaps, turns=(named,), n=1, **lost)) == {"model", "input", "stream", "store"}
    assert gaps.dropped == ["topK", *list(lost)[1:], "name"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stop": ("x",)}, "stop"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"n": 2}, "n"),
        ({"turns": (Turn("user", (Media(kind="video", url="x"),)),)}, "video"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields, name):
    with pytest.raises(UnsupportedParameter) as refused:
        written(**fields)
    assert refused.value.param == name


def test_embeddings_are_refused():
    with pytest.raises(UnsupportedParameter):
        write(Embedding(inputs=("a",)), "m", False, Gaps())
