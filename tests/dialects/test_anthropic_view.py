"""Anthropic's requests in neutral terms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.view import AnthropicView
from netrunner.errors import BadRequest


def view(**fields: Any) -> AnthropicView:
    return AnthropicView(json.dumps(fields).encode())


def test_an_unchanged_document_keeps_its_bytes() -> None:
    seen = AnthropicView(b'{ "model":"m", "max_tokens": 1e1, "messages": [] }')
    assert seen.messages() == ()
    assert seen.params() == {"max_tokens": 10.0}
    assert (seen.changed(), seen.body()) == (False, b'{ "model":"m", "max_tokens": 1e1, "messages": [] }')


@pytest.mark.parametrize("system", ["s1s2", [{"type": "text", "text": "s1"}, {"type": "text", "text": "s2"}, 5]])
def test_what_the_operator_said_is_the_first_turn(system: Any) -> None:
    seen = view(system=system, messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}])
    assert [(one.role, one.text) for one in seen.messages()] == [("system", "s1s2"), ("user", "a")]


def test_a_request_without_turns_has_none() -> None:
    assert view(prompt="x").messages() == ()
    assert AnthropicView(b"").messages() == ()


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, "/no_think"),
        ("Be brief.", "Be brief.\n\n/no_think"),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}, {"type": "text", "text": "/no_think"}]),
    ],
)
def test_an_instruction_comes_after_all_others(system: Any, expected: Any) -> None:
    seen = view(messages=[], system=system)
    seen.append_system("/no_think")
    assert seen.changed()
    assert json.loads(seen.body())["system"] == expected


def test_a_document_that_cannot_be_changed_is_refused() -> None:
    with pytest.raises(BadRequest):
        view(system=1).append_system("x")
    with pytest.raises(BadRequest):
        AnthropicView(b"").append_system("x")
    with pytest.raises(BadRequest):
        AnthropicView(b"[]").messages()


def test_parameters_have_neutral_names() -> None:
    seen = view(temperature=0.1, top_k=2, stop_sequences=["a"], output_config={"effort": "low"})
    assert seen.params() == {"temperature": 0.1, "top_k": 2, "stop": ["a"], "reasoning_effort": "low"}
    seen.set_param("temperature", None)
    seen.set_param("top_p", None)
    seen.set_param("stop", ["b"])
    seen.set_param("max_tokens", 5)
    assert json.loads(seen.body()) == {
        "top_k": 2,
        "stop_sequences": ["b"],
        "output_config": {"effort": "low"},
        "max_tokens": 5,
    }
    with pytest.raises(KeyError):
        seen.set_param("seed", 1)


@pytest.mark.parametrize(
    ("output", "effort", "expected"),
    [
        (None, "high", {"effort": "high"}),
        ({"format": {}}, "high", {"format": {}, "effort": "high"}),
        ({"format": {}, "effort": "low"}, None, {"format": {}}),
        ({"effort": "low"}, None, None),
    ],
)
def test_an_effort_is_set_beside_what_else_is_said_of_the_answer(output: Any, effort: Any, expected: Any) -> None:
    seen = view(**({} if output is None else {"output_config": output}))
    seen.set_param("reasoning_effort", effort)
    assert json.loads(seen.body()).get("output_config") == expected


def test_every_other_field_is_an_extra() -> None:
    assert dict(view(model="m", messages=[], tools=[1], top_p=1, thinking={}).extras()) == {
        "tools": [1],
        "thinking": {},
    }
