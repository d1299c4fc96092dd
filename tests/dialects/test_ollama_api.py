"""How Ollama servers are asked, and what their errors mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.ollama.api import OllamaApi
from netrunner.errors import Fault, NotFound
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Origin

KEY = Secret("ok-stored")


def api(base_url: str = "http://127.0.0.1:11434/api", **settings: Any) -> OllamaApi:
    return OllamaApi(ProviderSettings(base_url=base_url, **settings), "local")


def call(endpoint: str = "chat", method: bytes = b"POST", body: bytes = b"{}") -> Call:
    return Call(method, endpoint, b"", [], body, "m", False)


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("http://127.0.0.1:11434", b"/api/chat"),
        ("http://127.0.0.1:11434/", b"/api/chat"),
        ("http://127.0.0.1:11434/api", b"/api/chat"),
        ("http://127.0.0.1:11434/behind/api/", b"/behind/api/chat"),
        ("http://127.0.0.1:11434?a=b", b"/api/chat?a=b"),
    ],
)
def test_an_address_without_a_path_is_that_of_the_server(base_url, target):
    request = api(base_url).request(call())
    assert (request.origin, request.target) == (Origin("http", "127.0.0.1", 11434), target)


@pytest.mark.parametrize(("key", "sent"), [(None, []), (KEY, [b"Bearer ok-stored"])])
def test_a_key_is_sent_where_there_is_one(key, sent):
    headers = api(api_key=key).request(call()).headers
    assert [value for name, value in headers if name == b"authorization"] == sent
    assert (b"content-type", b"application/json") in headers


@pytest.mark.parametrize(
    ("method", "endpoint", "served"),
    [
        (b"POST", "chat", True),
        (b"POST", "generate", True),
        (b"POST", "embed", True),
        (b"POST", "embeddings", True),
        (b"POST", "show", True),
        (b"GET", "tags", True),
        (b"GET", "version", True),
        (b"POST", "pull", False),
        (b"DELETE", "delete", False),
        (b"GET", "chat", False),
        (b"POST", "chat/completions", False),
    ],
)
def test_a_stored_key_serves_inference_only(method, endpoint, served):
    known = api(api_key=KEY)
    if served:
        assert known.request(call(endpoint, method)).target == b"/api/" + endpoint.encode()
        assert known.serves(endpoint)
        return
    with pytest.raises(NotFound):
        known.request(call(endpoint, method))


def test_without_a_key_everything_is_served():
    assert api().request(call("pull")).target == b"/api/pull"


@pytest.mark.parametrize(
    ("status", "message", "kind", "fault", "retryable"),
    [
        (400, "invalid message content type: float64", "bad_request", Fault.CALLER, False),
        (400, "the input length exceeds the context length", "context_too_long", Fault.CALLER, False),
        (400, "request exceeds the available context size (4096)", "context_too_long", Fault.CALLER, False),
        (403, "this model needs a subscription", "permission", Fault.UPSTREAM, False),
        (404, "model 'x' not found", "not_found", Fault.UPSTREAM, False),
        (429, "too many concurrent requests", "rate_limit", Fault.UPSTREAM, True),
        (500, "model requires more system memory", "upstream_error", Fault.UPSTREAM, True),
        (503, "server busy, please try again", "overloaded", Fault.UPSTREAM, True),
    ],
)
def test_an_error_is_told_by_status_and_words(status, message, kind, fault, retryable):
    got = api().classify(status, [], json.dumps({"error": message}).encode())
    assert (got.status, got.kind, got.fault, got.retryable, got.message) == (status, kind, fault, retryable, message)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_stored_key_is_a_bad_gateway(status):
    body = b'{"error":"unauthorized: ok-stored","signin_url":"https://x.test/"}'
    got = api(api_key=KEY).classify(status, [], body)
    assert (got.status, got.code, got.fault) == (502, "upstream_auth", Fault.UPSTREAM)
    assert "ok-stored" not in got.message


def test_a_time_to_wait_is_read():
    assert api().classify(429, [(b"retry-after", b"7")], b'{"error":"slow down"}').retry_after_s == 7
