"""The filter ``validate``, on the way of a request in memory: what is refused, with which words, and what goes on."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from zope.interface import implementer

from netrunner.errors import ConfigurationError
from netrunner.filters.no_think import NoThink, NoThinkSettings
from netrunner.filters.validate import Validate, plugin
from netrunner.interfaces import IAttemptPhase, IHeadPhase
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection
from tests.support.client import Answer, answers
from tests.support.stage import JSON, Stage, error_of, request

SAID = [{"role": "user", "content": "Hi"}]
TOKEN = "token-of-the-callers-1234"
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def validate(**settings: Any) -> Validate:
    return Validate(plugin.parse(FakeSection(settings)), FakeEnvironment())


def asked(stage: Stage, body: Any, path: str = "/v1/chat/completions", *fields: str, method: str = "POST") -> Answer:
    """Return the answer, an empty one of the upstream if it is asked."""
    client = stage.client().say(request(path, body, *fields, method=method))
    if stage.upstream.calls:
        stage.call.head(200, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), method.encode())
    return answer


def refused(body: Any, path: str = "/v1/chat/completions", **settings: Any) -> tuple[int, str, str | None]:
    """Return status, code and field of a refusal in OpenAI's shape; nothing has reached the provider."""
    stage = Stage(validate(**settings))
    answer = asked(stage, body, path)
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"
    error = error_of(answer.body)
    assert error["param"] is None or error["message"].startswith(error["param"])
    return answer.status, error["code"], error["param"]


def passes(body: Any, path: str = "/v1/chat/completions", **settings: Any) -> bool:
    """Return whether the provider is asked."""
    stage = Stage(validate(**settings), default_provider="up")
    asked(stage, body, path)
    return len(stage.upstream.calls) == 1


# --- numbers ------------------------------------------------------------------------------------------------


OUT_OF_BOUNDS: dict[str, tuple[Any, ...]] = {
    "max_tokens": (0, -1, 32001, "10", True, [1]),
    "max_completion_tokens": (0, 32001),
    "temperature": (-0.1, 2.1, "1", False, {}, 1e300, 10**400),
    "top_p": (-0.01, 1.01),
    "n": (0, 129),
    "presence_penalty": (-2.1, 2.1),
    "frequency_penalty": (-2.1, 2.1),
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in OUT_OF_BOUNDS.items() for value in values]
)
def test_a_number_out_of_bounds_is_refused_by_its_name(field: str, value: Any) -> None:
    assert refused({"model": "m", "messages": SAID, field: value}) == (400, "invalid_value", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("max_tokens", value) for value in (1, 32000, 100.0, None)],
        *[("temperature", value) for value in (0, 2, 0.7, None)],
        ("top_p", 1),
        ("n", 128),
        ("presence_penalty", -2),
        ("frequency_penalty", 2.0),
        ("seed", -5),
        ("nobody_knows", {"max_tokens": 0}),
    ],
)
def test_a_number_within_bounds_goes_on(field: str, value: Any) -> None:
    assert passes({"model": "m", "messages": SAID, field: value})


def test_bounds_are_settings() -> None:
    settings: dict[str, Any] = {"max_tokens": 10, "max_temperature": 1, "max_top_p": 0.5, "max_n": 1, "max_penalty": 0}
    for field, value in (
        ("max_tokens", 11),
        ("temperature", 1.1),
        ("top_p", 0.6),
        ("n", 2),
        ("presence_penalty", 0.1),
    ):
        assert refused({"model": "m", "messages": SAID, field: value}, **settings)[2] == field
    assert passes({"model": "m", "messages": SAID, "max_tokens": 10, "temperature": 1, "n": 1}, **settings)


def test_a_field_that_means_the_same_is_bounded_beside_the_one_that_is_used() -> None:
    document = {"model": "m", "messages": SAID, "max_completion_tokens": 10, "max_tokens": 99999}
    assert refused(document) == (400, "invalid_value", "max_tokens")


