"""What is asked of an Ollama server."""

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
from netrunner.dialects.fields import data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.ollama.reading import chat as read
from netrunner.dialects.ollama.writing import written
from netrunner.errors import UnsupportedParameter

HI = Turn("user", (Text("Hi"),))
PNG = Media(kind="image", mime="image/png", data="aGk=")


def write(gaps: Gaps | None = None, stream: bool = False, **fields: Any) -> Any:
    request = Conversation(**{"turns": (HI,), **fields})
    out = written(request, "m", stream, gaps or Gaps())
    assert (out.endpoint, out.query) == ("chat", b"")
    return json.loads(out.body)


def messages(*turns: Turn, gaps: Gaps | None = None) -> Any:
    return write(gaps, turns=turns)["messages"]


@pytest.mark.parametrize("stream", [True, False])
def test_whether_to_stream_is_always_said(stream):
    assert write(stream=stream) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": stream,
    }


def test_instructions_are_system_messages():
    found = write(instructions=("a", "b"), turns=(HI, Turn("system", (Text("c"),))))["messages"]
    assert [(one["role"], one["content"]) for one in found] == [
        ("system", "a"),
        ("system", "b"),
        ("user", "Hi"),
        ("system", "c"),
    ]


def test_texts_of_a_turn_are_one_and_images_go_beside_them():
    linked = Media(kind="image", url=data_url("image/png", "eW8="))
    assert messages(Turn("user", (Text("a"), PNG, Text(""), Text("b"), linked))) == [
        {"role": "user", "content": "a\n\nb", "images": ["aGk=", "eW8="]}
    ]
    assert messages(Turn("user", (Media(kind="audio", mime="audio/wav", data="aGk="),)))[0]["images"] == ["aGk="]
    assert messages(Turn("user", ())) == [{"role": "user", "content": ""}]


@pytest.mark.parametrize(
    ("media", "param"),
    [
        (Media(kind="image", url="https://x.test/a.png"), "image"),
        (Media(kind="image", url="data:image/png,raw"), "image"),
        (Media(kind="image", file_id="f1"), "image"),
        (Media(kind="document", mime="application/pdf", data="aGk="), "document"),
        (Media(kind="video", data="aGk="), "video"),
    ],
)
def test_what_would_have_to_be_fetched_is_refused_by_name(media, param):
    with pytest.raises(UnsupportedParameter) as caught:
        messages(Turn("user", (media,)))
    assert caught.value.param == param


