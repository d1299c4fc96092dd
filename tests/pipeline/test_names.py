"""What names mean on the path of an exchange: who is asked, by which name, and with whose credential."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.routing.rules import Rule
from netrunner.values import Alias
from tests.support.client import answers
from tests.support.stage import JSON, KEY, Stage, error_of

OWN = Alias("own", "org/m:tag", "https://llm.example/base/v2", 0.0)
ALIASES = {"aliases": {"own": OWN}}
CHAT = {"model": "own", "messages": [], "tools": [{"x": 1}], "response_format": {"type": "json_object"}}


def test_a_mapped_name_is_asked_for_by_its_target() -> None:
    stage = Stage(unknown_model="other", names={"model_map": {"/gpt-(.*)-turbo/": r"llama-\1"}})
    stage.ask({"model": "gpt-4-turbo", "messages": []})
    assert stage.call.sent_body == b'{"model": "llama-4", "messages": []}'
    stage.call.head(200, JSON).body(b"{}", True)
    record = stage.record()
    assert (record.model, record.upstream_model, record.provider) == ("gpt-4-turbo", "llama-4", "other")
    assert record.resolved == ["model_map /gpt-(.*)-turbo/", "unknown_model other"]


def test_a_configured_name_has_no_steps_worth_recording() -> None:
    stage = Stage()
    stage.ask()
    stage.call.head(200, JSON).body(b"{}", True)
    assert stage.record().resolved == []


def test_a_name_mapped_to_a_configured_one_has_its_targets_and_what_it_does_when_clients_leave() -> None:
    stage = Stage(names={"model_map": {"old": "alias"}}, draining=("alias",))
    client = stage.ask({"model": "old", "messages": []})
    assert stage.call.sent_body == b'{"model": "real", "messages": []}'
    client.settle()
    assert not stage.call.aborted


def test_a_rule_decides_by_the_address_that_a_trusted_proxy_names() -> None:
    rules = [Rule(("192.0.2.0/24",), "m", None, "cheap", "other")]
    stage = Stage(names={"rules": rules}, public=True)
    for source in (b"192.0.2.1", b"192.0.2.1, 198.51.100.1"):
        stage.ask(headers=[(b"x-forwarded-for", source)])
    asked = [(one.provider, one.upstream_model) for one in stage.pipeline.inflight.values()]
    assert asked == [("other", "cheap"), ("up", "m")]


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/v1/chat/completions?a=1&b", b"/base/v2/chat/completions?a=1&b"),
        ("PUT", "/v1/chat/completions", b"/base/v2/chat/completions"),
        ("PATCH", "/v1/what/ever/it/is", b"/base/v2/what/ever/it/is"),
        ("DELETE", "/v1/files/f-1", b"/base/v2/files/f-1"),
        ("GET", "/v1/embeddings", b"/base/v2/embeddings"),
        ("POST", "/v1/responses", b"/base/v2/responses"),
        ("POST", "/v1/messages", b"/base/v2/messages"),
        ("POST", "/chat/completions", b"/base/v2/chat/completions"),
    ],
)
def test_any_method_below_v1_goes_to_the_alias_with_its_path_and_query(method: str, path: str, target: bytes) -> None:
    stage = Stage(names=ALIASES)
    client = stage.ask(CHAT, path, method=method)
    request = stage.call.request
    assert (request.method, request.target) == (method.encode(), target)
    assert request.origin.url == "https://llm.example:443"
    stage.call.head(201, JSON, (b"x-a", b"1"), (b"x-a", b"2")).body(b"{ }", True)
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 201 Fine\r\n")
    assert b"x-a: 1\r\nx-a: 2\r\n" in heard
    assert b"\r\n{ }\r\n" in heard


def test_only_the_model_of_the_body_is_replaced() -> None:
    stage = Stage(names=ALIASES)
    stage.ask(b'{"tools" :[1],"model":"own", "x":{"model":"own"},"messages":[]}')
    assert stage.call.sent_body == b'{"tools" :[1],"model":"org/m:tag", "x":{"model":"own"},"messages":[]}'


@pytest.mark.parametrize(
    ("field", "path", "sent"),
    [
        ((b"authorization", b"Bearer mine"), "/v1/chat/completions", [(b"authorization", b"Bearer mine")]),
        ((b"authorization", b"Bearer mine"), "/v1/messages", [(b"x-api-key", b"mine")]),
        ((b"x-api-key", b"mine"), "/v1/messages", [(b"x-api-key", b"mine")]),
        ((b"cookie", b"a=b"), "/v1/chat/completions", []),
    ],
)
def test_the_callers_own_credential_goes_to_an_alias_and_a_stored_one_never(
    field: tuple[bytes, bytes], path: str, sent: list[Any]
) -> None:
    stage = Stage(names=ALIASES)
    stage.ask(CHAT, path, headers=[field])
    kept = (b"authorization", b"x-api-key", b"cookie")
    assert [one for one in stage.call.request.headers if one[0] in kept] == sent
    assert KEY.encode() not in repr(stage.call.request).encode()


def test_the_token_for_this_server_does_not_go_to_an_alias() -> None:
    stage = Stage(names=ALIASES, token="t0ken")
    stage.ask(CHAT, headers=[(b"authorization", b"Bearer t0ken")])
    assert stage.call.header(b"authorization") == []
    stage = Stage(names=ALIASES, token="t0ken", header="x-proxy-token")
    stage.ask(CHAT, headers=[(b"authorization", b"Bearer mine"), (b"x-proxy-token", b"t0ken")])
    assert stage.call.header(b"authorization") == [b"Bearer mine"]
    assert stage.call.header(b"x-proxy-token") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "other", "messages": []}, 404, "model_not_found"),
        ({"messages": []}, 400, "missing_model"),
        ({"model": "", "messages": []}, 400, None),
        ({"model": 3, "messages": []}, 400, None),
        (b"{", 400, "invalid_json"),
    ],
)
def test_what_names_no_alias_reaches_nobody(body: Any, status: int, code: str | None) -> None:
    stage = Stage(names=ALIASES)
    (answer,) = answers(stage.ask(body).heard(), b"POST")
    assert answer.status == status
    assert code in (None, error_of(answer.body)["code"])
    assert stage.upstream.calls == []


def test_another_method_is_refused_for_what_is_no_alias() -> None:
    stage = Stage(names=ALIASES)
    (answer,) = answers(stage.ask(method="PUT").heard(), b"PUT")
    assert (answer.status, answer.headers[b"allow"]) == (405, b"POST")
    assert stage.record().status == 405


def test_an_ollama_caller_is_understood_at_an_alias() -> None:
    stage = Stage(names=ALIASES)
    stage.ask({"model": "own", "messages": [{"role": "user", "content": "hi"}], "stream": False}, "/api/chat")
    assert stage.call.request.target == b"/base/v2/chat/completions"
    assert b'"org/m:tag"' in stage.call.sent_body


def test_a_streamed_answer_of_an_alias_goes_through_as_it_comes() -> None:
    stage = Stage(names=ALIASES)
    client = stage.ask({**CHAT, "stream": True})
    stage.call.head(200, (b"content-type", b"text/event-stream")).body(b"data: {whatever}\n\n")
    assert b"data: {whatever}\n\n" in client.heard()