# --- turns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        (None, "messages"),
        ("Hi", "messages"),
        ({}, "messages"),
        ([*SAID, "Hi"], "messages[1]"),
        ([*SAID, *SAID, {"role": "king", "content": "x"}], "messages[2].role"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": None, "content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "messages[0].content"),
    ],
)
def test_a_malformed_message_is_refused_by_its_index(messages: Any, param: str) -> None:
    assert refused({"model": "m", "messages": messages}) == (400, "invalid_value", param)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "x"},
        {"role": "developer", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "tool", "content": "x", "tool_call_id": "c"},
        {"role": "function", "content": "x", "name": "f"},
    ],
)
def test_every_role_and_every_way_of_saying_something_is_known(message: dict[str, Any]) -> None:
    assert passes({"model": "m", "messages": [*SAID, message]})


def test_a_request_without_messages_is_not_asked_for_them() -> None:
    assert passes({"model": "m", "prompt": "Hi"}, "/v1/completions")
    assert passes({"model": "m", "input": "Hi"}, "/v1/embeddings")


def test_further_roles_can_be_allowed() -> None:
    assert passes({"model": "m", "messages": [{"role": "ipython", "content": "x"}]}, roles=["ipython"])


# --- other dialects -----------------------------------------------------------------------------------------


def told(stage: Stage, body: Any, path: str) -> tuple[int, Any]:
    answer = asked(stage, body, path)
    assert stage.upstream.calls == []
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"max_output_tokens": 0, "input": "Hi"}, "max_output_tokens"),
        ({"temperature": 3, "input": "Hi"}, "temperature"),
        ({"input": []}, "input"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [*SAID, {"type": "message", "role": "user"}]}, "input[1].content"),
    ],
)
def test_a_request_for_a_response_is_refused_by_its_own_names(document: dict[str, Any], param: str) -> None:
    assert refused({"model": "m", **document}, "/v1/responses") == (400, "invalid_value", param)


def test_what_is_no_message_in_the_input_of_a_response_goes_on() -> None:
    items = [*SAID, {"type": "reasoning", "summary": []}, {"type": "function_call_output", "output": "x"}, {"id": "i"}]
    assert passes({"model": "m", "input": items}, "/v1/responses")


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"max_tokens": 0, "messages": SAID}, "max_tokens"),
        ({"max_tokens": 9, "temperature": 2.5, "messages": SAID}, "temperature"),
        ({"max_tokens": 9, "messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"max_tokens": 9, "messages": [{"role": "user"}]}, "messages[0].content"),
    ],
)
def test_an_anthropic_request_is_refused_in_its_own_words(document: dict[str, Any], param: str) -> None:
    status, answer = told(Stage(validate()), {"model": "m", **document}, "/v1/messages")
    error = answer["error"]
    assert (status, answer["type"], error["type"]) == (400, "error", "invalid_request_error")
    assert (error["code"], error["param"]) == ("invalid_value", param)


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"max_output_tokens": 32001}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 500}}, "generationConfig.candidateCount"),
        ({"generationConfig": 7}, "generationConfig"),
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": "x"}]}, "contents[0].parts"),
    ],
)
def test_a_gemini_request_is_refused_in_its_own_words(document: dict[str, Any], param: str) -> None:
    body = {"contents": [{"parts": [{"text": "Hi"}]}], **document}
    status, answer = told(Stage(validate()), body, "/v1beta/models/m:generateContent")
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert param in json.dumps(answer)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"options": {"num_predict": 0}}, "options.num_predict"),
        ({"options": {"num_predict": 32001}}, "options.num_predict"),
        ({"options": {"num_predict": -3}}, "options.num_predict"),
        ({"Options": {"temperature": 3}}, "Options.temperature"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ],
)
def test_an_ollama_request_is_refused_in_its_own_words(document: dict[str, Any], field: str) -> None:
    status, answer = told(Stage(validate()), {"model": "m", "messages": SAID, **document}, "/api/chat")
    assert (status, answer["code"]) == (400, "invalid_value")
    assert answer["error"].startswith(f"{field}: must be ")


@pytest.mark.parametrize("document", [{"options": {"num_predict": -1}}, {"options": {"num_predict": -2}}, {}])
def test_an_ollama_request_may_say_that_it_has_no_bound(document: dict[str, Any]) -> None:
    assert passes({"model": "m", "messages": SAID, "stream": False, **document}, "/api/chat")


def test_an_ollama_request_may_only_load_a_model() -> None:
    stage = Stage(validate())
    assert asked(stage, {"model": "m", "messages": []}, "/api/chat").status == 200


