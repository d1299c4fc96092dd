"""What is served where: the table of paths and methods, models, pages, endpoints, and what a request must be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner import __version__
from netrunner.errors import UpstreamError
from netrunner.routing.table import Candidate
from netrunner.web.pages import Ready
from netrunner.web.tree import Branch
from tests.support.client import Answer, answers
from tests.support.stage import JSON, Stage, error_of, request

CHAT = {"model": "m", "messages": []}


def ask(stage: Stage, path: str, body: Any = b"", *fields: str, method: str = "GET") -> Answer:
    """Return the answer, of the upstream if it is asked: ``{}``."""
    before = len(stage.upstream.calls)
    client = stage.client().say(request(path, body, *fields, method=method))
    if len(stage.upstream.calls) > before:
        stage.call.head(200, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), method.encode())
    return answer


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, error_of(answer.body)["code"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/chat/completions/", 200),
        ("POST", "/chat/completions", 200),
        ("POST", "/v1/completions", 200),
        ("POST", "/v1/embeddings", 200),
        ("POST", "/v1/responses", 200),
        ("POST", "/v1/images/generations", 200),
        ("POST", "/v1/%63hat/completions", 200),
        ("GET", "/image", 405),
        ("POST", "/image/x", 404),
        ("GET", "/v1/models", 200),
        ("GET", "/models", 200),
        ("HEAD", "/v1/models", 200),
        ("GET", "/v1/models/", 200),
        ("GET", "/v1/models/m", 200),
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("GET", "/live", 200),
        ("GET", "/ready", 200),
        ("GET", "/ping", 200),
        ("HEAD", "/", 200),
        ("GET", "/", 200),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/completions", 405),
        ("OPTIONS", "/v1/embeddings", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/m", 405),
        ("POST", "/health", 405),
        ("POST", "/ready", 405),
        ("PUT", "/ping", 405),
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("POST", "/chat", 404),
        ("POST", "/chat/completions/x", 404),
        ("GET", "/health/x", 404),
        ("GET", "/ready/x", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/v1//chat/completions", 404),
        ("POST", "/v1/chat/completions/x", 404),
        ("POST", "/v1/chat", 404),
        ("POST", "/V1/chat/completions", 404),
        ("POST", "/v1/files", 404),
        ("GET", "/v1/models/unknown", 404),
    ],
)
def test_table_of_routes(method: str, path: str, status: int) -> None:
    stage = Stage()
    answer = ask(stage, path, CHAT if method in ("POST", "PUT") else b"", method=method)
    assert answer.status == status
    if status >= 400:
        assert stage.upstream.calls == []
        assert error_of(answer.body)["type"] == "invalid_request_error"
    if status == 405:
        allowed = answer.headers[b"allow"].split(b", ")
        assert method.encode() not in allowed
        assert allowed[0] in (b"GET", b"POST")
    assert stage.pipeline.inflight == {}


def test_health_tells_status_version_and_time_and_nothing_more() -> None:
    answer = ask(Stage(), "/health")
    document = json.loads(answer.body)
    assert set(document) == {"status", "version", "timestamp"}
    assert (document["status"], document["version"]) == ("ok", __version__)
    assert document["timestamp"] == "2025-06-15T15:06:40+00:00"


def test_probes_are_plain() -> None:
    stage = Stage()
    assert (ask(stage, "/ping").body, ask(stage, "/live").body) == (b"OK", b"OK")
    assert ask(stage, "/").body == b"Ollama is running"
    assert json.loads(ask(stage, "/ready").body) == {"status": "ready"}
    stage.site.accepting = False
    answer = ask(stage, "/ready")
    assert (answer.status, json.loads(answer.body), answer.headers[b"retry-after"]) == (
        503,
        {"status": "draining"},
        b"1",
    )
    assert ask(stage, "/live").status == 200


def test_nobody_is_to_be_sent_here_while_nobody_could_be_let_in() -> None:
    let_in = False
    stage = Stage()
    stage.site.resource = Branch()
    stage.site.resource.putChild(b"ready", Ready(lambda: let_in))
    answer = ask(stage, "/ready")
    assert (answer.status, json.loads(answer.body)) == (503, {"status": "starting"})
    let_in = True
    assert json.loads(ask(stage, "/ready").body) == {"status": "ready"}


def test_models_are_listed_in_both_forms() -> None:
    document = json.loads(ask(Stage(), "/v1/models").body)
    assert document["object"] == "list"
    assert [entry["id"] for entry in document["data"]] == ["m", "alias"]
    assert set(document["data"][0]) == {"id", "object", "created", "owned_by"}
    assert document["models"][1] == {"name": "alias", "model": "real", "registered_at": "2025-06-15T15:06:40Z"}


def test_one_model_is_told_by_name_even_with_a_slash() -> None:
    stage = Stage(models={"org/model:tag": (Candidate("up", "x"),)})
    assert json.loads(ask(stage, "/v1/models/org/model:tag").body)["id"] == "org/model:tag"
    assert refusal(ask(stage, "/v1/models/org")) == (404, "model_not_found")


def test_an_alias_is_replaced_and_every_other_byte_kept() -> None:
    stage = Stage()
    body = b'{ "a" : [1 ,2.0], "model":\t"alias" ,"z":"\xc3\xa9\\u00e9"}'
    ask(stage, "/v1/chat/completions", body, method="POST")
    assert stage.call.sent_body == body.replace(b'"alias"', b'"real"')
    assert stage.call.request.target == b"/v1/chat/completions"
    record = stage.record()
    assert (record.model, record.upstream_model, record.provider) == ("alias", "real", "up")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "missing_model"),
        (b'{"model": ""}', "invalid_value"),
        (b'{"model": 3}', "invalid_value"),
        (b'{"model": "m", "model": "alias"}', "duplicate_key"),
        (b'{"model": "m", "\\u006dodel": "alias"}', "duplicate_key"),
        (b'{"model": "m"', "invalid_json"),
        (b'["m"]', "invalid_json"),
        (b'{"model": "\xff"}', "invalid_json"),
        (b'{"model": "\\ud800"}', "invalid_json"),
        (b'{"model": "' + b"m" * 513 + b'"}', "invalid_value"),
    ],
)
def test_a_body_that_names_no_clear_model_is_refused(body: bytes, code: str) -> None:
    stage = Stage(unknown_model="up")
    assert refusal(ask(stage, "/v1/chat/completions", body, method="POST")) == (400, code)
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"


def test_an_empty_body_is_a_missing_model() -> None:
    assert refusal(ask(Stage(), "/v1/chat/completions", method="POST")) == (400, "missing_model")


@pytest.mark.parametrize("name", ["x", "up/m", "M", " m", "a\nb", "é", "\N{PILE OF POO}", "%s{0}"])
def test_an_unknown_model_is_not_found(name: str) -> None:
    stage = Stage()
    assert refusal(ask(stage, "/v1/chat/completions", {"model": name}, method="POST")) == (404, "model_not_found")
    assert stage.upstream.calls == []
    assert stage.record().model == name


def test_an_unknown_model_may_be_passed_on_as_it_is() -> None:
    stage = Stage(unknown_model="up")
    assert ask(stage, "/v1/chat/completions", {"model": "new/one"}, method="POST").status == 200
    assert stage.call.sent_body == b'{"model": "new/one"}'


@pytest.mark.parametrize("start", [b"", b"\r\n  "])
@pytest.mark.parametrize(
    "stated", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; charset=utf-8"]
)
def test_what_curl_calls_a_form_is_json(stated: str, start: bytes) -> None:
    stage = Stage()
    body = start + b'{"model":"m"}'
    assert ask(stage, "/v1/chat/completions", body, f"Content-Type: {stated}", method="POST").status == 200
    assert stage.call.header(b"content-type") == [b"application/json"]
    assert stage.call.sent_body == body


@pytest.mark.parametrize("path", ["files", "batches", "responses/resp_1", "threads", "fine_tuning/jobs", "files/a%41"])
def test_a_stored_key_serves_inference_only(path: str) -> None:
    stage = Stage(default_provider="up")
    for method in ("GET", "POST", "DELETE"):
        answer = ask(stage, f"/v1/{path}", CHAT if method == "POST" else b"", method=method)
        assert refusal(answer) == (404, "endpoint_not_found")
    assert stage.upstream.calls == []


@pytest.mark.parametrize("key", ["passthrough", None])
def test_without_a_stored_key_every_endpoint_is_served(key: str | None) -> None:
    stage = Stage(key=key, default_provider="up")
    assert ask(stage, "/v1/files?limit=2", method="GET").status == 200
    assert stage.call.request.target == b"/v1/files?limit=2"
    assert ask(stage, "/v1/files/a", method="DELETE").status == 200
    assert stage.call.request.method == b"DELETE"


def test_an_endpoint_without_a_model_needs_a_default_provider() -> None:
    assert refusal(ask(Stage(key=None), "/v1/files")) == (404, "endpoint_not_found")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc.DEF-1_2", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("ü", False), ("", False)],
)
def test_a_request_id_is_kept_if_it_is_a_clean_one(given: str, kept: bool) -> None:
    stage = Stage()
    answer = ask(
        stage, "/v1/chat/completions", CHAT, f"X-Request-ID: {given}", f"X-Correlation-ID: {given}", method="POST"
    )
    record = stage.record()
    ours = answer.headers[b"x-request-id"].decode()
    assert record.request_id == ours
    assert stage.call.header(b"x-request-id") == [ours.encode()]
    assert (ours == given) == kept
    assert record.correlation_id == (given if kept else None)
    assert (b"x-correlation-id" in answer.headers) == kept
    assert record.id != given


def test_every_refusal_tells_its_request_id() -> None:
    stage = Stage()
    answer = ask(stage, "/v1/chat/completions", b"{}", "X-Request-ID: mine", method="POST")
    assert answer.headers[b"x-request-id"] == b"mine"


def test_the_next_candidate_is_asked_only_if_nothing_was_sent() -> None:
    stage = Stage(models={"m": (Candidate("up", "m"), Candidate("other", "n"))})
    client = stage.ask(CHAT)
    unsent = UpstreamError("refused")
    unsent.sent = False
    stage.call.fail(unsent)
    assert json.loads(stage.call.sent_body)["model"] == "n"
    stage.call.head(200, JSON).body(b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}]}', True)
    assert answers(client.heard(), b"POST")[0].status == 200
    record = stage.record()
    assert [(attempt.provider, attempt.error) for attempt in record.attempts] == [
        ("up", "upstream_connection_failed"),
        ("other", None),
    ]
    client = stage.ask(CHAT)
    stage.call.fail(UpstreamError("broke off"))
    assert answers(client.heard(), b"POST")[0].status == 502
