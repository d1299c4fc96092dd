"""Chats and embeddings as GigaChat wants them."""

import copy
import json

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects import seals
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
from netrunner.dialects.gigachat.dialect import GigaChatDialect
from netrunner.dialects.gigachat.requests import JSON_ONLY
from netrunner.dialects.interfaces import IDecoder, ISpoken
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import UnsupportedParameter

SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
EMPTY = {"type": "object", "properties": {}}
STATE = "77d3fb14-457a-46ba-937e-8d856156d003"


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts):
    return Turn("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system(text):
    return Turn("system", (Text(text),))


def call(id="a", name="look", arguments='{"at": "here"}', signature=None):
    return ToolCall(id, name, arguments, signature)


def result(id="a", text='{"seen": true}', **more):
    return ToolResult(id, (Text(text),), **more)


def dropped(stream=False, **fields):
    request = Conversation(**{"turns": (user("Hi"),), **fields})
    before = copy.deepcopy(request)
    gaps = Gaps(target="gigachat")
    found = GigaChatDialect().write(request, "GigaChat-2", stream, gaps)
    assert request == before
    assert found.endpoint == "chat/completions"
    return json.loads(found.body), gaps.dropped


def written(**fields):
    return dropped(**fields)[0]


def messages(*turns, **fields):
    return written(turns=turns, **fields)["messages"]


def test_the_dialect_is_found_by_the_name_its_providers_give():
    assert verifyObject(ISpoken, SPOKEN["gigachat"])
    endpoints = ("chat/completions", "embeddings")
    assert all(verifyObject(IDecoder, SPOKEN["gigachat"].decoder(one, False, 9)) for one in endpoints)


def test_the_least_that_is_asked_is_the_least_that_is_written():
    assert written() == {"model": "GigaChat-2", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}
    assert written(stream=True)["stream"] is True


def test_everything_with_a_place_is_written_there():
    document, lost = dropped(max_tokens=7, temperature=1.5, top_p=0.5, n=2, parallel_tool_calls=False)
    assert lost == []
    del document["model"], document["stream"], document["messages"]
    assert document == {"max_tokens": 7, "temperature": 1.5, "top_p": 0.5, "n": 2}


def test_a_temperature_of_zero_chooses_among_nothing_but_the_likeliest():
    document = written(temperature=0.0, top_p=0.9)
    assert ("temperature" in document, document["top_p"]) == (False, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_k", 5),
        ("seed", 0),
        ("stop", ("a",)),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("logprobs", True),
        ("top_logprobs", 1),
        ("user", "u"),
    ],
)
def test_what_has_no_place_is_dropped_by_name(field, value):
    assert dropped(**{field: value}) == (written(), [field])


def test_a_bias_is_refused():
    with pytest.raises(UnsupportedParameter, match="logit_bias: not supported by gigachat"):
        written(logit_bias={"1": 2.0})


def test_the_systems_message_is_one_and_first():
    assert messages(system("Two."), user("Hi"), instructions=("One.", "")) == [
        {"role": "system", "content": "One.\n\nTwo."},
        {"role": "user", "content": "Hi"},
    ]


def test_the_system_in_between_becomes_the_user_and_that_is_told():
    document, lost = dropped(turns=(user("Hi"), assistant("Yes"), system("Be brief."), user("So?")))
    assert document["messages"][2:] == [{"role": "user", "content": "Be brief.\n\nSo?"}]
    assert lost == ["system"]


def test_turns_of_one_side_become_one_message_and_names_are_dropped():
    turns = (Turn("user", (Text("a"),), name="Ann"), user("b"), assistant("c", Refusal("d")), user("e"))
    document, lost = dropped(turns=turns)
    assert document["messages"] == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c\n\nd"},
        {"role": "user", "content": "e"},
    ]
    assert lost == ["name"]


def test_a_beginning_of_the_answer_is_dropped():
    assert dropped(turns=(user("Hi"), assistant("Sure:"))) == (written(), ["prefill"])


