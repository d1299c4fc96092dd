"""Conversations and embeddings written as Gemini requests, and what is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
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
from netrunner.dialects.gemini.dialect import GeminiDialect
from netrunner.errors import BadRequest, UnsupportedParameter

GEMINI = GeminiDialect()
OLDER, LATER = "gemini-2.5-flash", "gemini-3-pro-preview"
SEAL = "google-gemini-v1:AAAA"
DUMMY = "skip_thought_signature_validator"


def user(*parts: Part | str) -> Turn:
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Turn:
    return Turn("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def write(*turns: Turn, model: str = OLDER, gaps: Gaps | None = None, **more: Any) -> dict[str, Any]:
    conversation = Conversation(turns=turns or (user("hi"),), **more)
    before = msgspec.json.encode(conversation)
    written = GEMINI.write(conversation, model, False, gaps or Gaps())
    assert msgspec.json.encode(conversation) == before
    body: dict[str, Any] = json.loads(written.body)
    return body


def contents(*turns: Turn, model: str = OLDER, gaps: Gaps | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = write(*turns, model=model, gaps=gaps)["contents"]
    return found


def lost(*turns: Turn, **more: Any) -> list[str]:
    gaps = Gaps()
    write(*turns, gaps=gaps, **more)
    return gaps.dropped


def config(model: str = OLDER, **more: Any) -> Any:
    return write(model=model, **more).get("generationConfig")


CALL = ToolCall("c1", "get", '{"a": 1}')
CALLED = {"functionCall": {"id": "c1", "name": "get", "args": {"a": 1}}}


# --- where it goes ------------------------------------------------------------------------------------------


def test_the_model_and_the_stream_stand_in_the_path():
    plain = GEMINI.write(Conversation(turns=(user("hi"),)), "gemini-x", False, Gaps())
    assert (plain.endpoint, plain.query) == ("models/gemini-x:generateContent", b"")
    streamed = GEMINI.write(Conversation(turns=(user("hi"),)), "tunedModels/a b", True, Gaps())
    assert (streamed.endpoint, streamed.query) == ("tunedModels/a%20b:streamGenerateContent", b"alt=sse")


# --- turns --------------------------------------------------------------------------------------------------


def test_roles_alternate_whatever_came():
    assert contents(user("a"), user("b"), assistant("c"), assistant(Refusal("d")), user("e")) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "e"}]},
    ]


def test_instructions_are_those_before_the_first_turn():
    body = write(Turn("system", (Text("brief"), Text(""))), user("hi"), instructions=("be",))
    assert body["systemInstruction"] == {"parts": [{"text": "be"}, {"text": "brief"}]}
    assert len(body["contents"]) == 1


def test_a_later_instruction_becomes_a_marked_text_of_the_user():
    gaps = Gaps()
    written = contents(user("a"), Turn("system", (Text("brief"),)), gaps=gaps)
    assert written == [{"role": "user", "parts": [{"text": "a"}, {"text": "<system>\nbrief\n</system>"}]}]
    assert gaps.dropped == ["system"]


def test_instructions_alone_are_said_by_the_user():
    gaps = Gaps()
    body = write(Turn("system", (Text("brief"),)), gaps=gaps)
    assert body == {"contents": [{"role": "user", "parts": [{"text": "brief"}]}]}
    assert gaps.dropped == ["system"]


def test_empty_texts_are_left_out_as_the_api_refuses_them():
    assert contents(user("a"), assistant(""), user("b")) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
    ]


def test_results_stand_together_first_and_with_the_names_of_their_calls():
    written = contents(
        user("go"),
        assistant("hm", CALL, ToolCall("c2", "put", "{}")),
        user(ToolResult("c1", (Text('{"x": 1}'),)), "and now"),
        user(ToolResult("c2", (Text("gone"),), is_error=True), ToolResult("c3", (Text("["), Text("a")), "other")),
    )
    assert written[1]["parts"] == [{"text": "hm"}, CALLED, {"functionCall": {"id": "c2", "name": "put", "args": {}}}]
    assert written[2]["parts"] == [
        {"functionResponse": {"id": "c1", "name": "get", "response": {"output": {"x": 1}}}},
        {"functionResponse": {"id": "c2", "name": "put", "response": {"error": "gone"}}},
        {"functionResponse": {"id": "c3", "name": "other", "response": {"output": "[\na"}}},
        {"text": "and now"},
    ]
    assert len(written) == 3


def test_a_result_that_answers_no_call_is_refused_by_the_callers_name():
    gaps = Gaps()
    gaps.called("tool_call_id", "messages[].tool_call_id")
    with pytest.raises(BadRequest) as caught:
        write(user(ToolResult("c9", (Text("x"),))), gaps=gaps)
    assert caught.value.param == "messages[].tool_call_id"


def test_images_of_a_result_are_parts_of_it():
    picture = Media(kind="image", mime="image/png", data="AAAA")
    [_, written] = contents(assistant(CALL), user(ToolResult("c1", (Text("see"), picture))))
    assert written["parts"][0]["functionResponse"] == {
        "id": "c1",
        "name": "get",
        "response": {"output": "see"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
    }


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (Media(kind="audio", mime="audio/mp3", data="AA"), {"inlineData": {"mimeType": "audio/mp3", "data": "AA"}}),
        (Media(kind="document", data="AA"), {"inlineData": {"mimeType": "application/pdf", "data": "AA"}}),
        (Media(kind="image", url="https://x.test/a"), {"fileData": {"fileUri": "https://x.test/a"}}),
        (
            Media(kind="image", mime="image/png", url="https://x.test/a", detail="auto"),
            {"fileData": {"fileUri": "https://x.test/a", "mimeType": "image/png"}},
        ),
    ],
)
def test_media_are_data_or_an_address(media, part):
    assert contents(user(media))[0]["parts"] == [part]


def test_what_media_cannot_say_here_is_told():
    assert lost(user(Media(kind="image", url="u", name="a.png", detail="high"))) == ["filename", "detail"]
    with pytest.raises(UnsupportedParameter):
        write(user(Media(kind="document", file_id="file-1")))


# --- signatures ---------------------------------------------------------------------------------------------


def test_a_calls_own_seal_goes_back_on_it():
    signed = ToolCall("c1", "get", '{"a": 1}', SEAL)
    assert contents(assistant(signed))[0]["parts"] == [{**CALLED, "thoughtSignature": "AAAA"}]


def test_a_seal_that_came_as_reasoning_goes_on_the_next_call_without_one():
    parts = contents(assistant(Reasoning("", SEAL), "text", ToolCall("c0", "put", "{}", "google-gemini-v1:BBBB"), CALL))
    assert parts[0]["parts"] == [
        {"text": "text"},
        {"functionCall": {"id": "c0", "name": "put", "args": {}}, "thoughtSignature": "BBBB"},
        {**CALLED, "thoughtSignature": "AAAA"},
    ]


def test_without_a_call_it_goes_on_the_next_text():
    parts = contents(assistant(Reasoning("hm", SEAL), "text"))[0]["parts"]
    assert parts == [{"text": "hm", "thought": True}, {"text": "text", "thoughtSignature": "AAAA"}]


def test_else_it_stays_where_it_was():
    parts = contents(assistant(Reasoning("hm", SEAL), Reasoning("", "google-gemini-v1:BBBB")))[0]["parts"]
    assert parts == [
        {"text": "hm", "thought": True, "thoughtSignature": "AAAA"},
        {"text": "", "thoughtSignature": "BBBB"},
    ]
    assert contents(assistant(CALL, Reasoning("", SEAL)))[0]["parts"] == [
        CALLED,
        {"text": "", "thoughtSignature": "AAAA"},
    ]


def test_a_seal_waits_while_an_image_passes():
    picture = Media(kind="image", mime="image/png", data="AA")
    parts = contents(assistant(Reasoning("", SEAL), picture, "x"))[0]["parts"]
    assert parts[1] == {"text": "x", "thoughtSignature": "AAAA"}


def test_thoughts_without_a_seal_go_back_with_what_came_of_them():
    signed = ToolCall("c1", "get", '{"a": 1}', SEAL)
    gaps = Gaps()
    foreign = Reasoning("", "anthropic-claude-v1:x", redacted=True)
    parts = contents(assistant(Reasoning("hm"), foreign, signed), gaps=gaps)[0]["parts"]
    assert parts == [{"text": "hm", "thought": True}, {**CALLED, "thoughtSignature": "AAAA"}]
    assert gaps.dropped == ["reasoning"]
    parts = contents(assistant(Reasoning("hm"), "text", Reasoning("", SEAL)))[0]["parts"]
    assert parts == [{"text": "hm", "thought": True}, {"text": "text"}, {"text": "", "thoughtSignature": "AAAA"}]


@pytest.mark.parametrize("signature", [None, "anthropic-claude-v1:x"])
def test_reasoning_of_others_is_given_up(signature):
    assert lost(user("x"), assistant(Reasoning("hm", signature), "a")) == ["reasoning"]


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        (LATER, DUMMY),
        ("models/gemini-3.1-flash-lite", DUMMY),
        ("gemini-robotics-er-4", DUMMY),
        ("gemini-flash-latest", DUMMY),
        ("gemini-2.5-pro", None),
        ("gemma-3-27b-it", None),
    ],
)
def test_calls_of_other_models_get_the_documented_dummy_where_one_is_needed(model, signature):
    parts = contents(assistant(CALL, ToolCall("c2", "put", "{}")), model=model)[0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [signature, None]


def test_parallel_calls_of_which_one_is_signed_need_no_dummy():
    signed = ToolCall("c1", "get", '{"a": 1}', SEAL)
    parts = contents(assistant(signed, ToolCall("c2", "put", "{}")), model=LATER)[0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["AAAA", None]


# --- settings -----------------------------------------------------------------------------------------------


def test_settings_have_their_names():
    assert config(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        max_tokens=10,
        seed=7,
        presence_penalty=1.0,
        frequency_penalty=0.5,
        n=2,
        stop=("a",),
    ) == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 4,
        "maxOutputTokens": 10,
        "seed": 7,
        "presencePenalty": 1,
        "frequencyPenalty": 0.5,
        "candidateCount": 2,
        "stopSequences": ["a"],
    }
    assert config() is None


@pytest.mark.parametrize(
    ("format", "written"),
    [
        (Format("json_object"), {"responseMimeType": "application/json"}),
        (
            Format("json_schema", {"type": "object", "$defs": {}}, "n", strict=True),
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object", "$defs": {}}},
        ),
    ],
)
def test_the_form_of_the_answer_is_asked_for(format, written):
    assert config(format=format) == written


@pytest.mark.parametrize(
    ("model", "thinking", "written"),
    [
        (OLDER, Thinking(), None),
        (OLDER, Thinking(False, shown=True), {"thinkingBudget": 0}),
        (LATER, Thinking(False), {"thinkingLevel": "MINIMAL"}),
        (OLDER, Thinking(True), {"thinkingBudget": -1, "includeThoughts": True}),
        (LATER, Thinking(True, shown=False), None),
        (OLDER, Thinking(None, "medium"), {"thinkingBudget": 8192}),
        (LATER, Thinking(None, "max", shown=True), {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (LATER, Thinking(True, "low", 2000), {"thinkingBudget": 2000, "includeThoughts": True}),
    ],
)
def test_thinking_is_asked_for_by_level_or_by_budget(model, thinking, written):
    found = config(model, thinking=thinking)
    assert (found and found["thinkingConfig"]) == written


def test_tools_have_json_schemas():
    schema = {"type": "object", "additionalProperties": False}
    gaps = Gaps()
    body = write(tools=(Tool("get", "does", schema, True), Tool("put")), tool_choice=ToolChoice("auto"), gaps=gaps)
    declared = [{"name": "get", "description": "does", "parametersJsonSchema": schema}, {"name": "put"}]
    assert body["tools"] == [{"functionDeclarations": declared}]
    assert gaps.dropped == ["strict"]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "get"), {"mode": "ANY", "allowedFunctionNames": ["get"]}),
    ],
)
def test_the_choice_of_tools_is_told(choice, calling):
    assert write(tools=(Tool("get"),), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": calling}
    assert "toolConfig" not in write(tool_choice=choice)
    assert "toolConfig" not in write(tools=(Tool("get"),))


def test_what_has_no_place_is_named():
    assert lost(Turn("user", (Text("x"),), "bob"), parallel_tool_calls=False, user="u") == [
        "name",
        "parallel_tool_calls",
        "user",
    ]
    assert lost(parallel_tool_calls=True) == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": tuple("abcdef")}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2.0}}, "logit_bias"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields, param):
    with pytest.raises(UnsupportedParameter) as caught:
        write(**fields)
    assert caught.value.param == param


def test_a_strict_provider_refuses_every_loss():
    with pytest.raises(UnsupportedParameter):
        write(user="u", gaps=Gaps(strict=True))


# --- embeddings ---------------------------------------------------------------------------------------------


def test_one_text_is_embedded_alone_and_several_in_a_batch():
    gaps = Gaps()
    one = GEMINI.write(Embedding(inputs=("a",), single=True, dimensions=3, purpose="query"), "e", False, gaps)
    assert one.endpoint == "models/e:embedContent"
    content = {"parts": [{"text": "a"}]}
    asked = {"model": "models/e", "outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY", "content": content}
    assert json.loads(one.body) == asked
    batch = GEMINI.write(Embedding(inputs=("a",), purpose="odd", user="u"), "e", False, gaps)
    assert batch.endpoint == "models/e:batchEmbedContents"
    assert json.loads(batch.body) == {"requests": [{"model": "models/e", "content": content}]}
    assert gaps.dropped == ["purpose", "user"]
    plain = GEMINI.write(Embedding(inputs=("a",)), "e", False, gaps)
    assert plain == msgspec.structs.replace(batch)
