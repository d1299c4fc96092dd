"""What single members of OpenAI's family do otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.gaps import Gaps
from netrunner.dialects.openai.family import Family, fit
from netrunner.errors import UnsupportedParameter

PLAIN = Family()


def fitted(document: Any, family: Family = PLAIN, gaps: Gaps | None = None) -> Any:
    return json.loads(fit(json.dumps(document).encode(), family, gaps or Gaps()))


def refused(document: Any, family: Family) -> str | None:
    with pytest.raises(UnsupportedParameter) as raised:
        fitted(document, family)
    assert (raised.value.status, raised.value.code) == (400, "unsupported_parameter")
    return raised.value.param


@pytest.mark.parametrize("body", [b'{"b": 1,  "a": "\\u00e9", "n" : 1}', b"{", b"[]", b"", b'{"stop": "\xff"}'])
def test_a_body_with_nothing_to_change_keeps_its_bytes(body: bytes) -> None:
    assert fit(body, Family(answers=False), Gaps()) is body


def test_what_a_member_does_not_take_is_left_out_and_told() -> None:
    gaps = Gaps()
    family = Family(dropped=frozenset({"store", "user"}))
    assert fitted({"store": True, "user": None, "x": 1}, family, gaps) == {"x": 1}
    assert gaps.dropped == ["store"]
    with pytest.raises(UnsupportedParameter, match="store"):
        fitted({"store": True}, family, Gaps(strict=True))


def test_what_would_change_the_answer_is_refused() -> None:
    family = Family(refused={"logit_bias": "no token ids"}, answers=False, formats=frozenset({"text"}))
    assert refused({"logit_bias": {"1": 2}}, family) == "logit_bias"
    assert refused({"n": 2}, family) == "n"
    assert refused({"stop": ["a"] * 5}, family) == "stop"
    assert refused({"response_format": {"type": "json_schema"}}, family) == "response_format.type"
    assert refused({"tools": [{"type": "function"}, {"type": "custom"}]}, family) == "tools[1].type"
    assert refused({"audio": {"voice": "x"}}, family) == "audio"


def test_what_asks_for_nothing_is_not_refused() -> None:
    family = Family(refused={"logit_bias": "no token ids"}, answers=False)
    document = {"logit_bias": {}, "n": None, "stop": ["a"] * 4, "response_format": {"type": "text"}, "audio": None}
    assert fitted(document, family).get("n", 0) is None
    assert fitted({"n": 2, "stop": ["a"] * 9, "audio": {}}, Family(max_stop=None, audio=True))["n"] == 2


@pytest.mark.parametrize("field", ["stop", "response_format", "tools", "tool_choice", "messages"])
@pytest.mark.parametrize("value", [7, "x", {}, [7], [[]]])
def test_what_a_member_would_refuse_itself_is_left_to_it(field: str, value: Any) -> None:
    assert fitted({field: value}, Family(merges=True, choices={"required": "any"}, call_id="[a-z]")) == {field: value}


def test_fields_get_the_names_a_member_knows_unless_they_are_there() -> None:
    family = Family(renamed={"max_completion_tokens": "max_tokens", "seed": "random_seed"})
    assert fitted({"max_completion_tokens": 5, "seed": 1}, family) == {"max_tokens": 5, "random_seed": 1}
    assert fitted({"max_completion_tokens": 5, "max_tokens": 6}, family) == {"max_tokens": 6}


def test_a_choice_of_tools_is_told_in_the_members_word() -> None:
    family = Family(choices={"required": "any"})
    assert fitted({"tool_choice": "required"}, family) == {"tool_choice": "any"}
    assert fitted({"tool_choice": "auto"}, family) == {"tool_choice": "auto"}


def test_the_developer_speaks_as_the_system_where_nobody_knows_him() -> None:
    turns = {"messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": '"developer"'}, 7]}
    assert fitted(turns)["messages"][0] == {"role": "system", "content": "a"}
    assert fitted(turns, Family(developer=True)) == turns


@pytest.mark.parametrize(
    ("field", "left"),
    [
        (None, {}),
        ("reasoning_content", {"reasoning_content": "hm"}),
        ("reasoning", {"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}),
    ],
)
@pytest.mark.parametrize("told", ["reasoning", "reasoning_content"])
def test_what_was_thought_goes_back_where_a_member_looks_for_it(field: Any, left: Any, told: str) -> None:
    turn = {"role": "assistant", "content": "x", told: "hm", "reasoning_details": [{"text": "hm"}]}
    assert fitted({"messages": [turn]}, Family(reasoning=field))["messages"] == [
        {"role": "assistant", "content": "x", **left}
    ]


def test_ids_of_calls_that_do_not_fit_are_replaced_in_calls_and_results_alike() -> None:
    turns = [
        {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {}}, {"id": "abcdefghi"}, 7]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": ""},
    ]
    calls, first, second = fitted({"messages": turns}, Family(call_id="[a-zA-Z0-9]{9}"))["messages"]
    assert len(first["tool_call_id"]) == 9
    assert calls["tool_calls"] == [
        {"id": first["tool_call_id"], "function": {}},
        {"id": second["tool_call_id"]},
        7,
    ]
    assert second["tool_call_id"] == "abcdefghi"


def test_turns_of_the_user_in_a_row_become_one() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "user", "content": [image]},
        {"role": "user", "content": None},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    assert fitted({"messages": turns}, Family(merges=True))["messages"] == [
        turns[0],
        {"role": "user", "content": [{"type": "text", "text": "a\n\nb"}, image]},
        turns[5],
        turns[6],
    ]


def test_reasoning_that_nobody_wants_back_is_dropped_by_name() -> None:
    gaps, kept = Gaps(), Gaps()
    turn = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    document = {"messages": [turn, {"role": "user", "content": "reasoning"}, 7]}
    assert fitted(document, gaps=gaps)["messages"][0] == {"role": "assistant", "content": "x"}
    assert gaps.dropped == ["reasoning"]
    fitted(document, Family(reasoning="reasoning"), kept)
    assert kept.dropped == []
