"""Anthropic's requests, read in terms of no dialect."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.reading import read
from netrunner.dialects.conversation import (
    Conversation,
    Format,
    Media,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from netrunner.dialects.gaps import Gaps
from netrunner.errors import BadRequest, UnsupportedParameter
from netrunner.values import Envelope

HELLO = [{"role": "user", "content": "Hello"}]
OLD, NEW = "2023-06-01", "2026-10-21"


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": HELLO, **fields}


def reading(gaps: Gaps | None = None, version: str | None = OLD, count: bool = False, **fields: Any) -> Conversation:
    body = json.dumps(request(**fields)).encode()
    return read(Envelope(body, b"", version=version), gaps or Gaps(), count)


def turn(role: str, *blocks: Any, **fields: Any) -> Turn:
    """Return the turn read of one message."""
    return reading(messages=[{"role": role, "content": list(blocks)}], **fields).turns[0]


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        reading(**fields)
    return raised.value


def said(*blocks: Any, role: str = "user") -> list[Any]:
    return [{"role": role, "content": list(blocks)}]


def test_a_plain_request_is_read_whole() -> None:
    found = reading(
        system="Be brief.",
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        metadata={"user_id": "u1"},
        stream=True,
    )
    assert found.instructions == ("Be brief.",)
    assert found.turns == (Turn("user", (Text("Hello"),)),)
    assert (found.max_tokens, found.stop, found.user) == (100, ("END",), "u1")
    assert (found.temperature, found.top_p, found.top_k) == (0.5, 0.9, 5)
    assert found.native["model"] == "m"


def test_system_blocks_are_instructions_one_by_one_and_cache_hints_are_told_once() -> None:
    gaps = Gaps()
    hint = {"type": "ephemeral"}
    found = reading(
        gaps,
        system=[{"type": "text", "text": "A", "cache_control": hint}, {"type": "text", "text": "B"}],
        messages=said({"type": "text", "text": "x", "cache_control": hint}),
        tools=[{"name": "t", "input_schema": {}, "cache_control": hint}],
        cache_control=hint,
    )
    assert found.instructions == ("A", "B")
    assert gaps.dropped == ["cache_control"]


def test_blocks_of_the_assistants_keep_their_order_and_their_seals() -> None:
    blocks = (
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d1"},
        {"type": "text", "text": "Look:"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}, "caller": {"type": "direct"}},
    )
    assert turn("assistant", *blocks).parts == (
        Reasoning("hm", "anthropic-claude-v1:s1"),
        Reasoning("", "anthropic-claude-v1:d1", redacted=True),
        Text("Look:"),
        ToolCall("t1", "f", '{"a":[1]}'),
    )


def test_a_seal_of_another_provider_comes_back_as_it_was_and_thinking_without_one_has_none() -> None:
    found = turn(
        "assistant",
        {"type": "thinking", "thinking": "", "signature": "google-gemini-v1:abc"},
        {"type": "thinking", "thinking": "mm", "signature": ""},
    )
    assert found.parts == (Reasoning("", "google-gemini-v1:abc"), Reasoning("mm", None))


def test_results_of_tools_are_parts_of_the_users_turn_and_know_their_tool() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    found = reading(
        messages=[
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "ok"},
                    {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": [image]},
                    {"type": "tool_result", "tool_use_id": "t1"},
                    {"type": "text", "text": "go on"},
                ],
            },
        ]
    )
    assert found.turns[1].parts == (
        ToolResult("t1", (Text("ok"),), "f"),
        ToolResult("t2", (Media(kind="image", mime="image/png", data="AA=="),), None, True),
        ToolResult("t1", (), "f"),
        Text("go on"),
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            {"mime": "application/pdf", "data": "AA=="},
        ),
        ({"type": "url", "url": "https://x.test/a.pdf"}, {"url": "https://x.test/a.pdf"}),
        ({"type": "file", "file_id": "f1"}, {"file_id": "f1"}),
        (
            {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            {"mime": "text/plain", "data": base64.b64encode("Grüße".encode()).decode()},
        ),
    ],
)
def test_documents_are_taken_as_they_are(source: dict[str, Any], expected: dict[str, Any]) -> None:
    block = {"type": "document", "title": "T", "source": source, "citations": {"enabled": False}}
    assert turn("user", block).parts == (Media(kind="document", name="T", **expected),)


def test_images_are_taken_by_address_too() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    assert turn("user", block).parts == (Media(kind="image", url="https://x.test/a.png"),)


def test_a_system_message_between_others_is_a_turn() -> None:
    found = reading(messages=[*HELLO, {"role": "system", "content": "Now in French."}])
    assert found.turns[1] == Turn("system", (Text("Now in French."),))


def test_tools_are_read_with_their_strictness() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = [{"type": "custom", "name": "f", "description": "D", "input_schema": schema, "strict": True}]
    assert reading(tools=tools).tools == (Tool("f", "D", schema, True),)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_the_choice_of_tools_has_four_forms(choice: dict[str, Any], expected: ToolChoice) -> None:
    found = reading(tool_choice=choice)
    assert (found.tool_choice, found.parallel_tool_calls) == (expected, None)


def test_calls_one_by_one_are_asked_for_beside_the_choice() -> None:
    found = reading(tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert found.parallel_tool_calls is False


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": {"type": "disabled"}}, Thinking(enabled=False)),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
            Thinking(enabled=True, budget_tokens=2000, shown=True),
        ),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking(enabled=True, shown=False)),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            Thinking(enabled=True, effort="xhigh", shown=True),
        ),
        ({"thinking": {"type": "between_tools"}}, Thinking(enabled=True, shown=True)),
        ({"output_config": {"effort": "low"}}, Thinking(effort="low")),
        ({"output_config": {}}, None),
    ],
)
def test_thinking_is_read_in_each_of_its_forms(fields: dict[str, Any], expected: Thinking | None) -> None:
    assert reading(**fields).thinking == expected


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_form_of_the_answer_is_read_where_either_version_has_it(name: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    fields: dict[str, Any] = {name: {"format": form} if name == "output_config" else form}
    found = reading(**fields)
    assert found.format == Format("json_schema", {"type": "object"}, strict=True)


def test_names_of_fields_are_the_callers() -> None:
    gaps = Gaps()
    reading(gaps, output_config={"effort": "low"})
    names = [gaps.name(field) for field in ("turns", "stop", "user", "format", "thinking")]
    assert names == ["messages", "stop_sequences", "metadata.user_id", "output_config.format", "output_config.effort"]


def test_what_has_no_place_elsewhere_is_told_by_its_name() -> None:
    gaps = Gaps()
    reading(
        gaps,
        service_tier="auto",
        metadata={"user_id": "u", "more": 1},
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "x", "citations": [{}]}], "extra": 1},
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "context": "c",
                        "citations": {"enabled": True},
                        "source": {"type": "url", "url": "u", "z": 1},
                    }
                ],
            },
        ],
        tools=[{"name": "t", "input_schema": {}, "input_examples": [{}], "allowed_callers": ["direct"]}],
    )
    assert gaps.dropped == [
        "citations",
        "messages[0].extra",
        "messages[1].content[0].source.z",
        "messages[1].content[0].context",
        "tools[0].input_examples",
        "metadata.more",
        "service_tier",
    ]


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_newer_version_refuses_sampling_by_name(name: str) -> None:
    fields: dict[str, Any] = {name: 1}
    assert getattr(reading(**fields), name) == 1
    error = refusal(version=NEW, **fields)
    assert (error.status, error.code, error.param) == (400, "invalid_value", name)


def test_the_newer_version_refuses_documents_of_the_assistants_and_citations_of_the_users() -> None:
    document = {"type": "document", "source": {"type": "url", "url": "u"}}
    cited = {"type": "text", "text": "x", "citations": [{}]}
    assert refusal(version=NEW, messages=said(document, role="assistant")).param == "messages[0].content[0].type"
    assert refusal(version=NEW, messages=said(cited)).param == "messages[0].content[0].citations"
    with pytest.raises(UnsupportedParameter):
        reading(messages=said(document, role="assistant"))


@pytest.mark.parametrize(
    "kind", ["search_result", "container_upload", "server_tool_use", "web_search_tool_result", "mcp_tool_result"]
)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_blocks_that_only_anthropics_servers_understand_are_refused_by_name(kind: str, role: str) -> None:
    error = refusal(messages=said({"type": kind}, role=role))
    assert (error.code, error.param) == ("unsupported_parameter", "messages[0].content[0].type")
    assert kind in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type"),
        ({"tools": [{"name": "t", "input_schema": {}, "allowed_callers": ["code"]}]}, "tools[0].allowed_callers"),
        (
            {
                "messages": said(
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "code"}},
                    role="assistant",
                )
            },
            "messages[0].content[0].caller",
        ),
        (
            {"messages": said({"type": "document", "source": {"type": "content", "content": "x"}})},
            "messages[0].content[0].source.type",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.param) == ("unsupported_parameter", param)


IMAGE = "messages[0].content[0].source"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "1"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": said("x")}, "messages[0].content[0]"),
        ({"messages": said({})}, "messages[0].content[0].type"),
        ({"messages": said({"type": "video"})}, "messages[0].content[0].type"),
        ({"messages": said({"type": "text"})}, "messages[0].content[0].text"),
        ({"messages": said({"type": "text", "text": 1})}, "messages[0].content[0].text"),
        ({"messages": said({"type": "thinking"})}, "messages[0].content[0].type"),
        ({"messages": said({"type": "image"})}, IMAGE),
        ({"messages": said({"type": "image", "source": {}})}, f"{IMAGE}.type"),
        ({"messages": said({"type": "image", "source": {"type": "text", "data": "x"}})}, f"{IMAGE}.type"),
        ({"messages": said({"type": "image", "source": {"type": "base64"}})}, f"{IMAGE}.media_type"),
        (
            {"messages": said({"type": "image", "source": {"type": "base64", "media_type": "image/bmp"}})},
            f"{IMAGE}.media_type",
        ),
        ({"messages": said({"type": "image", "source": {"type": "url"}})}, f"{IMAGE}.url"),
        ({"messages": said({"type": "tool_result"})}, "messages[0].content[0].tool_use_id"),
        (
            {"messages": said({"type": "tool_result", "tool_use_id": "t", "content": 1})},
            "messages[0].content[0].content",
        ),
        (
            {"messages": said({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_use"}]})},
            "messages[0].content[0].content[0].type",
        ),
        (
            {"messages": said({"type": "tool_result", "tool_use_id": "t", "is_error": "no"})},
            "messages[0].content[0].is_error",
        ),
        ({"messages": said({"type": "image"}, role="assistant")}, "messages[0].content[0].type"),
        (
            {"messages": said({"type": "tool_use", "id": "a", "name": "b"}, role="assistant")},
            "messages[0].content[0].input",
        ),
        (
            {"messages": said({"type": "tool_use", "id": "", "name": "b", "input": {}}, role="assistant")},
            "messages[0].content[0].id",
        ),
        ({"messages": said({"type": "redacted_thinking"}, role="assistant")}, "messages[0].content[0].data"),
        ({"messages": said({"text": "x"}, role="system")}, "messages[0].content[0].type"),
        ({"system": 1}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": {"type": "on"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
        ({"output_config": {"effort": "none"}}, "output_config.effort"),
        ({"output_config": {"format": {}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": 0.5}, "top_k"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"metadata": "u"}, "metadata"),
    ],
)
def test_what_is_malformed_is_refused_by_its_full_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.param) == ("invalid_value", param)


def test_tokens_are_counted_without_a_bound_of_the_answer() -> None:
    assert reading(count=True, max_tokens=None).max_tokens is None