def test_calls_have_objects_and_results_name_them():
    found = messages(
        HI,
        Turn(
            "assistant",
            (
                Reasoning("Hm"),
                Reasoning(""),
                Text("So"),
                ToolCall("c1", "f", '{"a": [1]}'),
                ToolCall("c2", "g", "{}", signature="google-gemini-v1:x"),
            ),
        ),
        Turn(
            "user",
            (
                ToolResult("c1", (Text("one"), PNG), "f"),
                ToolResult("c2", (Text("no"),), None, is_error=True),
                Text("and?"),
                ToolResult("c3", ()),
            ),
        ),
    )
    assert found[1] == {
        "role": "assistant",
        "content": "So",
        "thinking": "Hm",
        "tool_calls": [
            {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": [1]}}},
            {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}},
        ],
    }
    assert found[2:] == [
        {"role": "tool", "content": "one", "images": ["aGk="], "tool_name": "f", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: no", "tool_call_id": "c2"},
        {"role": "user", "content": "and?"},
        {"role": "tool", "content": "", "tool_call_id": "c3"},
    ]


def test_what_another_providers_model_thought_is_dropped():
    gaps = Gaps()
    sealed = Reasoning("Hm", signature="anthropic-claude-v1:x")
    hidden = Reasoning(signature="anthropic-claude-v1:y", redacted=True)
    said = Turn("assistant", (sealed, hidden, Refusal("No")))
    assert messages(said, gaps=gaps) == [{"role": "assistant", "content": "No"}]
    assert gaps.dropped == ["reasoning"]


def test_tools_are_written_with_an_empty_schema_where_there_is_none():
    gaps = Gaps()
    schema = {"type": "object", "properties": {"a": {}}}
    assert write(gaps, tools=(Tool("f", "d", schema, True), Tool("g")))["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert gaps.dropped == ["strict"]


@pytest.mark.parametrize(
    ("mode", "offered", "dropped"), [("auto", True, []), ("none", False, []), ("required", True, ["tool_choice"])]
)
def test_a_choice_of_tools_is_kept_as_far_as_it_can_be(mode, offered, dropped):
    gaps = Gaps()
    assert ("tools" in write(gaps, tools=(Tool("f"),), tool_choice=ToolChoice(mode))) is offered
    assert gaps.dropped == dropped


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": ToolChoice("named", "f"), "tools": (Tool("f"),)}, "tool_choice"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields, param):
    with pytest.raises(UnsupportedParameter) as caught:
        write(**fields)
    assert caught.value.param == param


def test_what_is_merely_lost_is_dropped_by_the_callers_name():
    gaps = Gaps()
    gaps.called("user", "metadata.user_id")
    write(
        gaps,
        n=1,
        top_logprobs=3,
        parallel_tool_calls=False,
        user="u",
        turns=(Turn("user", (Text("Hi"),), name="Ann"),),
    )
    assert gaps.dropped == ["top_logprobs", "parallel_tool_calls", "metadata.user_id", "name"]
    with pytest.raises(UnsupportedParameter):
        write(Gaps(strict=True), user="u")


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (Format("json_object"), "json"),
        (Format("json_schema", {"type": "object"}, "n"), {"type": "object"}),
        (Format("json_schema"), "json"),
    ],
)
def test_a_format_is_a_word_or_the_schema_alone(format, expected):
    assert write(format=format)["format"] == expected


@pytest.mark.parametrize(
    ("thinking", "expected", "dropped"),
    [
        (Thinking(enabled=True), True, []),
        (Thinking(enabled=False, effort="high"), False, []),
        (Thinking(effort="minimal"), "low", []),
        (Thinking(effort="medium"), "medium", []),
        (Thinking(effort="xhigh"), "max", []),
        (Thinking(budget_tokens=2048), True, ["budget_tokens"]),
        (Thinking(shown=True), None, []),
    ],
)
def test_thinking_has_levels(thinking, expected, dropped):
    gaps = Gaps()
    assert write(gaps, thinking=thinking).get("think") == expected
    assert gaps.dropped == dropped


def test_sampling_is_in_the_options():
    assert write(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        stop=("a",),
        seed=0,
        presence_penalty=1.0,
        frequency_penalty=2.0,
    )["options"] == {
        "num_predict": 5,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ["a"],
        "seed": 0,
        "presence_penalty": 1,
        "frequency_penalty": 2,
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Embedding(inputs=("a",), single=True, dimensions=4), {"input": "a", "dimensions": 4}),
        (Embedding(inputs=("a", "b"), base64=True), {"input": ["a", "b"]}),
    ],
)
def test_embeddings_are_asked_for(request_, expected):
    out = written(request_, "m", False, Gaps())
    assert (out.endpoint, json.loads(out.body)) == ("embed", {"model": "m", **expected})


def test_embeddings_for_a_purpose_are_embeddings():
    gaps = Gaps()
    written(Embedding(inputs=("a",), purpose="query", user="u"), "m", False, gaps)
    assert gaps.dropped == ["purpose", "user"]


def test_what_is_read_is_written_again():
    document = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u", "images": ["aGk="]},
            {
                "role": "assistant",
                "content": "a",
                "thinking": "t",
                "tool_calls": [{"id": "c", "function": {"index": 0, "name": "f", "arguments": {"x": 1.5}}}],
            },
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c"},
        ],
        "stream": False,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "format": {"type": "object"},
        "think": "high",
        "options": {"num_predict": 9, "temperature": 1.5, "stop": ["x"], "seed": 3},
    }
    gaps = Gaps()
    request = read(json.dumps(document).encode(), gaps)
    assert json.loads(written(request, "m", False, gaps).body) == document
    assert gaps.dropped == []
