"""What Ollama's requests ask for, in terms of no dialect."""

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
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.ollama.reading import READERS
from netrunner.errors import BadRequest, UnsupportedParameter

HI = [{"role": "user", "content": "Hi"}]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b64(b"\x89PNG\r\n\x1a\nrest")


def read(endpoint: str, document: Any, gaps: Gaps | None = None) -> Any:
    return READERS[endpoint](json.dumps(document).encode(), gaps or Gaps())


def chat(gaps: Gaps | None = None, **fields: Any) -> Conversation:
    found: Conversation = read("chat", {"model": "m", "messages": HI, **fields}, gaps)
    return found


def turns(*messages: Any) -> tuple[Turn, ...]:
    return chat(messages=list(messages)).turns


def call(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": {"a": 1}}, **more}]}


def test_a_chat_is_read_with_its_instructions():
    found = chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": None},
            *HI,
            {"role": "system", "content": "Now be long."},
            {"role": "assistant", "content": "Yes", "thinking": "Hm"},
            {"role": "assistant", "content": ""},
            {"role": "user"},
        ]
    )
    assert found.instructions == ("Be brief.", "")
    assert found.turns == (
        Turn("user", (Text("Hi"),)),
        Turn("system", (Text("Now be long."),)),
        Turn("assistant", (Reasoning("Hm"), Text("Yes"))),
        Turn("user", (Text(""),)),
    )


def test_the_document_itself_is_kept():
    assert chat().native == {"model": "m", "messages": HI}


@pytest.mark.parametrize(
    ("begin", "kind", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
        (b"\xff\xd8\xff\xe0", "image", "image/jpeg"),
        (b"GIF89a", "image", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8", "image", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt", "audio", "audio/wav"),
        (b"ID3\x04", "audio", "audio/mpeg"),
        (b"RIFF\0\0\0\0AVI ", "image", None),
        (b"what", "image", None),
    ],
)
def test_an_image_is_known_by_how_it_begins(begin, kind, mime):
    data = b64(begin)
    (turn,) = turns({"role": "user", "content": "See", "images": [data]})
    assert turn.parts == (Text("See"), Media(kind=kind, mime=mime, data=data))


def test_calls_without_ids_are_called_by_their_place_and_results_find_them_by_tool_or_order():
    found = turns(
        *HI,
        {
            "role": "assistant",
            "tool_calls": [
                {"type": "function", "function": {"index": 0, "name": "f", "arguments": {"x": "é"}}},
                {"function": {"name": "g", "arguments": {}}},
                {"function": {"name": "f"}},
            ],
        },
        {"role": "tool", "tool_name": "g", "content": "of g"},
        {"role": "tool", "content": "first f", "images": [PNG]},
        {"role": "tool", "name": "f", "content": "second f"},
        *HI,
    )
    assert found[1:] == (
        Turn(
            "assistant",
            (
                ToolCall("call_1_0", "f", '{"x":"é"}'),
                ToolCall("call_1_1", "g", "{}"),
                ToolCall("call_1_2", "f", "{}"),
            ),
        ),
        Turn(
            "user",
            (
                ToolResult("call_1_1", (Text("of g"),), "g"),
                ToolResult("call_1_0", (Text("first f"), Media(kind="image", mime="image/png", data=PNG)), "f"),
                ToolResult("call_1_2", (Text("second f"),), "f"),
            ),
        ),
        Turn("user", (Text("Hi"),)),
    )


def test_ids_that_are_there_are_kept():
    found = turns(
        call(id="a"),
        call(id="b"),
        {"role": "tool", "tool_call_id": "b", "content": "1"},
        {"role": "tool", "tool_call_id": "gone", "tool_name": "h", "content": ""},
    )
    assert found[0].parts == (ToolCall("a", "f", '{"a":1}'),)
    assert found[2].parts == (ToolResult("b", (Text("1"),), "f"), ToolResult("gone", (), "h"))


@pytest.mark.parametrize("message", [{"tool_name": "g"}, {}])
def test_a_result_of_no_call_is_refused(message):
    history = [call(), {"role": "tool", "content": ""}] if not message else [call()]
    with pytest.raises(BadRequest) as caught:
        turns(*history, {"role": "tool", "content": "x", **message})
    assert caught.value.param == f"messages[{len(history)}]"


