"""Gemini requests read: what is asked, what is given up by name, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ToolChoice,
    ToolResult,
    Turn,
)
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini import embeddings, requests, signatures
from netrunner.dialects.gemini.schemas import json_schema
from netrunner.errors import BadRequest, ExchangeError, UnsupportedParameter

CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
CALL = {"functionCall": {"id": "c1", "name": "get", "args": {"a": 1}}}
DECLARED = {"functionDeclarations": [{"name": "get"}, {"name": "put"}]}
PNG = {"mimeType": "image/png", "data": "AAAA"}


def read(document: Any = None, gaps: Gaps | None = None, **fields: Any) -> Conversation:
    document = {"contents": CONTENTS, **fields} if document is None else document
    return requests.read(msgspec.json.encode(document), gaps or Gaps())


def turns(*contents: Any) -> tuple[Turn, ...]:
    return read(contents=list(contents)).turns


def parts(*given: Any, role: str = "user") -> tuple[Any, ...]:
    [turn] = turns({"role": role, "parts": list(given)})
    return turn.parts


def refused(document: Any = None, **fields: Any) -> ExchangeError:
    with pytest.raises(BadRequest) as caught:
        read(document, **fields)
    return caught.value


def model(*given: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(given)}


def user(*given: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(given)}


# --- turns --------------------------------------------------------------------------------------------------


def test_a_conversation_is_read_with_its_instructions():
    found = read(systemInstruction={"role": "user", "parts": [{"text": "be"}, {"text": "brief"}]}, model="models/x")
    assert found.instructions == ("be", "brief")
    assert found.turns == (Turn("user", (Text("hi"),)),)
    assert found.native["contents"] == CONTENTS


@pytest.mark.parametrize(("given", "found"), [("be brief", ("be brief",)), ("", ()), ({"parts": [{"text": ""}]}, ())])
def test_an_instruction_may_be_a_plain_text(given, found):
    assert read(systemInstruction=given).instructions == found


def test_snake_case_is_read_as_well_and_arguments_keep_their_own_keys():
    found = read(
        {
            "contents": [
                user({"inline_data": {"mime_type": "image/png", "data": "AAAA"}}),
                model({"function_call": {"name": "get", "args": {"my_key": {"in_it": 1}}}}),
            ],
            "system_instruction": {"parts": [{"text": "be"}]},
            "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_budget": -1}},
        }
    )
    assert found.turns[0].parts == (Media(kind="image", mime="image/png", data="AAAA"),)
    assert found.turns[1].parts == (ToolCall("call_1", "get", '{"my_key":{"in_it":1}}'),)
    assert (found.instructions, found.max_tokens) == (("be",), 5)


def test_a_key_in_both_spellings_is_refused():
    assert refused({"contents": CONTENTS, "generationConfig": {}, "generation_config": {}}).code == "duplicate_key"


def test_what_lies_deeper_than_any_key_of_ours_is_left_alone():
    nested: Any = {"a_b": 1}
    for _ in range(300):
        nested = [[{"x": nested}]]
    gaps = Gaps()
    read(odd=nested, gaps=gaps)
    assert gaps.dropped == ["odd"]


def test_a_signed_text_is_reasoning_without_text_before_it():
    assert parts({"text": "x", "thoughtSignature": "AAAA"}, role="model") == (
        Reasoning("", "google-gemini-v1:AAAA"),
        Text("x"),
    )


def test_what_a_client_kept_in_pieces_is_put_together():
    assert turns(
        user({"text": "a"}, {"text": "b"}),
        model({"text": "th", "thought": True}),
        model({"text": "ought", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "AAAA"}),
        model({"text": "He"}),
        model({"text": "llo"}, {"text": ""}, {"thought": True}),
    ) == (
        Turn("user", (Text("a"), Text("b"))),
        Turn("assistant", (Reasoning("thought", "google-gemini-v1:AAAA"), Text("Hello"))),
    )


def test_reasoning_that_is_sealed_is_not_mixed_with_other_reasoning():
    redacted = signatures.written("anthropic-claude-v1:x", redacted=True)
    assert parts(
        {"text": "a", "thought": True, "thoughtSignature": "AAAA"},
        {"text": "b", "thought": True},
        {"thought": True, "thoughtSignature": redacted},
        role="model",
    ) == (
        Reasoning("a", "google-gemini-v1:AAAA"),
        Reasoning("b"),
        Reasoning("", "anthropic-claude-v1:x", redacted=True),
    )


@pytest.mark.parametrize("redacted", [False, True])
@pytest.mark.parametrize("sealed", ["anthropic-claude-v1:c2ln", "openai-responses-v1:gAAA_-=", "google-gemini-v1:AA=="])
def test_seals_come_back_as_they_were_in_either_alphabet(sealed, redacted):
    told = signatures.written(sealed, redacted)
    again = base64.urlsafe_b64encode(base64.b64decode(told)).decode()
    expected = sealed, redacted and not sealed.startswith("google")
    assert signatures.read(told) == signatures.read(again) == expected


@pytest.mark.parametrize("none", [None, "", "skip_thought_signature_validator"])
def test_a_dummy_is_no_signature(none):
    assert signatures.read(none) == (None, False)


@given(st.text())
def test_any_signature_is_read(text):
    sealed, _ = signatures.read(text)
    assert sealed is None or sealed.partition(":")[0].endswith("v1")


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"inlineData": PNG}, Media(kind="image", mime="image/png", data="AAAA")),
        ({"inlineData": {"mimeType": "Audio/WAV", "data": "__-A"}}, Media(kind="audio", mime="audio/wav", data="//+A")),
        ({"inlineData": {"mimeType": "video/mp4", "data": "AAA"}}, Media(kind="video", mime="video/mp4", data="AAA=")),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "x.pdf"}},
            Media(kind="document", mime="application/pdf", data="AAAA", name="x.pdf"),
        ),
        (
            {"fileData": {"fileUri": "https://x.test/a.PNG?b=c.pdf"}},
            Media(kind="image", url="https://x.test/a.PNG?b=c.pdf"),
        ),
        (
            {"fileData": {"fileUri": "https://x.test/a", "mimeType": "Image/GIF"}},
            Media(kind="image", mime="image/gif", url="https://x.test/a"),
        ),
        ({"fileData": {"fileUri": "https://x.test/a"}}, Media(kind="document", url="https://x.test/a")),
    ],
)
def test_media_are_taken_as_they_are(part, found):
    assert parts(part) == (found,)


def test_a_signed_image_is_reasoning_without_text_and_the_image():
    assert parts({"inlineData": PNG, "thoughtSignature": "AAAA"}, role="model")[0] == Reasoning(
        "", "google-gemini-v1:AAAA"
    )


@pytest.mark.parametrize("uri", ["gs://b/x", "https://generativelanguage.googleapis.com/v1beta/files/x", "files/x"])
def test_files_kept_at_google_are_refused(uri):
    error = refused(contents=[user({"fileData": {"fileUri": uri}})])
    assert error.param == "contents[0].parts[0].fileData.fileUri"
    assert isinstance(error, UnsupportedParameter)


def test_results_find_their_calls_by_id_or_by_the_order_of_the_name():
    found = turns(
        user({"text": "go"}),
        model(
            {"functionCall": {"name": "get", "args": {}}},
            {"functionCall": {"name": "put"}, "thoughtSignature": "AA=="},
            {"functionCall": {"name": "get"}},
            CALL,
        ),
        {
            "role": "function",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "get", "response": {"output": "four"}}},
                {"functionResponse": {"name": "put", "response": {"error": {"x": 1}}}},
                {"functionResponse": {"name": "get", "response": {"output": [1]}}},
                {"functionResponse": {"id": "unknown", "name": "get", "response": {"a": 1, "error": 2}}},
            ],
        },
    )
    calls = [part for part in found[1].parts if isinstance(part, ToolCall)]
    assert [(call.id, call.signature) for call in calls] == [
        ("call_1", None),
        ("call_2", "google-gemini-v1:AA=="),
        ("call_3", None),
        ("c1", None),
    ]
    assert found[2].parts == (
        ToolResult("c1", (Text("four"),), "get"),
        ToolResult("call_2", (Text('{"x":1}'),), "put", is_error=True),
        ToolResult("call_1", (Text("[1]"),), "get"),
        ToolResult("call_3", (Text('{"a":1,"error":2}'),), "get"),
    )


def test_a_result_may_hold_media():
    response = {
        "name": "get",
        "parts": [{"inlineData": PNG}, {"fileData": {"fileUri": "https://x.test/y.png"}}, {"odd": 1}],
    }
    gaps = Gaps()
    found = read(contents=[model(CALL), user({"functionResponse": {**response, "scheduling": "SILENT"}})], gaps=gaps)
    [result] = found.turns[1].parts
    assert isinstance(result, ToolResult)
    assert result.content == (
        Media(kind="image", mime="image/png", data="AAAA"),
        Media(kind="image", url="https://x.test/y.png"),
    )
    assert gaps.dropped == [
        "contents[1].parts[0].functionResponse.parts[2].odd",
        "contents[1].parts[0].functionResponse.scheduling",
    ]


def test_an_empty_result_is_an_empty_object():
    [_, turn] = turns(model(CALL), user({"functionResponse": {"name": "get"}}))
    assert turn.parts == (ToolResult("c1", (Text("{}"),), "get"),)


def test_a_content_without_parts_says_nothing():
    assert turns(user(), user({"text": "x"})) == (Turn("user", (Text("x"),)),)


def test_a_thought_that_is_no_text_is_given_up():
    gaps = Gaps()
    found = read(contents=[user({"text": "x"}), model({"thought": True, "inlineData": PNG})], gaps=gaps)
    assert found.turns == (Turn("user", (Text("x"),)),)
    assert gaps.dropped == ["contents[1].parts[0].inlineData"]


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        (None, "contents"),
        ([], "contents"),
        ("x", "contents"),
        ([1], "contents[0]"),
        ([{"role": 1, "parts": []}], "contents[0].role"),
        ([{"role": "system", "parts": []}], "contents[0].role"),
        ([{"parts": {}}], "contents[0].parts"),
        ([{"parts": ["x"]}], "contents[0].parts[0]"),
        ([user({"text": 1})], "contents[0].parts[0].text"),
        ([user({"text": "x", "thought": 1})], "contents[0].parts[0].thought"),
        ([user({"text": "x", "thoughtSignature": 1})], "contents[0].parts[0].thoughtSignature"),
        ([user({"text": "x", "inlineData": PNG})], "contents[0].parts[0]"),
        ([user({"inlineData": "x"})], "contents[0].parts[0].inlineData"),
        ([user({"inlineData": {"data": "AAAA"}})], "contents[0].parts[0].inlineData.mimeType"),
        ([user({"inlineData": {"mimeType": "image/png"}})], "contents[0].parts[0].inlineData.data"),
        ([user({"inlineData": {"mimeType": "image/png", "data": "A"}})], "contents[0].parts[0].inlineData.data"),
        ([user({"fileData": {}})], "contents[0].parts[0].fileData.fileUri"),
        ([user({"fileData": {"fileUri": "x", "mimeType": 1}})], "contents[0].parts[0].fileData.mimeType"),
        ([user(CALL)], "contents[0].parts[0].functionCall"),
        ([model({"functionCall": {"args": {}}})], "contents[0].parts[0].functionCall.name"),
        ([model({"functionCall": {"name": "x", "args": []}})], "contents[0].parts[0].functionCall.args"),
        ([model({"functionCall": {"name": "x", "id": 1}})], "contents[0].parts[0].functionCall.id"),
        ([model({"functionCall": {"name": "x", "partialArgs": []}})], "contents[0].parts[0].functionCall.partialArgs"),
        ([model({"functionResponse": {"name": "x"}})], "contents[0].parts[0].functionResponse"),
        ([user({"functionResponse": {}})], "contents[0].parts[0].functionResponse.name"),
        ([user({"functionResponse": {"name": "x"}})], "contents[0].parts[0].functionResponse"),
        ([user({"functionResponse": {"name": "x", "response": 1}})], "contents[0].parts[0].functionResponse.response"),
        ([user({"executableCode": {}})], "contents[0].parts[0].executableCode"),
        ([user({"codeExecutionResult": {}})], "contents[0].parts[0].codeExecutionResult"),
        ([user({"toolCall": {}})], "contents[0].parts[0].toolCall"),
        ([user({"toolResponse": {}})], "contents[0].parts[0].toolResponse"),
    ],
)
def test_what_is_malformed_in_a_turn_is_named(contents, param):
    assert refused({"contents": contents}).param == param


# --- settings -----------------------------------------------------------------------------------------------


def test_settings_are_read_under_their_neutral_names():
    gaps = Gaps()
    found = read(
        gaps=gaps,
        generationConfig={
            "maxOutputTokens": 5,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40.0,
            "stopSequences": ["a", "b"],
            "seed": 7,
            "presencePenalty": 1,
            "frequencyPenalty": -1,
            "candidateCount": 2,
            "logprobs": 3,
            "responseModalities": ["TEXT"],
            "speechConfig": {"x": 1},
        },
        safetySettings=[],
        labels={"my_label": "x"},
        serviceTier="flex",
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.top_k) == (5, 0.5, 0.9, 40)
    assert (found.stop, found.seed, found.presence_penalty, found.frequency_penalty) == (("a", "b"), 7, 1, -1)
    assert (found.n, found.logprobs) == (2, False)
    assert gaps.dropped == ["generationConfig.speechConfig", "safetySettings", "labels", "serviceTier"]
    assert gaps.name("max_tokens") == "generationConfig.maxOutputTokens"


def test_one_candidate_is_what_is_usual():
    assert read(generationConfig={"candidateCount": 1}).n is None


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"responseMimeType": "application/json"}, Format("json_object")),
        ({"responseMimeType": "text/plain"}, None),
        ({"responseSchema": {"type": "STRING"}}, Format("json_schema", {"type": "string"})),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "string"}},
            Format("json_schema", {"type": "string"}),
        ),
    ],
)
def test_the_form_of_an_answer_is_read(config, found):
    assert read(generationConfig=config).format == found


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, Thinking(shown=False)),
        ({"thinkingBudget": 0}, Thinking(False, shown=False)),
        ({"thinkingBudget": -1, "includeThoughts": True}, Thinking(True, shown=True)),
        ({"thinkingBudget": 500}, Thinking(True, budget_tokens=500, shown=False)),
        ({"thinkingLevel": "XHIGH", "includeThoughts": None}, Thinking(True, "xhigh", shown=False)),
        ({"thinkingLevel": "low", "includeThoughts": False}, Thinking(True, "low", shown=False)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED", "includeThoughts": True}, Thinking(shown=True)),
    ],
)
def test_thinking_is_read(config, found):
    assert read(generationConfig={"thinkingConfig": config}).thinking == found


def test_tools_are_read_from_both_forms_of_schema():
    gaps = Gaps()
    found = read(
        gaps=gaps,
        tools=[
            {
                "functionDeclarations": [
                    {"name": "a", "description": "does", "parameters": {"type": "OBJECT"}, "behavior": "BLOCKING"}
                ]
            },
            {"function_declarations": [{"name": "b", "parameters_json_schema": {"my_type": 1}}, {"name": "c"}]},
        ],
    )
    assert found.tools == (Tool("a", "does", {"type": "object"}), Tool("b", None, {"my_type": 1}), Tool("c"))
    assert gaps.dropped == ["tools[0].functionDeclarations[0].behavior"]


@pytest.mark.parametrize(
    ("calling", "choice", "tools"),
    [
        ({}, ToolChoice("auto"), ["get", "put"]),
        ({"mode": "auto"}, ToolChoice("auto"), ["get", "put"]),
        ({"mode": "NONE"}, ToolChoice("none"), ["get", "put"]),
        ({"mode": "ANY"}, ToolChoice("required"), ["get", "put"]),
        ({"mode": "ANY", "allowedFunctionNames": ["put"]}, ToolChoice("named", "put"), ["put"]),
        ({"mode": "ANY", "allowedFunctionNames": ["put", "get"]}, ToolChoice("required"), ["get", "put"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["put"]}, ToolChoice("auto"), ["put"]),
    ],
)
def test_the_choice_of_tools_is_read(calling, choice, tools):
    found = read(tools=[DECLARED], toolConfig={"functionCallingConfig": calling})
    assert (found.tool_choice, [tool.name for tool in found.tools]) == (choice, tools)


def test_what_else_is_said_of_tools_is_given_up():
    gaps = Gaps()
    config = {"retrievalConfig": {"x": 1}, "functionCallingConfig": {"mode": "VALIDATED", "odd": 1}}
    read(tools=[DECLARED], toolConfig=config, gaps=gaps)
    assert gaps.dropped == [
        "toolConfig.retrievalConfig",
        "toolConfig.functionCallingConfig.odd",
        "toolConfig.functionCallingConfig.mode",
    ]
    assert read(toolConfig={}).tool_choice is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": 1}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"tools": [{"code_execution": {}}]}, "tools[0].codeExecution"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"tools": [{"functionDeclarations": [{"name": "x", "parameters": 1}]}]},
            "tools[0].functionDeclarations[0].parameters",
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "x", "parametersJsonSchema": 1}]}]},
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "x", "parameters": {}, "parametersJsonSchema": {}}]}]},
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        ({"toolConfig": 1}, "toolConfig"),
        ({"toolConfig": {"functionCallingConfig": 1}}, "toolConfig.functionCallingConfig"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "X"}}}, "toolConfig.functionCallingConfig.mode"),
        (
            {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["x"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        ({"systemInstruction": 1}, "systemInstruction"),
        ({"systemInstruction": {"parts": [{"inlineData": PNG}]}}, "systemInstruction.parts[0].inlineData"),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"temperature": "1"}}, "generationConfig.temperature"),
        ({"generationConfig": {"topP": 2}}, "generationConfig.topP"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences"),
        ({"generationConfig": {"seed": True}}, "generationConfig.seed"),
        ({"generationConfig": {"presencePenalty": 3}}, "generationConfig.presencePenalty"),
        ({"generationConfig": {"frequencyPenalty": "x"}}, "generationConfig.frequencyPenalty"),
        ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"responseLogprobs": True}}, "generationConfig.responseLogprobs"),
        ({"generationConfig": {"responseLogprobs": 1}}, "generationConfig.responseLogprobs"),
        ({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}, "generationConfig.responseModalities"),
        ({"generationConfig": {"responseFormat": {}}}, "generationConfig.responseFormat"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        (
            {"generationConfig": {"responseMimeType": "text/plain", "responseSchema": {}}},
            "generationConfig.responseMimeType",
        ),
        (
            {"generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}},
            "generationConfig.responseJsonSchema",
        ),
        ({"generationConfig": {"thinkingConfig": 1}}, "generationConfig.thinkingConfig"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "X"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        ({"cachedContent": "cachedContents/x"}, "cachedContent"),
        ({"continuationToken": "x"}, "continuationToken"),
    ],
)
def test_what_is_malformed_or_cannot_be_carried_is_named(fields, param):
    assert refused(**fields).param == param


def test_a_body_that_is_no_object_is_refused():
    assert refused([]).code == "invalid_json"


def test_what_is_to_be_counted_may_be_a_whole_request():
    found = read({"generateContentRequest": {"model": "models/x", "contents": CONTENTS, "systemInstruction": "be"}})
    assert (found.instructions, found.turns) == (("be",), (Turn("user", (Text("hi"),)),))
    both = {"generateContentRequest": {"contents": CONTENTS}, "contents": CONTENTS}
    assert refused(both).param == "generateContentRequest"


# --- schemas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "INTEGER", "nullable": True}, {"type": ["integer", "null"]}),
        ({"nullable": True, "any_of": [{"type": "STRING"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"nullable": True}, {}),
        ({"type": "TYPE_UNSPECIFIED", "nullable": False, "title": None}, {}),
        (
            {"type": ["string", "null"], "minLength": "1", "max_items": 3},
            {"type": ["string", "null"], "minLength": 1, "maxItems": 3},
        ),
        (
            {
                "type": "OBJECT",
                "properties": {"any_of": {"type": "ARRAY", "items": {"type": "NUMBER"}}},
                "required": ["any_of"],
                "propertyOrdering": ["any_of"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"any_of": {"type": "array", "items": {"type": "number"}}},
                "required": ["any_of"],
                "additionalProperties": False,
            },
        ),
        ({"additionalProperties": {"type": "STRING"}}, {"additionalProperties": {"type": "string"}}),
        (
            {"defs": {"a": {"type": "STRING"}}, "ref": "#/defs/a"},
            {"$defs": {"a": {"type": "string"}}, "$ref": "#/defs/a"},
        ),
        ({"type": "STRING", "example": "x", "pattern": "a"}, {"type": "string", "examples": ["x"], "pattern": "a"}),
    ],
)
def test_a_schema_of_the_older_form_becomes_a_json_schema(schema, found):
    assert json_schema(schema, "s") == found


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ({"type": 1}, "s.type"),
        ({"properties": []}, "s.properties"),
        ({"properties": {"x": 1}}, "s.properties.x"),
        ({"items": []}, "s.items"),
        ({"anyOf": {}}, "s.anyOf"),
        ({"anyOf": [1]}, "s.anyOf[0]"),
        ({"minItems": "x"}, "s.minItems"),
        ({"minItems": []}, "s.minItems"),
        ({"additionalProperties": 1}, "s.additionalProperties"),
    ],
)
def test_what_is_malformed_in_a_schema_is_named(schema, param):
    with pytest.raises(BadRequest) as caught:
        json_schema(schema, "s")
    assert caught.value.param == param


def test_a_schema_may_not_be_nested_without_end():
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(BadRequest):
        json_schema(schema, "s")


# --- embeddings ---------------------------------------------------------------------------------------------


def embedding(document: Any, batch: bool = False, gaps: Gaps | None = None) -> Embedding:
    return embeddings.read(msgspec.json.encode(document), batch, gaps or Gaps())


def content(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def test_one_content_is_one_text_to_be_embedded():
    gaps = Gaps()
    asked = {
        "model": "models/x",
        "content": {"parts": [{"text": "a"}, {"text": "b", "odd": 1}]},
        "taskType": "RETRIEVAL_QUERY",
        "output_dimensionality": 3,
        "title": "t",
    }
    assert embedding(asked, gaps=gaps) == Embedding(inputs=("a\nb",), single=True, dimensions=3, purpose="query")
    assert gaps.dropped == ["content.parts[1].odd", "title"]


def test_settings_of_an_embedding_may_stand_together():
    asked = {
        "content": content("a"),
        "embedContentConfig": {"taskType": "TASK_TYPE_UNSPECIFIED", "outputDimensionality": 2},
    }
    assert embedding(asked) == Embedding(inputs=("a",), single=True, dimensions=2)


def test_a_batch_is_several_texts():
    batch = {"requests": [{"content": content(text), "taskType": "CLUSTERING"} for text in "ab"], "odd": 1}
    gaps = Gaps()
    assert embedding(batch, True, gaps) == Embedding(inputs=("a", "b"), purpose="clustering")
    assert gaps.dropped == ["odd"]


@pytest.mark.parametrize(
    ("document", "batch", "param"),
    [
        ({}, False, "content"),
        ({"content": {"parts": [{"inlineData": PNG}]}}, False, "content.parts[0].inlineData"),
        ({"content": content("a"), "taskType": "X"}, False, "taskType"),
        ({"content": content("a"), "outputDimensionality": 0}, False, "outputDimensionality"),
        ({"requests": []}, True, "requests"),
        ({"requests": [{}]}, True, "requests[0].content"),
        (
            {"requests": [{"content": content("a")}, {"content": content("b"), "outputDimensionality": 1}]},
            True,
            "requests",
        ),
    ],
)
def test_what_is_malformed_in_an_embedding_is_named(document, batch, param):
    with pytest.raises(BadRequest) as caught:
        embedding(document, batch)
    assert caught.value.param == param
