"""Chats and embeddings as Cohere wants them."""

import copy
import json

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects.cohere.dialect import CohereDialect
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
from netrunner.dialects.interfaces import IDecoder, ISpoken
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import UnsupportedParameter

SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts):
    return Turn("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def written(stream=False, gaps=None, **fields):
    request = Conversation(**{"turns": (user("Hi"),), **fields})
    before = copy.deepcopy(request)
    found = CohereDialect().write(request, "command-a", stream, Gaps() if gaps is None else gaps)
    assert request == before
    assert found.endpoint == "chat"
    return json.loads(found.body)


def messages(*turns, **fields):
    return written(turns=turns, **fields)["messages"]


def dropped(**fields):
    gaps = Gaps()
    document = written(gaps=gaps, **fields)
    return document, gaps.dropped


def test_a_dialect_is_found_by_the_name_its_providers_give():
    assert verifyObject(ISpoken, SPOKEN["cohere"])
    assert all(verifyObject(IDecoder, SPOKEN["cohere"].decoder(one, False, 9)) for one in ("chat", "embed"))


def test_the_least_that_is_asked_is_the_least_that_is_written():
    assert written() == {"model": "command-a", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}
    assert written(stream=True)["stream"] is True


def test_everything_with_a_place_is_written_there():
    document, lost = dropped(
        max_tokens=7,
        temperature=1.5,
        top_p=0.5,
        top_k=40,
        stop=("a", "b"),
        seed=3,
        presence_penalty=0.25,
        frequency_penalty=1,
        n=1,
        parallel_tool_calls=True,
    )
    assert lost == []
    del document["model"], document["stream"], document["messages"]
    assert document == {
        "max_tokens": 7,
        "temperature": 1.5,
        "p": 0.5,
        "k": 40,
        "stop_sequences": ["a", "b"],
        "seed": 3,
        "presence_penalty": 0.25,
        "frequency_penalty": 1,
    }


@pytest.mark.parametrize(
    ("field", "value", "name", "sent"),
    [
        ("top_p", 1.0, "p", 0.99),
        ("top_p", 0.0, "p", 0.01),
        ("top_k", 900, "k", 500),
        ("presence_penalty", -0.5, "presence_penalty", 0),
        ("frequency_penalty", 1.5, "frequency_penalty", 1),
    ],
)
def test_what_is_out_of_range_becomes_the_nearest_that_is_not_and_that_is_told(field, value, name, sent):
    document, lost = dropped(**{field: value})
    assert (document[name], lost) == (sent, [field])


@pytest.mark.parametrize(
    ("field", "value"),
    [("parallel_tool_calls", False), ("logprobs", True), ("top_logprobs", 1), ("user", "u")],
)
def test_what_has_no_place_is_dropped_by_name(field, value):
    assert dropped(**{field: value}) == (written(), [field])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"1": 2.0}),
        ("stop", ("1", "2", "3", "4", "5", "6")),
        ("tool_choice", ToolChoice("named", "look")),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_the_callers_name(field, value):
    gaps = Gaps(target="cohere")
    gaps.called(field, "theirs")
    with pytest.raises(UnsupportedParameter, match=r"^theirs: not supported by cohere") as caught:
        written(gaps=gaps, **{field: value})
    assert caught.value.param == "theirs"


def test_instructions_and_system_turns_keep_their_places():
    assert messages(user("Hi"), Turn("system", (Text("Be brief."),)), instructions=("One.", "Two.")) == [
        {"role": "system", "content": "One."},
        {"role": "system", "content": "Two."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be brief."},
    ]


def test_turns_of_one_side_become_one_message():
    turns = (user("a"), user("b"), assistant("c", Refusal("d")), assistant("e"), user("f"))
    assert messages(*turns) == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c\n\nd\n\ne"},
        {"role": "user", "content": "f"},
    ]


def test_names_of_speakers_are_dropped():
    assert dropped(turns=(Turn("user", (Text("Hi"),), name="Ann"),)) == (written(), ["name"])


def test_a_beginning_of_the_answer_is_dropped():
    assert dropped(turns=(user("Hi"), assistant("Sure:"))) == (written(), ["prefill"])


def test_reasoning_is_dropped_and_a_message_of_nothing_else_left_out():
    document, lost = dropped(turns=(user("Hi"), assistant(Reasoning("Hm.")), user("So?")))
    assert document["messages"] == [{"role": "user", "content": "Hi"}, {"role": "user", "content": "So?"}]
    assert lost == ["reasoning"]


CALL = ToolCall("a", "look", '{"at": "here"}')


def test_calls_and_their_results_are_messages_of_their_own():
    turns = (
        user("Hi"),
        assistant("I will look.", CALL, ToolCall("b", "wait", "{}")),
        user("Well?", ToolResult("a", (Text("one"), Text("two"))), ToolResult("b", (Text("no"),), is_error=True)),
    )
    assert messages(*turns)[1:] == [
        {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at": "here"}'}},
                {"id": "b", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one\n\ntwo"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no"},
        {"role": "user", "content": "Well?"},
    ]


def test_a_last_turn_of_calls_is_no_beginning_of_the_answer():
    assert [one["role"] for one in messages(user("Hi"), assistant(CALL))] == ["user", "assistant"]


def test_results_alone_leave_no_empty_message_of_the_user():
    roles = [one["role"] for one in messages(user("Hi"), assistant(CALL), user(ToolResult("a", (Text("x"),))))]
    assert roles == ["user", "assistant", "tool"]


def test_a_turn_without_a_part_is_an_empty_message():
    assert messages(user()) == [{"role": "user", "content": ""}]


def test_images_are_written_beside_texts():
    parts = (
        "Look:",
        Media(kind="image", mime="image/png", data="QUJD"),
        Media(kind="image", url="https://x.test/a.png", detail="original"),
        Refusal("no"),
        Media(kind="image", data="QUJD"),
    )
    assert messages(user(*parts))[0]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "high"}},
        {"type": "text", "text": "no"},
        {"type": "image_url", "image_url": {"url": "data:application/octet-stream;base64,QUJD"}},
    ]


