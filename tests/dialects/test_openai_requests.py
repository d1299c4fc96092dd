"""OpenAI's requests read in terms of no dialect, and such requests as every provider of the family wants them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Operation,
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
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import BadRequest, InternalError, UnsupportedParameter
from netrunner.values import Envelope

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,AAAA"


def read(document: Any, endpoint: str = "chat/completions", gaps: Gaps | None = None) -> Any:
    body = json.dumps({"model": "m", **document}).encode()
    return OpenAIDialect().read(Envelope(body, b"application/json"), endpoint, Gaps() if gaps is None else gaps)


def chat(*messages: Any, **more: Any) -> Conversation:
    found: Conversation = read({"messages": list(messages) or [HI], **more})
    return found


def dropped(document: Any, endpoint: str = "chat/completions") -> list[str]:
    gaps = Gaps()
    read(document, endpoint, gaps)
    return gaps.dropped


def refused(document: Any, endpoint: str = "chat/completions") -> BadRequest:
    with pytest.raises(BadRequest) as error:
        read(document, endpoint)
    return error.value


def sent(request: Any, stream: bool = False, gaps: Gaps | None = None) -> dict[str, Any]:
    written = OpenAIDialect().write(request, "gpt", stream, Gaps() if gaps is None else gaps)
    assert written.query == b""
    assert written.endpoint == ("embeddings" if isinstance(request, Embedding) else "chat/completions")
    found: dict[str, Any] = json.loads(written.body)
    assert found.pop("model") == "gpt"
    return found


def messages(*turns: Turn, gaps: Gaps | None = None, **more: Any) -> Any:
    return sent(Conversation(turns=turns, **more), gaps=gaps)["messages"]


def test_three_endpoints_can_be_translated() -> None:
    operation = OpenAIDialect().operation
    assert operation(b"POST", "chat/completions") is Operation.CHAT
    assert operation(b"POST", "completions") is Operation.CHAT
    assert operation(b"POST", "embeddings") is Operation.EMBED
    assert operation(b"GET", "chat/completions") is None
    assert operation(b"POST", "responses") is None


def test_nothing_asks_this_dialect_to_count() -> None:
    with pytest.raises(InternalError):
        OpenAIDialect().counted(7)


# --- messages read ------------------------------------------------------------------------------------------


def test_instructions_before_the_first_turn_stand_apart() -> None:
    asked = chat(
        {"role": "developer", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        HI,
        {"role": "system", "content": "d"},
        {"role": "user", "content": "e", "name": "Bo"},
    )
    assert asked.instructions == ("a", "bc")
    assert asked.turns == (
        Turn("user", (Text("Hi"),)),
        Turn("system", (Text("d"),)),
        Turn("user", (Text("e"),), "Bo"),
    )


def test_parts_keep_their_order_and_media_are_taken_as_they_are() -> None:
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_id": "f1", "filename": "a"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA", "filename": "b"}},
        {"type": "file", "file": {"file_data": "AAAA"}},
    ]
    assert chat({"role": "user", "content": content}).turns[0].parts == (
        Text("see"),
        Media(kind="image", mime="image/png", data="AAAA", detail="low"),
        Media(kind="image", url="https://a.example/b.png"),
        Media(kind="audio", mime="audio/mpeg", data="AAAA"),
        Media(kind="document", file_id="f1", name="a"),
        Media(kind="document", mime="text/plain", data="AAAA", name="b"),
        Media(kind="document", mime="application/pdf", data="AAAA"),
    )


CALL = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}}


def test_calls_and_their_results_belong_together() -> None:
    other = {"id": "c2", "function": {"name": "put", "arguments": ""}, "index": 1}
    asked = chat(
        HI,
        {"role": "assistant", "content": "", "tool_calls": [CALL, other]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "so?"},
        {"role": "tool", "tool_call_id": "c9", "content": ""},
    )
    assert asked.turns[1:] == (
        Turn("assistant", (ToolCall("c1", "get", '{"a":1}'), ToolCall("c2", "put", "{}"))),
        Turn("user", (ToolResult("c1", (Text("one"),), "get"), ToolResult("c2", (Text("two"),), "put"))),
        Turn("user", (Text("so?"),)),
        Turn("user", (ToolResult("c9", (Text(""),)),)),
    )


@pytest.mark.parametrize("content", [None, "", []])
def test_a_content_that_is_nothing_beside_calls_is_no_part(content: Any) -> None:
    message = {"role": "assistant", "content": content, "tool_calls": [CALL]}
    assert chat(HI, message).turns[1].parts == (ToolCall("c1", "get", '{"a":1}'),)
    assert len(chat(HI, {"role": "assistant", "content": content}, HI).turns) == 2


def test_the_older_form_of_calls_is_read_too() -> None:
    asked = chat(
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": "{}"}},
        {"role": "function", "name": "get", "content": "one"},
        functions=[{"name": "get", "parameters": {"type": "object"}}],
        function_call={"name": "get"},
    )
    assert asked.turns[1:] == (
        Turn("assistant", (ToolCall("call_1", "get", "{}"),)),
        Turn("user", (ToolResult("call_1", (Text("one"),), "get"),)),
    )
    assert asked.tools == (Tool("get", None, {"type": "object"}),)
    assert asked.tool_choice == ToolChoice("named", "get")
    assert chat(function_call="auto").tool_choice == ToolChoice("auto")


def test_a_refusal_is_one_in_both_its_forms() -> None:
    parts = [{"type": "refusal", "refusal": "no"}, {"type": "text", "text": "x"}]
    assert chat(HI, {"role": "assistant", "content": parts}).turns[1].parts == (Refusal("no"), Text("x"))
    assert chat(HI, {"role": "assistant", "refusal": "no"}).turns[1].parts == (Refusal("no"),)


def thoughts(**message: Any) -> tuple[Any, ...]:
    return chat(HI, {"role": "assistant", "content": "x", **message}).turns[1].parts[:-1]


def test_reasoning_comes_back_as_it_was_given() -> None:
    assert thoughts(reasoning_content="hm") == (Reasoning("hm"),)
    assert thoughts(reasoning="hm") == (Reasoning("hm"),)
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "format": "google-gemini-v1", "id": "c1"},
        {"type": "reasoning.encrypted", "data": "openai-responses-v1:E", "format": None},
        {"type": "reasoning.summary", "summary": "sum"},
        {"type": "reasoning.text"},
    ]
    assert thoughts(reasoning_content="hm", reasoning_details=details) == (
        Reasoning("hm", "anthropic-claude-v1:S"),
        Reasoning("", "google-gemini-v1:D", redacted=True),
        Reasoning("", "openai-responses-v1:E", redacted=True),
        Reasoning("sum"),
    )
    assert thoughts(extra_content={"google": {"thought_signature": "T"}}) == (Reasoning("", "google-gemini-v1:T"),)
    assert thoughts(extra_content={"other": 1}) == ()


def test_a_seal_of_nobody_known_is_dropped_by_name() -> None:
    detail = {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "unknown"}
    gaps = Gaps()
    document = {"messages": [HI, {"role": "assistant", "content": "x", "reasoning_details": [detail]}]}
    assert read(document, gaps=gaps).turns[1].parts[0] == Reasoning("hm")
    assert gaps.dropped == ["reasoning_details"]


@pytest.mark.parametrize("thought", ["T", "google-gemini-v1:T"])
def test_a_seal_on_a_call_comes_back(thought: str) -> None:
    call = {**CALL, "extra_content": {"google": {"thought_signature": thought}}}
    part = chat(HI, {"role": "assistant", "tool_calls": [call]}).turns[1].parts[0]
    assert part == ToolCall("c1", "get", '{"a":1}', "google-gemini-v1:T")


# --- parameters read ----------------------------------------------------------------------------------------


def test_parameters_are_read() -> None:
    asked = chat(
        max_completion_tokens=5,
        max_tokens=9,
        temperature=1.5,
        top_p=0.5,
        top_k=3,
        stop=["a", "b"],
        seed=-1,
        presence_penalty=-2,
        frequency_penalty=2,
        n=2,
        logprobs=True,
        top_logprobs=4,
        logit_bias={"50256": -100, "7": 0},
        user="u",
        parallel_tool_calls=False,
        reasoning_effort="xhigh",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        modalities=["text"],
        store=False,
    )
    assert asked == Conversation(
        turns=(Turn("user", (Text("Hi"),)),),
        max_tokens=5,
        temperature=1.5,
        top_p=0.5,
        top_k=3,
        stop=("a", "b"),
        seed=-1,
        presence_penalty=-2,
        frequency_penalty=2,
        n=2,
        logprobs=True,
        top_logprobs=4,
        logit_bias={"50256": -100, "7": 0},
        user="u",
        parallel_tool_calls=False,
        thinking=Thinking(enabled=True, effort="xhigh"),
    )
    assert chat(stop="a", logit_bias={}).stop == ("a",)
    assert chat(logit_bias={}).logit_bias is None


def test_names_are_the_callers() -> None:
    gaps = Gaps()
    read({"messages": [HI], "max_completion_tokens": 5, "safety_identifier": "s"}, gaps=gaps)
    names = {name: gaps.name(name) for name in ("max_tokens", "format", "thinking", "user", "seed")}
    assert names == {
        "max_tokens": "max_completion_tokens",
        "format": "response_format",
        "thinking": "reasoning_effort",
        "user": "safety_identifier",
        "seed": "seed",
    }


def test_thinking_has_several_words() -> None:
    assert chat(reasoning_effort="none").thinking == Thinking(enabled=False)
    assert chat(reasoning={"effort": "none"}).thinking == Thinking(enabled=False)
    assert chat(reasoning={"enabled": False}).thinking == Thinking(enabled=False)
    assert chat(reasoning={"effort": "low", "exclude": True}).thinking == Thinking(True, "low", shown=False)
    assert chat(reasoning={"max_tokens": 9}).thinking == Thinking(True, budget_tokens=9)
    assert chat().thinking is None


def test_a_format_is_read() -> None:
    assert chat(response_format={"type": "text"}).format is None
    assert chat(response_format={"type": "json_object"}).format == Format("json_object")
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True}
    format = chat(response_format={"type": "json_schema", "json_schema": schema}).format
    assert format == Format("json_schema", {"type": "object"}, "n", "d", True)


def test_tools_and_the_choice_among_them_are_read() -> None:
    tools = [
        {"type": "function", "function": {"name": "get", "description": "d", "parameters": {}, "strict": True}},
        {"type": "function", "function": {"name": "put"}},
    ]
    both = (Tool("get", "d", {}, True), Tool("put"))
    for given, choice in (
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "put"}}, ToolChoice("named", "put")),
    ):
        asked = chat(tools=tools, tool_choice=given)
        assert (asked.tools, asked.tool_choice) == (both, choice)
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "put"}}]}
    asked = chat(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert (asked.tools, asked.tool_choice) == ((Tool("put"),), ToolChoice("required"))


def test_what_is_merely_lost_is_dropped_by_name() -> None:
    lost = {
        "metadata": {"a": "b"},
        "moderation": {},
        "prediction": {"type": "content", "content": "x"},
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "auto"},
        "prompt_cache_retention": "24h",
        "service_tier": "flex",
        "verbosity": "low",
        "store": True,
        "unheard_of": 1,
    }
    assert set(dropped({"messages": [HI], **lost, "seed": None})) == set(lost)
    marked = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}, "more": None}
    document = {
        "messages": [{"role": "user", "content": [marked]}],
        "stream_options": {"include_obfuscation": True, "x": 1},
        "user": "u",
        "safety_identifier": "s",
    }
    assert dropped(document) == [
        "messages[0].content[0].prompt_cache_breakpoint",
        "stream_options.include_obfuscation",
        "stream_options.x",
        "safety_identifier",
    ]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice.type"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "id": "a"}]}]},
            "messages[0].tool_calls[0].type",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(more: Any, param: str) -> None:
    error = refused({"messages": [HI], **more})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


TOOL_MESSAGE = {"role": "tool", "tool_call_id": "c"}


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "system", "content": [{"type": "file"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 7}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A"}}]}]},
            "messages[0].content[0].input_audio.format",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "A"}}]}]},
            "messages[0].content[0].file.file_data",
        ),
        ({"messages": [{"role": "user", "content": "x", "name": 7}]}, "messages[0].name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [TOOL_MESSAGE]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}]},
            "messages[0].tool_calls[0].id",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [HI], "max_tokens": 0}, "max_tokens"),
        ({"messages": [HI], "temperature": 3}, "temperature"),
        ({"messages": [HI], "top_p": "x"}, "top_p"),
        ({"messages": [HI], "n": 0}, "n"),
        ({"messages": [HI], "stop": [1]}, "stop"),
        ({"messages": [HI], "top_logprobs": 21}, "top_logprobs"),
        ({"messages": [HI], "logit_bias": {"7": "x"}}, "logit_bias.7"),
        ({"messages": [HI], "stream_options": 7}, "stream_options"),
        ({"messages": [HI], "reasoning_effort": "much"}, "reasoning_effort"),
        ({"messages": [HI], "response_format": {}}, "response_format.type"),
        ({"messages": [HI], "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": [HI], "tools": [{}]}, "tools[0].type"),
        ({"messages": [HI], "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": [HI], "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"messages": [HI], "tool_choice": "must"}, "tool_choice"),
        ({"messages": [HI], "tool_choice": {}}, "tool_choice.type"),
        ({"messages": [HI], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {"messages": [HI], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{}]}}},
            "tool_choice.allowed_tools.tools[0].function",
        ),
        ({"messages": [HI], "function_call": "required"}, "function_call"),
        ({"messages": [HI], "function_call": 7}, "function_call"),
    ],
)
def test_what_is_malformed_is_refused_by_its_full_name(document: Any, param: str) -> None:
    error = refused(document)
    assert (error.code, error.param) == ("invalid_value", param)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": "\xff"}'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as error:
        OpenAIDialect().read(Envelope(body, b""), "chat/completions", Gaps())
    assert error.value.code == "invalid_json"


# --- completions and embeddings read ------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["Hi", ["Hi"]])
def test_a_prompt_is_one_turn_of_the_user(prompt: Any) -> None:
    more = {"max_tokens": 5, "logprobs": 3, "echo": False, "best_of": 1, "temperature": 0, "stream": True}
    assert read({"prompt": prompt, **more}, "completions") == Conversation(
        turns=(Turn("user", (Text("Hi"),)),), max_tokens=5, logprobs=True, top_logprobs=3, temperature=0
    )
    assert dropped({"prompt": prompt, "metadata": {"a": "b"}}, "completions") == ["metadata"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
    ],
)
def test_what_a_chat_cannot_do_for_a_completion_is_refused(more: Any, param: str) -> None:
    error = refused({"prompt": "Hi", **more}, "completions")
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


@pytest.mark.parametrize("prompt", [None, 7, [], [{}]])
def test_a_prompt_that_is_none_is_refused(prompt: Any) -> None:
    error = refused({"prompt": prompt}, "completions")
    assert (error.code, error.param) == ("invalid_value", "prompt")


def test_embeddings_are_read() -> None:
    gaps = Gaps()
    assert read({"input": "a"}, "embeddings", gaps) == Embedding(inputs=("a",), single=True)
    more = {"dimensions": 8, "encoding_format": "base64", "user": "u"}
    assert read({"input": ["a", "b"], **more}, "embeddings") == Embedding(
        inputs=("a", "b"), dimensions=8, base64=True, user="u"
    )
    assert read({"input": "a", "encoding_format": "float"}, "embeddings").base64 is False
    assert gaps.name("inputs") == "input"


@pytest.mark.parametrize(
    ("document", "param", "kind"),
    [
        ({}, "input", BadRequest),
        ({"input": []}, "input", BadRequest),
        ({"input": 7}, "input", BadRequest),
        ({"input": ["a", None]}, "input[1]", BadRequest),
        ({"input": [1, 2]}, "input", UnsupportedParameter),
        ({"input": [[1, 2]]}, "input", UnsupportedParameter),
        ({"input": "a", "dimensions": 0}, "dimensions", BadRequest),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", BadRequest),
    ],
)
def test_embeddings_that_cannot_be_are_refused(document: Any, param: str, kind: type) -> None:
    error = refused(document, "embeddings")
    assert (type(error), error.param) == (kind, param)


# --- written ------------------------------------------------------------------------------------------------


def test_everything_that_has_a_place_is_written() -> None:
    request = Conversation(
        instructions=("be", "kind"),
        turns=(Turn("user", (Text("Hi"),), "Bo"), Turn("system", (Text("now"),))),
        tools=(Tool("get", "d", {"type": "object"}, True), Tool("put")),
        tool_choice=ToolChoice("named", "get"),
        parallel_tool_calls=False,
        format=Format("json_schema", {"type": "object"}, None, "d", True),
        thinking=Thinking(enabled=True, effort="high"),
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        stop=("a",),
        seed=1,
        presence_penalty=1,
        frequency_penalty=2,
        n=2,
        logit_bias={"7": 1},
        user="u",
    )
    gaps = Gaps(strict=True)
    assert sent(request, gaps=gaps) == {
        "messages": [
            {"role": "system", "content": "be"},
            {"role": "system", "content": "kind"},
            {"role": "user", "content": "Hi", "name": "Bo"},
            {"role": "system", "content": "now"},
        ],
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 1,
        "presence_penalty": 1,
        "frequency_penalty": 2,
        "n": 2,
        "logit_bias": {"7": 1},
        "stop": ["a"],
        "user": "u",
        "tools": [
            {
                "type": "function",
                "function": {"name": "get", "parameters": {"type": "object"}, "description": "d", "strict": True},
            },
            {"type": "function", "function": {"name": "put", "parameters": {"type": "object", "properties": {}}}},
        ],
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "get"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "description": "d", "strict": True},
        },
        "reasoning_effort": "high",
    }


def test_what_nobody_asked_for_is_not_written_and_a_stream_tells_its_usage() -> None:
    asked = Conversation(turns=(Turn("user", (Text("Hi"),)),))
    assert sent(asked) == {"messages": [HI]}
    assert sent(asked, stream=True) == {
        "messages": [HI],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_has_no_place_is_dropped_by_name() -> None:
    gaps = Gaps()
    gaps.called("top_k", "options.top_k")
    sent(Conversation(top_k=3, logprobs=True, top_logprobs=2), gaps=gaps)
    assert gaps.dropped == ["options.top_k", "logprobs", "top_logprobs"]


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (Thinking(enabled=False, budget_tokens=9), "none"),
        (Thinking(enabled=True), None),
        (Thinking(budget_tokens=4096), "low"),
        (Thinking(budget_tokens=4097), "medium"),
        (Thinking(enabled=True, budget_tokens=32000), "high"),
        (Thinking(enabled=True, budget_tokens=32000, effort="minimal"), "minimal"),
        (None, None),
    ],
)
def test_how_hard_to_think_is_an_effort(thinking: Thinking | None, effort: str | None) -> None:
    assert sent(Conversation(thinking=thinking)).get("reasoning_effort") == effort


def test_a_choice_without_tools_is_written_only_if_it_demands_one() -> None:
    for choice, written in (("auto", None), ("none", None), ("required", "required")):
        asked = Conversation(tool_choice=ToolChoice(choice), parallel_tool_calls=False)  # type: ignore[arg-type]  # of a table
        assert sent(asked).get("tool_choice") == written
        assert "parallel_tool_calls" not in sent(asked)


def test_a_format_has_a_name_and_only_what_was_said_of_it() -> None:
    assert sent(Conversation(format=Format("json_object")))["response_format"] == {"type": "json_object"}
    schema = sent(Conversation(format=Format("json_schema", {}, "n")))["response_format"]["json_schema"]
    assert schema == {"name": "n", "schema": {}}


def test_an_assistants_turn_is_one_message() -> None:
    gaps = Gaps()
    parts = (
        Reasoning("hm", "anthropic-claude-v1:S"),
        Text("a"),
        ToolCall("c1", "get", "{}", "google-gemini-v1:T"),
        Text("b"),
        Media(kind="image", data="AAAA"),
    )
    assert messages(Turn("assistant", parts, "Al"), gaps=gaps) == [
        {
            "role": "assistant",
            "content": "ab",
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "anthropic-claude-v1", "index": 0}
            ],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}],
            "name": "Al",
        }
    ]
    assert gaps.dropped == ["assistant_media"]
    assert messages(Turn("assistant", (ToolCall("c", "f", "{}"),)))[0]["content"] is None
    assert messages(Turn("assistant", (Refusal("no"),))) == [{"role": "assistant", "content": "", "refusal": "no"}]
    assert messages(Turn("assistant", (Reasoning("hm"),))) == []


def test_reasoning_is_written_for_those_that_want_it_back() -> None:
    said = Text("x")
    message = messages(Turn("assistant", (Reasoning("h"), Reasoning("m", "unknown"), Reasoning(), said)))[0]
    assert message == {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    sealed = Reasoning("", "openai-responses-v1:D", redacted=True)
    assert messages(Turn("assistant", (Reasoning("h"), sealed, said)))[0]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "h", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "format": "openai-responses-v1", "index": 1},
    ]
    assert "reasoning_content" not in messages(Turn("assistant", (sealed, said)))[0]


def test_results_come_at_once_after_their_calls_and_their_images_after_them() -> None:
    gaps = Gaps()
    turn = Turn(
        "user",
        (
            Text("so?"),
            ToolResult("c1", (Text("a"), Media(kind="image", mime="image/png", data="AAAA"), Text("b"))),
            ToolResult("c2", (Text("no"),), is_error=True),
            ToolResult("c3", ()),
        ),
    )
    assert messages(turn, gaps=gaps) == [
        {"role": "tool", "tool_call_id": "c1", "content": "a\nb"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no"},
        {"role": "tool", "tool_call_id": "c3", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the tool call c1 returned:"},
                {"type": "image_url", "image_url": {"url": PNG}},
            ],
        },
        {"role": "user", "content": "so?"},
    ]
    assert gaps.dropped == ["tool_result_images"]


@pytest.mark.parametrize(
    ("media", "written"),
    [
        (
            Media(kind="image", url="https://a.example/b.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        ),
        (Media(kind="image", data="AAAA"), {"type": "image_url", "image_url": {"url": PNG}}),
        (
            Media(kind="audio", mime="audio/wav", data="AAAA"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (Media(kind="document", file_id="f"), {"type": "file", "file": {"file_id": "f"}}),
        (
            Media(kind="document", mime="application/pdf", data="AAAA", name="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        ),
        (
            Media(kind="document", mime="text/plain", data=base64.b64encode("Hé".encode()).decode()),
            {"type": "text", "text": "Hé"},
        ),
        (
            Media(kind="document", mime="text/plain", data="!"),
            {"type": "file", "file": {"filename": "document", "file_data": "data:text/plain;base64,!"}},
        ),
    ],
)
def test_media_are_written_in_openais_own_forms(media: Media, written: Any) -> None:
    assert messages(Turn("user", (Text("x"), media)))[0]["content"][1] == written


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="image", file_id="f"),
        Media(kind="audio", mime="audio/flac", data="AAAA"),
        Media(kind="audio", mime="audio/wav", url="https://a.example"),
        Media(kind="video", mime="video/mp4", data="AAAA"),
        Media(kind="document", url="https://a.example/b.pdf"),
    ],
)
def test_media_without_such_a_form_are_refused(media: Media) -> None:
    with pytest.raises(UnsupportedParameter) as error:
        messages(Turn("user", (media,)))
    assert error.value.param == media.kind


def test_embeddings_are_written() -> None:
    gaps = Gaps()
    assert sent(Embedding(inputs=("a",), single=True)) == {"input": "a"}
    request = Embedding(inputs=("a", "b"), dimensions=8, base64=True, purpose="query", user="u")
    assert sent(request, gaps=gaps) == {"input": ["a", "b"], "dimensions": 8, "user": "u"}
    assert gaps.dropped == ["purpose"]


def test_what_is_read_is_written_again() -> None:
    document = {
        "messages": [
            {"role": "system", "content": "be"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG}}],
            },
            {"role": "assistant", "content": "x", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            HI,
        ],
        "tools": [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "max_tokens": 5,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "none",
    }
    assert sent(read(document)) == document