def test_tools_are_read():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    found = chat(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
            {"function": {"name": "g"}},
        ]
    )
    assert found.tools == (Tool("f", "d", schema, True), Tool("g"))


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("", None),
        (None, None),
        ("json", Format("json_object")),
        ({"type": "object"}, Format("json_schema", {"type": "object"})),
    ],
)
def test_a_format_is_a_word_or_a_schema(format, expected):
    assert chat(format=format).format == expected


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, None),
        (True, Thinking(enabled=True, shown=True)),
        (False, Thinking(enabled=False, shown=False)),
        ("low", Thinking(enabled=True, effort="low", shown=True)),
        ("max", Thinking(enabled=True, effort="max", shown=True)),
    ],
)
def test_thinking_is_on_off_or_a_level(think, expected):
    assert chat(think=think).thinking == expected


def test_options_have_neutral_names_and_those_of_ollama_alone_are_dropped():
    gaps = Gaps()
    found = chat(
        gaps,
        options={
            "num_predict": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "stop": ["a", "b"],
            "presence_penalty": 1,
            "frequency_penalty": 1.5,
            "num_ctx": 4096,
            "min_p": 0.1,
            "repeat_penalty": None,
        },
        keep_alive="5m",
        truncate=False,
        shift=True,
        logprobs=False,
        top_logprobs=2,
        stream=True,
        odd=1,
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.top_k, found.seed) == (5, 0.5, 0.9, 40, 7)
    assert (found.stop, found.presence_penalty, found.frequency_penalty) == (("a", "b"), 1, 1.5)
    assert sorted(gaps.dropped) == sorted(
        ["options.num_ctx", "options.min_p", "keep_alive", "truncate", "shift", "top_logprobs", "odd"]
    )
    assert gaps.name("max_tokens") == "options.num_predict"
    assert gaps.name("thinking") == "think"


@pytest.mark.parametrize("number", [-2, -1, 0, None])
def test_what_is_no_bound_is_none(number):
    found = chat(options={"num_predict": number, "top_k": number, "seed": -1})
    assert (found.max_tokens, found.top_k, found.seed) == (None, None, None)


def test_unknown_fields_are_dropped_by_their_full_names():
    gaps = Gaps()
    chat(
        gaps,
        messages=[{"role": "user", "content": "x", "a": 1}, {**call(b=2), "c": 3}],
        tools=[{"function": {"name": "f", "d": 4}, "e": 5}],
    )
    assert gaps.dropped == [
        "messages[0].a",
        "messages[1].tool_calls[0].b",
        "messages[1].c",
        "tools[0].function.d",
        "tools[0].e",
    ]


def test_a_completion_is_a_chat_of_one_turn():
    gaps = Gaps()
    found = read(
        "generate",
        {
            "model": "m",
            "prompt": "Hi",
            "system": "s",
            "images": [PNG],
            "raw": False,
            "template": "",
            "suffix": "",
            "context": [],
            "think": True,
            "options": {"seed": 1},
        },
        gaps,
    )
    assert found.instructions == ("s",)
    assert found.turns == (Turn("user", (Text("Hi"), Media(kind="image", mime="image/png", data=PNG))),)
    assert (found.seed, found.thinking.enabled, gaps.dropped) == (1, True, [])
    assert read("generate", {"model": "m", "prompt": "Hi"}).instructions == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("raw", True), ("suffix", "x"), ("template", "t"), ("context", [1]), ("width", 1), ("logprobs", True)],
)
def test_what_only_ollama_can_do_is_refused_by_name(field, value):
    with pytest.raises(UnsupportedParameter) as caught:
        read("generate", {"model": "m", "prompt": "Hi", field: value})
    assert caught.value.param == field
    assert field in caught.value.message


def test_a_request_without_a_prompt_has_no_turns():
    assert chat(messages=[]).turns == ()
    found = read("generate", {"model": "m", "prompt": "", "system": "s"})
    assert (found.turns, found.instructions) == ((), ())


@pytest.mark.parametrize(
    ("endpoint", "fields", "expected"),
    [
        ("embed", {"input": "a"}, Embedding(inputs=("a",), single=True)),
        ("embed", {"input": ["a", "b"], "dimensions": 8}, Embedding(inputs=("a", "b"), dimensions=8)),
        ("embeddings", {"prompt": "a"}, Embedding(inputs=("a",), single=True)),
    ],
)
def test_embeddings_are_asked_for_in_two_ways(endpoint, fields, expected):
    gaps = Gaps()
    assert read(endpoint, {"model": "m", "options": {"num_ctx": 1}, "truncate": True, **fields}, gaps) == expected
    assert gaps.dropped == ["options.num_ctx", "truncate"]
    assert read(endpoint, {"model": "m", **fields}) == expected