# --- names --------------------------------------------------------------------------------------------------

ALLOW: dict[str, Any] = {"parameters": {"allow": ["temperature", "max_tokens", "tool*"]}}


@pytest.mark.parametrize("field", ["logit_bias", "Temperatures", "top_p"])
def test_a_field_that_is_not_allowed_is_refused_by_its_name(field: str) -> None:
    assert refused({"model": "m", "messages": SAID, field: 1}, **ALLOW) == (400, "param_not_allowed", field)


def test_what_is_said_and_who_is_asked_is_always_allowed() -> None:
    document = {"model": "m", "messages": SAID, "stream": False, "stream_options": None}
    assert passes({**document, "tools": [], "tool_choice": "auto", "max_completion_tokens": 3}, **ALLOW)


def test_a_name_of_openai_allows_what_means_the_same_elsewhere() -> None:
    document = {"model": "m", "messages": SAID, "stream": False, "options": {"num_predict": 3, "temperature": 1}}
    assert passes(document, "/api/chat", **ALLOW)
    status, answer = told(
        Stage(validate(**ALLOW)), {**document, "options": {"num_ctx": 9, "temperature": 1}}, "/api/chat"
    )
    assert (status, answer["code"]) == (400, "param_not_allowed")
    assert answer["error"].startswith("options.num_ctx: ")


@pytest.mark.parametrize(
    ("given", "param"),
    [({"model": "alias"}, "model"), ({"service_tier": "priority"}, "service_tier"), ({"n": 3}, "n")],
)
def test_a_value_that_is_not_allowed_is_refused_without_being_told(given: dict[str, Any], param: str) -> None:
    values = {"model": ("m*",), "service_tier": ("auto", "f*x"), "n": ("1", "2")}
    document = {"model": "m", "messages": SAID, "service_tier": "flex", "n": 2}
    assert passes(document, parameters={"values": values})
    assert refused(document | given, parameters={"values": values}) == (400, "param_not_allowed", param)


def test_the_model_in_a_path_is_checked_too() -> None:
    stage = Stage(validate(parameters={"values": {"model": ("m",)}}))
    status, answer = told(stage, {"contents": [{"parts": [{"text": "Hi"}]}]}, "/v1beta/models/alias:generateContent")
    assert (status, answer["error"]["message"]) == (400, "model: its value is not allowed here.")


def test_rules_for_one_provider_do_not_hold_for_another() -> None:
    document = {"model": "m", "messages": SAID, "user": "u"}
    assert refused(document, parameters={"allow": ["temperature"], "providers": ["up"]})[1] == "param_not_allowed"
    assert passes(document, parameters={"allow": ["temperature"], "providers": ["else"]})


@implementer(IHeadPhase)
class Belongs:
    """Says to which project callers belong."""

    def __init__(self, project: str) -> None:
        self._project = project

    async def on_head(self, exchange: Any) -> None:
        """Say so."""
        exchange.holder = SimpleNamespace(project=self._project)


@pytest.mark.parametrize("providers", [[], ["up"]])
@pytest.mark.parametrize(
    ("named", "project", "status"),
    [
        ({"except_projects": ["a"]}, "a", 200),
        ({"except_projects": ["a"]}, "b", 400),
        ({"projects": ["a"]}, "a", 400),
        ({"projects": ["a"]}, "b", 200),
    ],
)
def test_rules_may_hold_for_some_projects_only(
    providers: list[str], named: dict[str, Any], project: str, status: int
) -> None:
    stage = Stage(Belongs(project), validate(parameters={"allow": ["n"], "providers": providers, **named}))
    assert asked(stage, {"model": "m", "messages": SAID, "user": "u"}).status == status


def test_a_body_whose_fields_cannot_be_told_is_refused_where_names_count() -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
    form = "Content-Type: multipart/form-data; boundary=b"
    stage = Stage(validate(**ALLOW))
    answer = asked(stage, body, "/v1/audio/transcriptions", form)
    assert (answer.status, error_of(answer.body)["code"]) == (400, "param_not_allowed")
    assert stage.upstream.calls == []


# --- what goes on -------------------------------------------------------------------------------------------


