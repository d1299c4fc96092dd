"""Requests to the Responses API, read in terms of no dialect."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.conversation import (
    Conversation,
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
from netrunner.errors import BadRequest, UnsupportedParameter

HELLO = Turn("user", (Text("hi"),))
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}


def asked(gaps: Gaps | None = None, **fields: Any) -> Conversation:
    return read(json.dumps({"model": "m", "input": "hi", **fields}).encode(), gaps or Gaps())


def turns(*items: Any) -> tuple[Turn, ...]:
    return asked(input=list(items)).turns


def dropped(**fields: Any) -> list[str]:
    gaps = Gaps()
    asked(gaps, **fields)
    return gaps.dropped


def message(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **fields}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": [], **fields}


# --- input --------------------------------------------------------------------------------------------------


def test_a_string_is_what_the_user_says():
    found = asked(stream=True)
    assert found.turns == (HELLO,)
    assert found.native == {"model": "m", "input": "hi", "stream": True}
    assert dropped(stream=True) == []


def test_instructions_and_what_the_operator_says_first_stand_apart():
    found = asked(
        instructions="a",
        input=[
            {"role": "developer", "content": "b"},
            message("system", [{"type": "input_text", "text": "c"}, {"type": "input_text", "text": "d"}]),
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": "later"},
        ],
    )
    assert found.instructions == ("a", "b", "cd")
    assert found.turns == (HELLO, Turn("system", (Text("later"),)))


def test_what_a_model_said_thought_and_called_in_a_row_is_one_turn():
    assert turns(
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        message("assistant", [said("a"), {"type": "refusal", "refusal": "no"}], id="msg_1", phase="commentary"),
        CALL,
        {"type": "function_call", "call_id": "d", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "function_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": "yes"},
    ) == (
        HELLO,
        Turn(
            "assistant",
            (Reasoning("hm"), Text("a"), Refusal("no"), ToolCall("c", "f", '{"a":1}'), ToolCall("d", "g", "{}")),
        ),
        Turn("user", (ToolResult("c", (Text("1"),), "f"), ToolResult("d", (Text("2"),), "g"))),
        Turn("user", (Text("go on"),)),
        Turn("assistant", (Text("yes"),)),
    )


def test_a_result_does_not_join_what_the_user_says_before_it():
    result = {"type": "function_call_output", "call_id": "c", "output": "1", "name": "told"}
    assert turns({"role": "user", "content": "hi"}, result) == (
        HELLO,
        Turn("user", (ToolResult("c", (Text("1"),), "told"),)),
    )


@pytest.mark.parametrize("content", [[], ""])
def test_a_model_that_said_nothing_has_no_turn(content):
    hello = {"role": "user", "content": "hi"}
    assert turns(message("assistant", content), hello, message("assistant", content)) == (HELLO,)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_an_operator_who_said_nothing_has_no_turn(role):
    hello = {"role": "user", "content": "hi"}
    assert turns(message(role, []), hello, message(role, [])) == (HELLO,)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "input_image", "image_url": "https://x/y.png"}, Media(kind="image", url="https://x/y.png")),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            Media(kind="image", mime="image/png", data="AA==", detail="low"),
        ),
        ({"type": "input_image", "file_id": "file_1"}, Media(kind="image", file_id="file_1")),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,AA==", "filename": "a.txt"},
            Media(kind="document", mime="text/plain", data="AA==", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_data": "AA=="},
            Media(kind="document", mime="application/pdf", data="AA=="),
        ),
        ({"type": "input_file", "file_url": "https://x/y.pdf"}, Media(kind="document", url="https://x/y.pdf")),
        ({"type": "input_file", "file_id": "file_1"}, Media(kind="document", file_id="file_1")),
    ],
)
def test_images_and_files_are_taken_as_they_are(part, media):
    assert turns(message("user", [part])) == (Turn("user", (media,)),)
    result = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert turns(result) == (Turn("user", (ToolResult("c", (media,)),)),)


# --- reasoning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "thoughts"),
    [
        ({"summary": []}, []),
        ({"summary": ["a", "b"]}, [Reasoning("a\n\nb")]),
        ({"summary": ["a"], "content": ["all"]}, [Reasoning("all")]),
        ({"summary": ["a"], "seal": "own"}, [Reasoning("a", "openai-responses-v1:own")]),
        ({"summary": [], "seal": "own"}, [Reasoning("", "openai-responses-v1:own", True)]),
        ({"summary": ["a"], "seal": "anthropic-claude-v1:x"}, [Reasoning("a", "anthropic-claude-v1:x")]),
        ({"summary": [], "seal": "anthropic-claude-v1:x"}, [Reasoning("", "anthropic-claude-v1:x", True)]),
        ({"summary": [""], "seal": "anthropic-claude-v1:x"}, [Reasoning("", "anthropic-claude-v1:x")]),
        ({"summary": [], "seal": "google-gemini-v1:x"}, [Reasoning("", "google-gemini-v1:x")]),
        ({"summary": [], "seal": "gigachat-v1:x"}, [Reasoning("", "gigachat-v1:x")]),
        ({"summary": [""]}, []),
    ],
)
def test_what_was_thought_comes_back_with_its_seal(item, thoughts):
    document = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in item["summary"]],
        "content": [{"type": "reasoning_text", "text": text} for text in item.get("content", ())] or None,
        "encrypted_content": item.get("seal"),
    }
    found = turns({"role": "user", "content": "hi"}, document, CALL)
    assert found[1].parts == (*thoughts, ToolCall("c", "f", '{"a":1}'))


# --- how it is asked ----------------------------------------------------------------------------------------


def test_settings_are_read():
    gaps = Gaps()
    found = asked(
        gaps,
        max_output_tokens=5,
        temperature=0.5,
        top_p=1,
        parallel_tool_calls=False,
        user="u",
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}],
        tool_choice="required",
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.parallel_tool_calls) == (5, 0.5, 1, False)
    assert found.tools == (Tool("f", "d", {"type": "object"}, True),)
    assert (found.tool_choice, found.user, gaps.dropped) == (ToolChoice("required"), "u", [])
    assert [gaps.name(field) for field in ("max_tokens", "format", "thinking")] == [
        "max_output_tokens",
        "text.format",
        "reasoning",
    ]


def test_a_caller_may_name_its_user_in_the_newer_way():
    gaps = Gaps()
    assert asked(gaps, safety_identifier="s").user == "s"
    assert (gaps.dropped, gaps.name("user")) == ([], "safety_identifier")
    assert dropped(safety_identifier="s", user="u") == ["safety_identifier"]


@pytest.mark.parametrize(
    ("choice", "found", "left"),
    [
        ("auto", ToolChoice("auto"), "fg"),
        ({"type": "function", "name": "f"}, ToolChoice("named", "f"), "fg"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            ToolChoice("required"),
            "g",
        ),
        ({"type": "allowed_tools", "tools": []}, ToolChoice("auto"), ""),
        (None, None, "fg"),
    ],
)
def test_a_choice_of_tools_is_read(choice, found, left):
    tools = [{"type": "function", "name": name, "parameters": None} for name in "fg"]
    conversation = asked(tools=tools, tool_choice=choice)
    assert (conversation.tool_choice, "".join(tool.name for tool in conversation.tools)) == (found, left)


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        ({"effort": "none", "summary": "auto"}, Thinking(enabled=False)),
        ({"effort": "xhigh"}, Thinking(enabled=True, effort="xhigh")),
        ({"effort": "low", "summary": "detailed"}, Thinking(enabled=True, effort="low", shown=True)),
        ({"generate_summary": "concise"}, Thinking(shown=True)),
        ({"effort": None, "summary": None, "mode": "standard"}, None),
    ],
)
def test_how_much_to_think_is_read(reasoning, thinking):
    gaps = Gaps()
    assert asked(gaps, reasoning=reasoning).thinking == thinking
    assert gaps.dropped == []


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format("json_object")),
        (
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"},
            Format("json_schema", {"type": "object"}, "n", "d", True),
        ),
    ],
)
def test_the_form_of_an_answer_is_read(form, found):
    assert asked(text={"format": form}).format == found


# --- what is lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"metadata": {"a": "b"}}, ["metadata"]),
        ({"service_tier": "flex", "prompt_cache_key": "k"}, ["prompt_cache_key", "service_tier"]),
        ({"max_tool_calls": 3, "moderation": {}}, ["max_tool_calls", "moderation"]),
        ({"store": True}, ["store"]),
        ({"store": False, "background": False, "top_logprobs": 0, "truncation": "disabled"}, []),
        ({"truncation": "auto"}, ["truncation"]),
        ({"include": ["reasoning.encrypted_content"]}, []),
        ({"include": ["reasoning.encrypted_content", "web_search_call.results"]}, ["include"]),
        ({"text": {"verbosity": "low", "more": 1}}, ["text.verbosity", "text.more"]),
        (
            {"reasoning": {"context": "auto", "mode": "pro", "more": 1}},
            [f"reasoning.{n}" for n in ("context", "mode", "more")],
        ),
        (
            {"stream_options": {"include_obfuscation": True, "x": 1}},
            [f"stream_options.{n}" for n in ("include_obfuscation", "x")],
        ),
        ({"stream_options": {"include_obfuscation": False}}, []),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, ["tools[0].defer_loading"]),
        ({"brand_new": 1}, ["brand_new"]),
        ({"input": [message("assistant", [said("a", annotations=[{}])])]}, ["input[0].content[0].annotations"]),
        ({"input": [message("user", "a", x=1)]}, ["input[0].x"]),
        ({"input": [{**CALL, "namespace": "n"}]}, ["input[0].namespace"]),
        (
            {"input": [message("user", [{"type": "input_file", "file_id": "f", "detail": "low"}])]},
            ["input[0].content[0].detail"],
        ),
        (
            {"input": [message("user", [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {}}])]},
            ["input[0].content[0].prompt_cache_breakpoint"],
        ),
        ({"text": {"format": {"type": "text", "x": 1}}}, ["text.format.x"]),
        (
            {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "x": 1}]}]},
            ["input[0].summary[0].x"],
        ),
    ],
)
def test_what_an_answer_can_do_without_is_named(fields, names):
    assert dropped(**fields) == names


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "custom", "name": "x"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "mcp"}]}}, "tool_choice.tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "custom_tool_call", "call_id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "custom_tool_call_output", "call_id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input[0].type"),
    ],
)
def test_what_no_other_dialect_has_is_refused_by_name(fields, name):
    with pytest.raises(UnsupportedParameter) as refused:
        asked(**fields)
    assert refused.value.param == name


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 1}, "input"),
        ({"input": [], "instructions": "a"}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"instructions": []}, "instructions"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [message("tool", "a")]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "a"}]}, "input[0].role"),
        ({"input": [message("user", None)]}, "input[0].content"),
        ({"input": [message("user", [1])]}, "input[0].content[0]"),
        ({"input": [message("user", [])]}, "input[0].content"),
        ({"input": [message("user", [{"text": "a"}])]}, "input[0].content[0].type"),
        ({"input": [message("user", [said("a")])]}, "input[0].content[0].type"),
        ({"input": [message("system", [{"type": "input_image"}])]}, "input[0].content[0].type"),
        ({"input": [message("user", [{"type": "input_text"}])]}, "input[0].content[0].text"),
        ({"input": [message("user", [{"type": "input_image"}])]}, "input[0].content[0].image_url"),
        ({"input": [message("user", [{"type": "input_file"}])]}, "input[0].content[0].file_data"),
        ({"input": [message("assistant", [{"type": "refusal"}])]}, "input[0].content[0].refusal"),
        ({"input": [message("assistant", [said("a", annotations={})])]}, "input[0].content[0].annotations"),
        ({"input": [message("assistant", "a", phase="x")]}, "input[0].phase"),
        ({"input": [message("assistant", "a", status="x")]}, "input[0].status"),
        ({"input": [{**CALL, "call_id": None}]}, "input[0].call_id"),
        ({"input": [{**CALL, "name": ""}]}, "input[0].name"),
        ({"input": [{**CALL, "arguments": "[]"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": [{"type": "x"}]}]}, "input[0].summary[0].type"),
        ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input[0].summary[0].type"),
        ({"input": [{"type": "reasoning", "content": [{"type": "reasoning_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "reasoning", "encrypted_content": 1}]}, "input[0].encrypted_content"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"background": "x"}, "background"),
        ({"store": "x"}, "store"),
        ({"truncation": "x"}, "truncation"),
        ({"include": [1]}, "include"),
        ({"text": []}, "text"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "x"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "x"}}, "reasoning.summary"),
        ({"reasoning": {"mode": 1}}, "reasoning.mode"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": []}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none"}}, "tool_choice.mode"),
        ({"user": 1}, "user"),
        ({"stream_options": 1}, "stream_options"),
    ],
)
def test_what_is_malformed_is_refused_by_its_full_name(fields, name):
    with pytest.raises(BadRequest) as refused:
        asked(**fields)
    assert (refused.value.code, refused.value.param) == ("invalid_value", name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "function", "message", "user", "auto"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "role", "content"]), inner),
    max_leaves=6,
)
FIELDS = [
    *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "include", "stream_options", "truncation"),
    *("user", "top_p", "parallel_tool_calls", "max_output_tokens", "previous_response_id", "metadata"),
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_a_caller_writes_is_read_or_refused(fields):
    with contextlib.suppress(BadRequest):
        asked(**fields)
