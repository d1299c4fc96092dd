"""Requests written for Anthropic's API."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from netrunner.dialects.anthropic.messages import call_id
from netrunner.dialects.anthropic.models import FAMILIES, family_of
from netrunner.dialects.anthropic.writing import JSON_ONLY, write
from netrunner.dialects.conversation import (
    Conversation,
    Format,
    Media,
    Part,
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
from netrunner.errors import BadRequest, UnsupportedParameter

BUDGETED, NEWEST, OLDEST = "claude-sonnet-4-5", "claude-opus-4-8", "claude-3-5-haiku-latest"
SIGNED = Reasoning("hm", "anthropic-claude-v1:s1")
CALL, RESULT = ToolCall("t1", "f", '{"a":1}'), ToolResult("t1", (Text("ok"),), "f")


def user(*parts: Part | str) -> Turn:
    return Turn("user", tuple(Text(one) if isinstance(one, str) else one for one in parts))


def assistant(*parts: Part | str) -> Turn:
    return Turn("assistant", tuple(Text(one) if isinstance(one, str) else one for one in parts))


def system(text: str) -> Turn:
    return Turn("system", (Text(text),))


def writing(*turns: Turn, model: str = BUDGETED, gaps: Gaps | None = None, stream: bool = False, **fields: Any) -> Any:
    request = Conversation(turns=turns or (user("Hello"),), **fields)
    before = repr(request)
    written = write(request, model, stream, gaps or Gaps())
    assert repr(request) == before
    assert written.endpoint == "messages"
    return json.loads(written.body)


def losing(*turns: Turn, **fields: Any) -> tuple[Any, list[str]]:
    """Return what is written, and the names of what is lost."""
    gaps = Gaps()
    return writing(*turns, gaps=gaps, **fields), gaps.dropped


def refusal(*turns: Turn, **fields: Any) -> str:
    with pytest.raises(UnsupportedParameter) as raised:
        writing(*turns, **fields)
    return str(raised.value.param)


def roles(written: Any) -> list[tuple[str, list[str]]]:
    return [(one["role"], [block["type"] for block in one["content"]]) for one in written["messages"]]


def test_a_plain_request_is_written_with_what_it_says() -> None:
    written = writing(
        instructions=("Be brief.", "Be kind."),
        max_tokens=100,
        temperature=0.5,
        top_k=3,
        stop=("END",),
        user="u1",
        stream=True,
    )
    assert written == {
        "model": BUDGETED,
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "temperature": 0.5,
        "top_k": 3,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "stream": True,
    }


@pytest.mark.parametrize(
    ("model", "max_tokens"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-opus-4-1-20250805", 32_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000),
        ("anthropic/claude-3.5-sonnet", 8192),
        ("claude-opus-9", 64_000),
        ("someone-elses", 32_000),
    ],
)
def test_an_answer_without_a_bound_gets_that_of_the_models_family(model: str, max_tokens: int) -> None:
    gaps = Gaps()
    assert writing(model=model, gaps=gaps)["max_tokens"] == max_tokens
    assert (gaps.assumed, gaps.dropped) == ({"max_tokens"}, [])


def test_a_bound_that_is_given_is_nobodys_guess() -> None:
    gaps = Gaps()
    assert writing(max_tokens=5, gaps=gaps)["max_tokens"] == 5
    assert gaps.assumed == set()


def test_no_family_answers_less_than_a_page() -> None:
    assert min(family.max_tokens for family in FAMILIES.values()) >= 4096
    assert family_of("claude-opus-4-8-fast").system_turns


# --- messages -----------------------------------------------------------------------------------------------


def test_results_of_parallel_calls_stand_together_and_first_in_one_turn_of_the_users() -> None:
    written = writing(
        user("go"),
        assistant(CALL, ToolCall("t2", "f", "{}")),
        user("meanwhile"),
        user(RESULT),
        assistant("  "),
        user(ToolResult("t2", (), "f", is_error=True)),
    )
    assert roles(written) == [
        ("user", ["text"]),
        ("assistant", ["tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]
    assert written["messages"][2]["content"][:2] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "ok"}]},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
    ]


def test_turns_of_one_role_become_one_message_and_blank_words_are_left_out() -> None:
    written = writing(user("a", ""), user("b"), assistant("", Refusal("no")), assistant(" \n"), user("c"))
    assert [[block["text"] for block in one["content"]] for one in written["messages"]] == [["a", "b"], ["no"], ["c"]]


def test_a_conversation_that_says_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match="no message"):
        writing(user("  "))


def test_the_ids_of_calls_are_the_same_in_call_and_result_and_of_allowed_letters() -> None:
    odd = "functions.get:0 é\ud800"
    written = writing(user("go"), assistant(ToolCall(odd, "f", "")), user(ToolResult(odd, ())))
    call, result = written["messages"][1]["content"][0], written["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"] == call_id(odd)
    assert call["input"] == {}
    assert re.fullmatch("[a-zA-Z0-9_-]+", call["id"])
    assert call_id("toolu_1-A") == "toolu_1-A"
    assert len({call_id("a:1"), call_id("a_1"), call_id("a.1"), call_id("")}) == 4


def test_media_of_the_users_are_written_as_they_are_taken() -> None:
    text = base64.b64encode("Grüße".encode()).decode()
    written = writing(
        user(
            Media(kind="image", mime="image/PNG", data="AA=="),
            Media(kind="image", url="https://x.test/a.png", detail="auto"),
            Media(kind="document", mime="application/pdf", data="AA==", name="a.pdf"),
            Media(kind="document", mime="text/csv", data=text),
            Media(kind="document", url="https://x.test/a.pdf"),
        )
    )
    assert written["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
    ]


def test_images_of_a_tools_result_stay_there() -> None:
    image = Media(kind="image", mime="image/png", data="AA==")
    written = writing(user("go"), assistant(CALL), user(ToolResult("t1", (Text("see"), image, Text(" ")))))
    assert [block["type"] for block in written["messages"][2]["content"][0]["content"]] == ["text", "image"]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", mime="audio/wav", data="AA=="),
        Media(kind="image", mime="image/bmp", data="AA=="),
        Media(kind="document", mime="application/msword", data="AA=="),
        Media(kind="document", data="AA=="),
        Media(kind="document", mime="text/plain", data="/w=="),
        Media(kind="document", mime="text/plain", data="A"),
        Media(kind="image", file_id="file-1"),
    ],
)
def test_media_that_are_not_taken_are_refused_by_the_callers_name(media: Media) -> None:
    gaps = Gaps()
    gaps.called("turns", "contents")
    assert refusal(user(media), gaps=gaps) == "contents"


def test_media_of_the_assistants_or_the_systems_are_refused() -> None:
    image = Media(kind="image", url="u")
    assert refusal(user("x"), assistant(image), user("y")) == "turns"
    assert refusal(user("x"), Turn("system", (image,))) == "turns"


def test_how_closely_to_look_and_names_of_speakers_are_told_as_lost() -> None:
    turn = Turn("user", (Text("x"), Media(kind="image", url="u", detail="high")), name="Ann")
    assert losing(turn)[1] == ["name", "detail"]


def test_only_reasoning_that_anthropic_sealed_goes_back() -> None:
    written, lost = losing(
        user("go"),
        assistant(SIGNED, Reasoning("", "anthropic-claude-v1:d1", redacted=True), Reasoning("x"), "Well."),
        assistant(Reasoning("y", "google-gemini-v1:z")),
        user("and?"),
    )
    assert written["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d1"},
        {"type": "text", "text": "Well."},
    ]
    assert lost == ["reasoning"]


def test_a_system_message_first_is_an_instruction_and_nothing_is_lost() -> None:
    written, lost = losing(system("B"), user("x"), instructions=("A",))
    assert [block["text"] for block in written["system"]] == ["A", "B"]
    assert lost == []


def test_a_later_system_message_joins_the_instructions_where_the_model_knows_none() -> None:
    written, lost = losing(user("x"), assistant("y"), system("B"), user("z"))
    assert [block["text"] for block in written["system"]] == ["B"]
    assert roles(written) == [("user", ["text"]), ("assistant", ["text"]), ("user", ["text"])]
    assert lost == ["system"]


def test_a_later_system_message_stays_where_the_model_takes_it() -> None:
    written, lost = losing(user("x"), system("A"), assistant("y"), user("z"), system("B"), system("C"), model=NEWEST)
    assert [one["role"] for one in written["messages"]] == ["user", "system", "assistant", "user", "system"]
    assert [block["text"] for block in written["messages"][-1]["content"]] == ["B", "C"]
    assert (lost, "system" in written) == ([], False)


def test_a_system_message_between_two_of_the_users_joins_the_instructions_and_they_join_each_other() -> None:
    written, lost = losing(user("x"), system("A"), user("z"), model=NEWEST)
    assert roles(written) == [("user", ["text", "text"])]
    assert lost == ["system"]


def test_an_answer_that_was_begun_is_continued_where_the_model_can() -> None:
    written = writing(user("x"), assistant("It is \n"))
    assert written["messages"][1]["content"] == [{"type": "text", "text": "It is"}]
    assert refusal(user("x"), assistant("It is"), model=NEWEST) == "turns"


def test_calls_that_wait_for_their_results_are_not_trimmed() -> None:
    assert roles(writing(user("x"), assistant(CALL)))[1] == ("assistant", ["tool_use"])


# --- tools --------------------------------------------------------------------------------------------------

TOOL = Tool("f", "D", {"properties": {"a": {"type": "string"}}}, strict=True)


def test_tools_are_written_with_a_schema_of_an_object() -> None:
    assert writing(tools=(TOOL, Tool("g")))["tools"] == [
        {
            "name": "f",
            "description": "D",
            "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            "strict": True,
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_a_model_without_strict_tools_gets_plain_ones() -> None:
    written, lost = losing(tools=(TOOL,), model=OLDEST)
    assert "strict" not in written["tools"][0]
    assert lost == ["strict"]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("named", "f"), None, {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_of_tools_is_written(choice: ToolChoice | None, parallel: bool | None, expected: Any) -> None:
    written = writing(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    assert written.get("tool_choice") == expected


def test_without_tools_there_is_no_choice_unless_one_is_demanded() -> None:
    assert "tool_choice" not in writing(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    assert writing(tool_choice=ToolChoice("required"))["tool_choice"] == {"type": "any"}


def test_calls_of_tools_that_are_no_longer_offered_keep_their_tool_and_none_is_called() -> None:
    written = writing(user("x"), assistant(CALL), user(RESULT))
    assert written["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert written["tool_choice"] == {"type": "none"}


# --- form, thinking, sampling -------------------------------------------------------------------------------


def test_a_schema_is_asked_for_and_an_object_only_by_words() -> None:
    written, lost = losing(format=Format("json_schema", {"type": "object"}, "n", strict=True))
    assert written["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert lost == []
    written, lost = losing(format=Format("json_object"), instructions=("A",))
    assert [block["text"] for block in written["system"]] == ["A", JSON_ONLY]
    assert (lost, "output_config" in written) == (["format"], False)


def test_a_schema_is_refused_for_a_model_that_knows_none() -> None:
    assert refusal(format=Format("json_schema", {}), model=OLDEST) == "format"


@pytest.mark.parametrize(
    ("asked", "max_tokens", "expected"),
    [
        (Thinking(), 8000, None),
        (Thinking(enabled=False), 8000, {"type": "disabled"}),
        (Thinking(enabled=True), None, {"type": "enabled", "budget_tokens": 10_240}),
        (Thinking(effort="minimal"), None, {"type": "enabled", "budget_tokens": 1024}),
        (Thinking(effort="max"), None, {"type": "enabled", "budget_tokens": 49_152}),
        (Thinking(effort="high"), 8000, {"type": "enabled", "budget_tokens": 6400}),
        (Thinking(effort="high"), 1100, {"type": "enabled", "budget_tokens": 1024}),
        (Thinking(budget_tokens=10), 8000, {"type": "enabled", "budget_tokens": 1024}),
        (Thinking(budget_tokens=5000, shown=True), 8000, {"type": "enabled", "budget_tokens": 5000}),
        (
            Thinking(budget_tokens=5000, shown=False),
            8000,
            {"type": "enabled", "budget_tokens": 5000, "display": "omitted"},
        ),
    ],
)
def test_thinking_is_asked_for_in_tokens_less_than_the_answer(
    asked: Thinking, max_tokens: int | None, expected: Any
) -> None:
    written, lost = losing(thinking=asked, max_tokens=max_tokens)
    assert written.get("thinking") == expected
    assert (lost, "output_config" in written) == ([], False)


@pytest.mark.parametrize(
    ("asked", "expected", "effort"),
    [
        (Thinking(enabled=True), {"type": "adaptive"}, None),
        (Thinking(effort="minimal"), {"type": "adaptive"}, "low"),
        (Thinking(effort="xhigh", shown=True), {"type": "adaptive", "display": "summarized"}, "xhigh"),
        (Thinking(budget_tokens=2048, shown=False), {"type": "adaptive", "display": "omitted"}, "low"),
        (Thinking(budget_tokens=30_000), {"type": "adaptive"}, "xhigh"),
        (Thinking(budget_tokens=60_000), {"type": "adaptive"}, "max"),
        (Thinking(enabled=False, effort="low"), {"type": "disabled"}, None),
    ],
)
def test_thinking_is_asked_for_by_effort_where_the_model_wants_that(
    asked: Thinking, expected: Any, effort: Any
) -> None:
    written, lost = losing(thinking=asked, model=NEWEST)
    assert written["thinking"] == expected
    assert written.get("output_config", {}).get("effort") == effort
    assert lost == []


def test_an_effort_the_model_does_not_know_is_more_and_not_less() -> None:
    assert writing(thinking=Thinking(effort="xhigh"), model="claude-opus-4-6")["output_config"] == {"effort": "max"}


def test_thinking_for_more_than_the_whole_answer_is_cut_and_told() -> None:
    written, lost = losing(thinking=Thinking(budget_tokens=9000), max_tokens=2000)
    assert (written["thinking"]["budget_tokens"], lost) == (1999, ["thinking"])


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (OLDEST, {"thinking": Thinking(effort="high")}),
        (BUDGETED, {"thinking": Thinking(effort="high"), "max_tokens": 1024}),
        (BUDGETED, {"thinking": Thinking(effort="high"), "tools": (TOOL,), "tool_choice": ToolChoice("required")}),
        ("claude-fable-5", {"thinking": Thinking(enabled=False)}),
    ],
)
def test_thinking_that_cannot_be_is_told_as_lost(model: str, fields: dict[str, Any]) -> None:
    written, lost = losing(model=model, **fields)
    assert ("thinking" in written, lost) == (False, ["thinking"])


def test_a_model_that_cannot_think_need_not_be_told_not_to() -> None:
    assert losing(thinking=Thinking(enabled=False), model=OLDEST) == (writing(model=OLDEST), [])


@pytest.mark.parametrize("model", [BUDGETED, NEWEST])
@pytest.mark.parametrize(
    ("parts", "thinks"),
    [
        ((SIGNED, CALL), True),
        ((Reasoning("", "anthropic-claude-v1:d", redacted=True), CALL), True),
        ((CALL,), False),
        ((Reasoning("hm", "google-gemini-v1:x"), CALL), False),
    ],
)
def test_nobody_thinks_after_calls_that_came_without_reasoning_of_anthropics(
    model: str, parts: tuple[Part, ...], thinks: bool
) -> None:
    turns = (user("x"), Turn("assistant", parts), user(RESULT))
    written, lost = losing(*turns, thinking=Thinking(effort="low"), tools=(TOOL,), model=model)
    assert ("thinking" in written) is thinks
    assert ("thinking" in lost) is not thinks


def test_an_answer_that_was_begun_is_continued_without_thinking() -> None:
    written, lost = losing(user("x"), assistant("It"), thinking=Thinking(effort="low"))
    assert ("thinking" in written, lost) == (False, ["thinking"])


@pytest.mark.parametrize(
    ("model", "given", "expected", "lost"),
    [
        (OLDEST, {"temperature": 1.7, "top_p": 0.5}, {"temperature": 1, "top_p": 0.5}, ["temperature"]),
        (BUDGETED, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, ["top_p"]),
        (BUDGETED, {"temperature": 0.2, "top_p": 1}, {"temperature": 0.2}, []),
        (BUDGETED, {"top_p": 0.5, "top_k": 4}, {"top_p": 0.5, "top_k": 4}, []),
        (NEWEST, {"temperature": 1, "top_p": 1}, {}, []),
        (NEWEST, {"temperature": 2}, {}, ["temperature"]),
        (NEWEST, {"temperature": 0.2, "top_p": 0.99, "top_k": 4}, {}, ["temperature", "top_k", "top_p"]),
    ],
)
def test_sampling_goes_as_far_as_the_model_takes_it(
    model: str, given: dict[str, Any], expected: dict[str, Any], lost: list[str]
) -> None:
    written, told = losing(model=model, **given)
    assert {name: written[name] for name in ("temperature", "top_p", "top_k") if name in written} == expected
    assert told == lost


def test_a_model_that_thinks_is_not_sampled_otherwise() -> None:
    asked = Thinking(effort="low")
    written, lost = losing(thinking=asked, temperature=0.2, top_p=0.97, top_k=3)
    assert ("temperature" in written, "top_k" in written, written["top_p"]) == (False, False, 0.97)
    assert lost == ["temperature", "top_k"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 5.0}),
        ("stop", ("\n",)),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(field: str, value: Any) -> None:
    assert refusal(**{field: value}) == field


def test_what_is_merely_lost_is_told_by_name() -> None:
    lost = losing(seed=0, presence_penalty=0.5, frequency_penalty=0.5, n=1, logit_bias={})[1]
    assert lost == ["presence_penalty", "frequency_penalty", "seed"]
    assert losing(presence_penalty=0.0)[1] == []
    with pytest.raises(UnsupportedParameter):
        writing(seed=1, gaps=Gaps(strict=True))