@pytest.mark.parametrize(
    "turn",
    [
        user(Media(kind="audio", mime="audio/wav", data="QUJD")),
        user(Media(kind="document", url="https://x.test/a.pdf")),
        user(Media(kind="image", file_id="f")),
        user(ToolResult("a", (Media(kind="image", data="QUJD"),))),
        assistant(Media(kind="image", data="QUJD"), CALL),
    ],
)
def test_media_without_a_place_are_refused_by_their_kind(turn):
    with pytest.raises(UnsupportedParameter) as caught:
        messages(user("Hi"), turn)
    assert caught.value.param in ("audio", "document", "image")


def test_tools_always_have_parameters():
    document = written(tools=(Tool("look", "Looks.", SCHEMA), Tool("wait")))
    assert document["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "wait", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert "strict_tools" not in document
    assert "tool_choice" not in document


@pytest.mark.parametrize(("mode", "choice"), [("auto", None), ("none", "NONE"), ("required", "REQUIRED")])
def test_a_choice_of_tools_is_written_where_there_are_tools(mode, choice):
    assert written(tools=(Tool("look"),), tool_choice=ToolChoice(mode)).get("tool_choice") == choice
    assert "tool_choice" not in written(tool_choice=ToolChoice(mode))


@pytest.mark.parametrize(
    ("tools", "strict", "lost"),
    [
        ((Tool("a", None, SCHEMA, True), Tool("b", None, SCHEMA, True)), True, []),
        ((Tool("a", None, SCHEMA, True), Tool("b", None, SCHEMA)), None, ["strict"]),
        ((Tool("a", None, SCHEMA, True), Tool("b", None, None, True)), None, ["strict"]),
        ((Tool("a", None, SCHEMA, False),), None, []),
    ],
)
def test_strictness_is_for_all_tools_or_none(tools, strict, lost):
    document, found = dropped(tools=tools)
    assert (document.get("strict_tools"), found) == (strict, lost)


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (Format("json_object"), {"type": "json_object"}),
        (Format("json_schema", SCHEMA, "place", None, True), {"type": "json_object", "json_schema": SCHEMA}),
        (
            Format("json_schema", {"type": "object"}, description="A place."),
            {"type": "json_object", "json_schema": {"description": "A place.", "type": "object"}},
        ),
    ],
)
def test_a_form_of_the_answer_is_json_with_or_without_a_schema(wanted, sent):
    document, lost = dropped(format=wanted)
    assert (document["response_format"], lost) == (sent, [])


@pytest.mark.parametrize(
    ("wanted", "sent", "lost"),
    [
        (Thinking(enabled=False), {"type": "disabled"}, []),
        (Thinking(enabled=True), {"type": "enabled"}, []),
        (Thinking(budget_tokens=2000, effort="high"), {"type": "enabled", "token_budget": 2000}, []),
        (Thinking(enabled=True, effort="low"), None, ["reasoning_effort"]),
        (Thinking(effort="low"), None, ["reasoning_effort"]),
        (Thinking(shown=True), None, []),
    ],
)
def test_thinking_has_a_budget_and_no_effort(wanted, sent, lost):
    gaps = Gaps()
    gaps.called("thinking", "reasoning_effort")
    assert written(gaps=gaps, thinking=wanted).get("thinking") == sent
    assert gaps.dropped == lost


@pytest.mark.parametrize(
    ("purpose", "kind", "lost"),
    [
        (None, "search_document", []),
        ("document", "search_document", []),
        ("query", "search_query", []),
        ("clustering", "clustering", []),
        ("classification", "classification", []),
        ("fact_verification", "search_document", ["purpose"]),
    ],
)
def test_an_embedding_always_says_what_it_is_for(purpose, kind, lost):
    gaps = Gaps()
    found = CohereDialect().write(Embedding(inputs=("a", "b"), purpose=purpose), "embed-v4.0", False, gaps)
    assert found.endpoint == "embed"
    assert json.loads(found.body) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": kind,
        "embedding_types": ["float"],
    }
    assert gaps.dropped == lost


def test_the_dimensions_of_an_embedding_are_asked_for_and_its_user_dropped():
    gaps = Gaps()
    request = Embedding(inputs=("a",), single=True, dimensions=256, base64=True, user="u")
    document = json.loads(CohereDialect().write(request, "embed-v4.0", False, gaps).body)
    assert (document["output_dimension"], document["embedding_types"]) == (256, ["float"])
    assert gaps.dropped == ["user"]


def test_a_strict_provider_refuses_what_would_be_dropped():
    with pytest.raises(UnsupportedParameter):
        written(gaps=Gaps(strict=True), user="u")