@pytest.mark.parametrize(
    ("endpoint", "fields", "param"),
    [
        ("chat", {"messages": None}, "messages"),
        ("chat", {"messages": "x"}, "messages"),
        ("chat", {"messages": ["x"]}, "messages[0]"),
        ("chat", {"messages": [{"content": "x"}]}, "messages[0].role"),
        ("chat", {"messages": [{"role": "developer"}]}, "messages[0].role"),
        ("chat", {"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ("chat", {"messages": [{"role": "user", "images": "x"}]}, "messages[0].images"),
        ("chat", {"messages": [{"role": "user", "images": [""]}]}, "messages[0].images[0]"),
        ("chat", {"messages": [{"role": "user", "images": [PNG, 1]}]}, "messages[0].images[1]"),
        ("chat", {"messages": [{"role": "user", "images": ["http://x/y.png"]}]}, "messages[0].images[0]"),
        ("chat", {"messages": [{"role": "user", "images": ["é"]}]}, "messages[0].images[0]"),
        ("chat", {"messages": [{"role": "assistant", "thinking": 1}]}, "messages[0].thinking"),
        ("chat", {"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        ("chat", {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ("chat", {"messages": [call("")]}, "messages[0].tool_calls[0].function.name"),
        ("chat", {"messages": [call(id=1)]}, "messages[0].tool_calls[0].id"),
        ("chat", {"messages": [call(type="x")]}, "messages[0].tool_calls[0].type"),
        (
            "chat",
            {"messages": [call(function={"name": "f", "arguments": "{}"})]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ("chat", {"messages": [call(), {"role": "tool", "tool_call_id": 1}]}, "messages[1].tool_call_id"),
        ("chat", {"messages": [call(), {"role": "tool", "tool_name": 1}]}, "messages[1].tool_name"),
        ("chat", {"tools": {}}, "tools"),
        ("chat", {"tools": [{"type": "custom", "function": {"name": "f"}}]}, "tools[0].type"),
        ("chat", {"tools": [{"type": "function"}]}, "tools[0].function"),
        ("chat", {"tools": [{"function": {}}]}, "tools[0].function.name"),
        ("chat", {"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ("chat", {"format": "xml"}, "format"),
        ("chat", {"format": 1}, "format"),
        ("chat", {"think": "much"}, "think"),
        ("chat", {"think": 1}, "think"),
        ("chat", {"stream": "yes"}, "stream"),
        ("chat", {"logprobs": 1}, "logprobs"),
        ("chat", {"options": []}, "options"),
        ("chat", {"options": {"num_predict": 1.5}}, "options.num_predict"),
        ("chat", {"options": {"temperature": -1}}, "options.temperature"),
        ("chat", {"options": {"top_p": 2}}, "options.top_p"),
        ("chat", {"options": {"seed": "x"}}, "options.seed"),
        ("chat", {"options": {"stop": [1]}}, "options.stop"),
        ("generate", {}, "prompt"),
        ("generate", {"prompt": 1}, "prompt"),
        ("generate", {"prompt": "x", "system": 1}, "system"),
        ("generate", {"prompt": "x", "raw": 1}, "raw"),
        ("embed", {}, "input"),
        ("embed", {"input": [1]}, "input"),
        ("embed", {"input": "x", "dimensions": 0}, "dimensions"),
        ("embeddings", {}, "prompt"),
        ("embeddings", {"prompt": ["x"]}, "prompt"),
    ],
)
def test_what_is_malformed_is_refused_by_its_full_name(endpoint, fields, param):
    document = {"model": "m", **({"messages": HI} if endpoint == "chat" else {}), **fields}
    with pytest.raises(BadRequest) as caught:
        read(endpoint, document)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize("endpoint", list(READERS))
def test_a_body_that_is_no_object_is_refused(endpoint):
    with pytest.raises(BadRequest) as caught:
        READERS[endpoint](b"[]", Gaps())
    assert caught.value.code == "invalid_json"