def test_a_call_has_its_arguments_as_an_object_and_its_result_a_name():
    assert messages(user("Hi"), assistant("I look.", call()), user(result(), "Well?"))[1:] == [
        {"role": "assistant", "content": "I look.", "function_call": {"name": "look", "arguments": {"at": "here"}}},
        {"role": "function", "name": "look", "content": '{"seen": true}'},
        {"role": "user", "content": "Well?"},
    ]


def test_several_calls_of_one_turn_are_told_one_after_the_other():
    calls = assistant("Both.", call(), call("b", "wait", ""))
    found = messages(user("Hi"), calls, user(result("b", "{}"), result()))
    assert [(one["role"], one.get("name"), one["content"]) for one in found] == [
        ("user", None, "Hi"),
        ("assistant", None, "Both."),
        ("function", "look", '{"seen": true}'),
        ("assistant", None, ""),
        ("function", "wait", "{}"),
    ]
    assert found[3]["function_call"] == {"name": "wait", "arguments": {}}


def test_a_result_away_from_its_call_keeps_its_place_and_is_named_as_well_as_can_be():
    turns = (user("Hi"), assistant(call()), user("Wait."), assistant("Yes?"), user(result()))
    assert messages(*turns)[-1] == {"role": "function", "name": "look", "content": '{"seen": true}'}
    assert messages(user(result("x", name="see")))[-1]["name"] == "see"
    assert messages(user(result("x")))[-1]["name"] == "x"


@pytest.mark.parametrize(
    ("text", "is_error", "content"),
    [
        ('{"a": 1}', False, {"a": 1}),
        ("[1]", False, {"result": [1]}),
        ("cloudy", False, {"result": "cloudy"}),
        ("[" * 5000, False, {"result": "[" * 5000}),
        ("no", True, {"error": "no"}),
        ('{"a": 1}', True, {"error": {"a": 1}}),
    ],
)
def test_a_result_is_the_json_of_an_object(text, is_error, content):
    found = messages(user("Hi"), assistant(call()), user(result(text=text, is_error=is_error)))
    assert json.loads(found[-1]["content"]) == content


def test_the_state_of_a_call_goes_back_with_it():
    sealed = seals.seal(seals.GIGACHAT, STATE)
    for parts in ((call(signature=sealed),), (Reasoning(signature=sealed), call())):
        document, lost = dropped(turns=(user("Hi"), assistant(*parts, call("b")), user(result())))
        told = [one.get("functions_state_id") for one in document["messages"] if one["role"] == "assistant"]
        assert (told, lost) == ([STATE, None], [])


