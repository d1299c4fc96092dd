"""How Gemini's API is asked, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.gemini.api import GeminiApi
from netrunner.errors import BadRequest, Fault, NotFound
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Origin

KEY = Secret("AIza-stored")
GENERATE = "models/gemini-x:generateContent"


def api(**settings: Any) -> GeminiApi:
    return GeminiApi(ProviderSettings(base_url="https://api.test/v1beta", **{"api_key": KEY, **settings}), "google")


def call(endpoint: str = GENERATE, **changes: Any) -> Call:
    values: dict[str, Any] = {
        "method": b"POST",
        "query": b"",
        "headers": [],
        "body": b"{}",
        "model": "m",
        "stream": False,
        **changes,
    }
    return Call(endpoint=endpoint, **values)


def credentials(request: Any) -> list[tuple[bytes, bytes]]:
    return [field for field in request.headers if field[0] in (b"authorization", b"x-goog-api-key")]


def test_the_address_the_query_and_the_key():
    request = api().request(call("models/gemini-x:streamGenerateContent", query=b"alt=sse"))
    assert request.origin == Origin("https", "api.test", 443)
    assert request.target == b"/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
    assert credentials(request) == [(b"x-goog-api-key", b"AIza-stored")]


@pytest.mark.parametrize(
    ("key", "given", "sent"),
    [
        (KEY, b"Bearer caller", [(b"x-goog-api-key", b"AIza-stored")]),
        (Secret("ya29.x"), None, [(b"x-goog-api-key", b"ya29.x")]),
        ("passthrough", b"Bearer caller", [(b"x-goog-api-key", b"caller")]),
        ("passthrough", b"Bearer ya29.token", [(b"authorization", b"Bearer ya29.token")]),
        ("passthrough", None, []),
        (None, b"Bearer caller", []),
    ],
)
def test_a_credential_goes_where_it_belongs(key, given, sent):
    assert credentials(api(api_key=key).request(call(authorization=given))) == sent


@pytest.mark.parametrize(
    ("method", "endpoint", "served"),
    [
        *[
            (b"POST", f"{of}/x:{action}", True)
            for of in ("models", "tunedModels")
            for action in (
                "generateContent",
                "streamGenerateContent",
                "countTokens",
                "embedContent",
                "batchEmbedContents",
            )
        ],
        (b"GET", "models", True),
        (b"GET", "models/x", True),
        (b"POST", "models/x:predict", False),
        (b"GET", GENERATE, False),
        (b"POST", "models/x", False),
        (b"GET", "files", False),
        (b"POST", "chat/completions", False),
        (b"POST", "cachedContents", False),
    ],
)
def test_a_stored_key_serves_inference_only(method, endpoint, served):
    body = b"{}" if method == b"POST" else b""
    if served:
        assert api().request(call(endpoint, method=method, body=body)).target == b"/v1beta/" + endpoint.encode()
    else:
        with pytest.raises(NotFound):
            api().request(call(endpoint, method=method, body=body))
    assert api(api_key="passthrough").request(call(endpoint, method=method, body=body)).method == method


def test_what_may_be_asked_at_all():
    assert api().serves(GENERATE)
    assert api().serves("models")
    assert not api().serves("files")
    assert api(endpoints=("files/*", "x")).serves("files/a")
    assert api(endpoints=("files/*", "x")).serves("x")
    assert api(endpoints=("x",)).request(call("x")).target == b"/v1beta/x"
    assert api(api_key="passthrough").serves("files")


def test_a_path_that_leads_elsewhere_is_refused():
    with pytest.raises(BadRequest):
        api().request(call("models/../../x:generateContent"))


# --- errors -------------------------------------------------------------------------------------------------


def classify(status: int, error: Any = None, headers: Any = (), key: Any = KEY, body: bytes | None = None) -> Any:
    if body is None:
        body = json.dumps({"error": error}).encode()
    return api(api_key=key).classify(status, list(headers), body)


def told(status: str, message: str = "m", *details: Any) -> dict[str, Any]:
    return {"code": 1, "message": message, "status": status, "details": list(details)}


@pytest.mark.parametrize(
    ("status", "word", "kind", "retryable", "fault"),
    [
        (400, "INVALID_ARGUMENT", "bad_request", False, Fault.CALLER),
        (400, "FAILED_PRECONDITION", "bad_request", False, Fault.CALLER),
        (404, "NOT_FOUND", "not_found", False, Fault.UPSTREAM),
        (429, "RESOURCE_EXHAUSTED", "rate_limit", True, Fault.UPSTREAM),
        (500, "INTERNAL", "upstream_error", True, Fault.UPSTREAM),
        (503, "UNAVAILABLE", "overloaded", True, Fault.UPSTREAM),
        (504, "DEADLINE_EXCEEDED", "timeout", True, Fault.UPSTREAM),
        (500, "NEW_WORD", "upstream_error", True, Fault.UPSTREAM),
    ],
)
def test_statuses_have_their_kinds(status, word, kind, retryable, fault):
    error = classify(status, told(word))
    assert (error.kind, error.retryable, error.fault, error.code, error.status) == (
        kind,
        retryable,
        fault,
        word,
        status,
    )
    assert error.message == "m"


def test_some_messages_tell_more_than_their_status():
    long = classify(
        400, told("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8).")
    )
    assert (long.kind, long.code) == ("context_too_long", "context_length_exceeded")
    assert classify(400, told("FAILED_PRECONDITION", "Enable Billing, please")).kind == "payment"


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s"}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "RequestsPerDayPerModel"}, 1],
}
PER_MINUTE = {"violations": [{"quotaId": "RequestsPerMinute"}]}


@pytest.mark.parametrize(
    ("error", "headers", "after", "retryable"),
    [
        (told("RESOURCE_EXHAUSTED", "m", PER_MINUTE, RETRY), [], 22.5, True),
        (told("RESOURCE_EXHAUSTED", "m", PER_DAY, RETRY), [], 22.5, False),
        (told("RESOURCE_EXHAUSTED", "Please retry in 10.68s."), [], 10.68, True),
        (told("RESOURCE_EXHAUSTED", "m", RETRY), [(b"retry-after", b"3")], 3, True),
        (told("RESOURCE_EXHAUSTED", "m", {"retryDelay": "soon"}, {"violations": 1}, 7), [], None, True),
        ({"message": 1, "status": 1, "details": 1, "code": True}, [], None, True),
    ],
)
def test_when_to_come_back_is_read_from_every_source(error, headers, after, retryable):
    found = classify(429, error, headers)
    assert (found.retry_after_s, found.retryable) == (after, retryable)


def test_an_event_of_an_error_reads_the_words_too():
    from netrunner.dialects.gemini.failures import of_document

    failure = of_document({"error": {"message": "Please retry in 500ms"}})
    assert failure is not None
    assert failure.retry_after_s == 0.5


def test_an_error_in_a_list_is_read():
    found = classify(503, body=json.dumps([{"error": told("UNAVAILABLE")}]).encode())
    assert (found.kind, found.code, found.message) == ("overloaded", "UNAVAILABLE", "m")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"error":null}', b"[" * 100_000, b"\xff"])
def test_an_error_without_a_shape_is_told_by_its_status(body):
    found = classify(503, body=body)
    assert (found.kind, found.retryable, found.status) == ("overloaded", True, 503)


BAD_KEY = told("INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})


@pytest.mark.parametrize(
    ("status", "error"), [(400, BAD_KEY), (401, told("UNAUTHENTICATED")), (403, told("PERMISSION_DENIED"))]
)
def test_a_refusal_of_our_key_is_not_the_callers_fault(status, error):
    found = classify(status, error)
    assert (found.code, found.status, found.fault) == ("upstream_auth", 502, Fault.UPSTREAM)


def test_a_refusal_of_the_callers_own_key_is():
    found = classify(400, BAD_KEY, key="passthrough")
    assert (found.kind, found.status, found.fault) == ("auth", 400, Fault.CALLER)
    assert classify(403, told("PERMISSION_DENIED"), key="passthrough").kind == "permission"