def test_a_body_that_is_not_refused_goes_on_byte_by_byte() -> None:
    body = (
        b'{ "messages" : [ {"role":"user", "content" : "\xc3\xa9\\u00e9", "odd":1e2}], "model":"m",\t"temperature":1.0,'
        b'"nobody_knows":{"a" : [1 ,2.0]},"max_tokens": 1E2 }'
    )
    stage = Stage(validate())
    assert asked(stage, body).status == 200
    assert stage.call.sent_body == body


def test_what_an_earlier_filter_wrote_is_checked_as_it_stands() -> None:
    stage = Stage(NoThink(NoThinkSettings(), FakeEnvironment()), validate())
    assert asked(stage, {"model": "m", "messages": SAID}).status == 200
    assert json.loads(stage.call.sent_body)["messages"][-1] == {"role": "system", "content": "/no_think"}


# --- heads --------------------------------------------------------------------------------------------------


def test_a_phase_that_has_nothing_to_do_is_not_declared() -> None:
    assert not IHeadPhase.providedBy(validate())
    assert not IAttemptPhase.providedBy(validate(parameters={"allow": ["n"]}))
    assert IHeadPhase.providedBy(validate(origins={"required": True}))
    assert IAttemptPhase.providedBy(validate(parameters={"allow": ["n"], "providers": ["up"]}))


def test_only_listed_endpoints_are_served() -> None:
    rules: dict[str, Any] = {"endpoints": ["/v1/chat/*", "/v1/models"]}
    document = {"model": "m", "messages": SAID}
    assert passes(document, **rules)
    assert passes(document, "/v1/chat/completions/", **rules)
    assert refused(document, "/v1/embeddings", **rules) == (404, "endpoint_not_found", None)
    assert refused(document, "/v1/ch%61t/completions", **rules) == (404, "endpoint_not_found", None)
    assert asked(Stage(validate(**rules)), b"", "/v1/models", method="GET").status == 200


def test_only_listed_methods_are_served_and_told() -> None:
    stage = Stage(validate(methods=["post", "HEAD"]))
    answer = asked(stage, b"", "/v1/models", method="GET")
    assert (answer.status, error_of(answer.body)["code"], answer.headers[b"allow"]) == (
        405,
        "method_not_allowed",
        b"POST, HEAD",
    )
    assert asked(stage, b"", "/v1/models", method="HEAD").status == 200


def test_a_credential_is_asked_for_before_anything_is_told() -> None:
    rules: dict[str, Any] = {"endpoints": ["/v1/models"], "methods": ["GET"], "origins": {"required": True}}
    stage = Stage(validate(**rules), token=TOKEN)
    for path, method in (("/v1/files", "GET"), ("/v1/chat/completions", "DELETE"), ("/v1/models", "GET")):
        assert asked(stage, b"", path, method=method).status == 401
    known = f"Authorization: Bearer {TOKEN}"
    assert asked(stage, b"", "/v1/files", known, method="GET").status == 404
    assert asked(stage, b"", "/v1/models", known, method="POST").status == 405
    assert asked(stage, b"", "/v1/models", known, method="GET").status == 400


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((), "origin_required"),
        (("Origin: https://evil.example",), "origin_not_allowed"),
        (("Origin: https://a.app.example.evil",), "origin_not_allowed"),
        (("Origin: null",), "origin_not_allowed"),
        (("Origin: https://a.app.example", "Origin: https://evil.example"), "origin_not_allowed"),
        (("Origin: https://a.app.example",), None),
    ],
)
def test_pages_are_known_by_their_origin(fields: tuple[str, ...], code: str | None) -> None:
    stage = Stage(validate(origins={"required": True, "allow": ["https://*.app.example"]}), public=True)
    answer = asked(stage, {"model": "m", "messages": SAID}, "/v1/chat/completions", *fields)
    assert answer.status == {"origin_required": 400, "origin_not_allowed": 403, None: 200}[code]
    assert code is None or error_of(answer.body)["code"] == code


def test_an_origin_that_is_not_required_may_be_left_out() -> None:
    assert passes({"model": "m", "messages": SAID}, origins={"allow": ["https://app.example"]})


def test_settings_out_of_bounds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"max_tokens: 0 is out of range\n.*max_penalty: -1"):
        validate(max_tokens=0, max_penalty=-1)