def test_reasoning_and_the_seals_of_others_do_not_go_back():
    theirs = seals.seal(seals.GEMINI, "x")
    turns = (user("Hi"), assistant(Reasoning("Hm.", theirs), call(signature=theirs)), user(result()))
    document, lost = dropped(turns=turns)
    assert "functions_state_id" not in document["messages"][1]
    assert lost == ["reasoning"]
    document, lost = dropped(turns=(user("Hi"), assistant(Reasoning("Hm.")), user("So?")))
    assert [one["role"] for one in document["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    "turn",
    [
        user(Media(kind="image", url="https://x.test/a.png")),
        user(Media(kind="image", file_id="f")),
        user(Media(kind="document", url="https://x.test/a.pdf")),
        user(ToolResult("a", (Media(kind="image", data="QUJD"),))),
        assistant(Media(kind="image", data="QUJD"), call()),
    ],
)
def test_media_are_refused_by_their_kind(turn):
    with pytest.raises(UnsupportedParameter) as caught:
        messages(user("Hi"), turn)
    assert caught.value.param in ("image", "document")


@pytest.mark.parametrize(
    ("image", "attached"),
    [
        (Media(kind="image", data="QUJD", mime="image/webp"), "data:image/webp;base64,QUJD"),
        (Media(kind="image", url="data:image/gif;base64,QUJD"), "data:image/gif;base64,QUJD"),
        (Media(kind="image", data="iVBORw0KGgo="), "data:image/png;base64,iVBORw0KGgo="),
        (Media(kind="image", data="QUJD", mime="image/\r\nx: y"), "data:image/jpeg;base64,QUJD"),
        (Media(kind="image", url="data:;base64,QUJD"), "data:image/jpeg;base64,QUJD"),
    ],
)
def test_an_image_stands_where_the_id_of_its_file_will(image, attached):
    expected = {"role": "user", "content": "Hi", "attachments": [attached]}
    assert messages(user(Text("Hi"), image)) == [expected]


def test_how_an_image_is_called_and_looked_at_is_dropped():
    _, lost = dropped(turns=(user(Media(kind="image", data="QUJD", name="a.png", detail="high")),))
    assert lost == ["filename", "detail"]


def test_a_turn_without_a_part_is_an_empty_message():
    assert messages(user()) == [{"role": "user", "content": ""}]


def test_tools_are_functions_and_their_strictness_is_dropped():
    document, lost = dropped(tools=(Tool("look", "Looks.", SCHEMA, True), Tool("wait")))
    assert document["functions"] == [
        {"name": "look", "description": "Looks.", "parameters": SCHEMA},
        {"name": "wait", "parameters": EMPTY},
    ]
    assert "function_call" not in document
    assert lost == ["strict"]


@pytest.mark.parametrize(
    ("choice", "sent", "lost"),
    [
        (ToolChoice("auto"), "auto", []),
        (ToolChoice("none"), "none", []),
        (ToolChoice("required"), "auto", ["tool_choice"]),
        (ToolChoice("named", "look"), {"name": "look"}, []),
    ],
)
def test_a_choice_of_tools_is_written_where_there_are_tools(choice, sent, lost):
    document, found = dropped(tools=(Tool("look"),), tool_choice=choice)
    assert (document["function_call"], found) == (sent, lost)
    assert "function_call" not in written(tool_choice=choice)


def test_json_without_a_schema_is_asked_for_in_words_and_that_is_told():
    document, lost = dropped(format=Format("json_object"), instructions=("Be kind.",))
    assert document["messages"][0] == {"role": "system", "content": f"Be kind.\n\n{JSON_ONLY}"}
    assert ("response_format" in document, lost) == (False, ["format"])


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (Format("json_schema", SCHEMA, "place"), {"type": "json_schema", "schema": SCHEMA}),
        (
            Format("json_schema", {"type": "object"}, None, "A place.", True),
            {"type": "json_schema", "schema": {"description": "A place.", "type": "object"}, "strict": True},
        ),
    ],
)
def test_json_with_a_schema_has_a_place(wanted, sent):
    assert dropped(format=wanted) == ({**written(), "response_format": sent}, [])


@pytest.mark.parametrize(
    ("wanted", "effort"),
    [
        (Thinking(enabled=False, effort="high"), None),
        (Thinking(shown=True), None),
        (Thinking(enabled=True), "medium"),
        (Thinking(effort="minimal"), "low"),
        (Thinking(effort="max", budget_tokens=100), "high"),
        (Thinking(budget_tokens=1024), "low"),
        (Thinking(budget_tokens=8192), "medium"),
        (Thinking(budget_tokens=30000), "high"),
    ],
)
def test_thinking_is_an_effort(wanted, effort):
    assert written(thinking=wanted).get("reasoning_effort") == effort


def test_an_embedding_is_its_texts():
    gaps = Gaps()
    found = GigaChatDialect().write(Embedding(inputs=("a", "b"), purpose="query", user="u"), "Embeddings", False, gaps)
    assert (found.endpoint, json.loads(found.body)) == ("embeddings", {"model": "Embeddings", "input": ["a", "b"]})
    assert gaps.dropped == ["purpose", "user"]
    assert json.loads(GigaChatDialect().write(Embedding(inputs=("a",)), "E", False, Gaps(strict=True)).body)[
        "input"
    ] == ["a"]


def test_dimensions_are_refused():
    with pytest.raises(UnsupportedParameter, match="dimensions"):
        GigaChatDialect().write(Embedding(inputs=("a",), dimensions=2), "Embeddings", False, Gaps())
