"""A Gemini request as request filters see and change it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.gemini.view import GeminiView
from netrunner.errors import BadRequest
from netrunner.values import Message

TURN = {"role": "user", "parts": [{"text": "a"}, {"inlineData": {}}, {"text": "b"}]}
MODEL = {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "c"}, 1]}


def view(document: Any) -> GeminiView:
    return GeminiView(json.dumps(document).encode())


def after(found: GeminiView) -> Any:
    assert found.changed()
    return json.loads(found.body())


def test_messages_are_instructions_and_turns():
    system = {"parts": [{"text": "be"}]}
    assert view({"systemInstruction": system, "contents": [TURN, MODEL, {"parts": 1}]}).messages() == (
        Message("system", "be", system),
        Message("user", "ab", TURN),
        Message("assistant", "c", MODEL),
        Message("user", "", {"parts": 1}),
    )
    assert view({"system_instruction": "be", "contents": []}).messages()[0].text == "be"
    assert view({}).messages() == ()


@pytest.mark.parametrize(
    ("document", "system"),
    [
        ({"contents": []}, {"parts": [{"text": "x"}]}),
        ({"contents": [], "systemInstruction": "be"}, {"parts": [{"text": "be"}, {"text": "x"}]}),
        (
            {"contents": [], "systemInstruction": {"role": "user", "parts": [{"text": "be"}]}},
            {"role": "user", "parts": [{"text": "be"}, {"text": "x"}]},
        ),
        ({"contents": [], "systemInstruction": {}}, {"parts": [{"text": "x"}]}),
    ],
)
def test_an_instruction_is_added_after_those_that_are_there(document, system):
    found = view(document)
    found.append_system("x")
    assert after(found) == {**document, "systemInstruction": system}


def test_the_callers_spelling_and_bytes_are_kept():
    found = GeminiView(b'{"contents": [ ],"system_instruction":{}, "x":1.50}')
    found.append_system("x")
    assert found.body() == b'{"contents":[ ],"system_instruction":{"parts":[{"text":"x"}]},"x":1.50}'


def test_a_request_without_turns_gets_no_instruction():
    found = view({"content": {}})
    found.append_system("x")
    assert not found.changed()
    assert found.body() == b'{"content": {}}'


def test_parameters_have_neutral_names():
    config = {"max_output_tokens": 5, "topP": 0.5, "stopSequences": ["a"], "thinkingConfig": {"thinkingLevel": "LOW"}}
    assert view({"generationConfig": config}).params() == {
        "max_tokens": 5,
        "top_p": 0.5,
        "stop": ["a"],
        "reasoning_effort": "low",
    }
    assert view({"contents": []}).params() == {}


def test_parameters_are_set_where_they_stand():
    found = view({"generation_config": {"max_output_tokens": 5, "topP": 0.5}})
    found.set_param("max_tokens", 9)
    found.set_param("stop", "x")
    found.set_param("top_p", None)
    found.set_param("seed", 3)
    assert after(found) == {"generation_config": {"max_output_tokens": 9, "stopSequences": ["x"], "seed": 3}}


def test_the_effort_is_a_level_without_a_budget():
    found = view({"generationConfig": {"thinking_config": {"thinking_budget": 5, "include_thoughts": True}}})
    found.set_param("reasoning_effort", "high")
    assert after(found)["generationConfig"] == {"thinking_config": {"includeThoughts": True, "thinkingLevel": "HIGH"}}
    found.set_param("reasoning_effort", None)
    assert after(found)["generationConfig"] == {"thinking_config": {"includeThoughts": True}}


def test_what_is_not_there_needs_no_removing():
    found = view({"contents": []})
    found.set_param("seed", None)
    found.set_param("reasoning_effort", None)
    assert not found.changed()
    with pytest.raises(KeyError):
        found.set_param("odd", 1)


def test_extras_are_everything_else():
    found = view(
        {"contents": [], "tools": [1], "generationConfig": {"seed": 1, "response_mime_type": "x"}, "model": "m"}
    )
    assert found.extras() == {"tools": [1], "generationConfig": {"response_mime_type": "x"}}
    with pytest.raises(TypeError):
        found.extras()["tools"] = 1  # type: ignore[index]  # that is what has to fail
    assert view({"contents": []}).extras() == {}


@pytest.mark.parametrize("document", [{"contents": 1}, {"contents": [1]}, {"contents": [], "systemInstruction": 1}])
def test_turns_that_are_none_are_refused(document):
    with pytest.raises(BadRequest):
        view(document).messages()


def test_what_cannot_be_changed_is_refused():
    for document in ({"contents": [], "systemInstruction": 1}, {"contents": [], "systemInstruction": {"parts": 1}}):
        with pytest.raises(BadRequest):
            view(document).append_system("x")
    with pytest.raises(BadRequest):
        view({"generationConfig": []}).params()
    with pytest.raises(BadRequest):
        GeminiView(b"").set_param("seed", 1)
    with pytest.raises(BadRequest):
        GeminiView(b"[]").messages()
    with pytest.raises(BadRequest):
        GeminiView(b'{"contents": ["\xff"]}').messages()
    with pytest.raises(BadRequest):
        GeminiView(b'{"contents": ' + b"[" * 5000 + b"]" * 5000 + b"}").messages()


def test_an_empty_body_has_nothing():
    found = GeminiView(b"")
    assert (found.messages(), found.params(), found.extras(), found.body()) == ((), {}, {}, b"")
