"""How Anthropic's API is asked, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.api import AnthropicApi
from netrunner.errors import Fault, NotFound, UpstreamRejected
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Headers

KEY = Secret("sk-ant-api-stored")
NEW = (b"anthropic-version", b"2026-10-21")
OLD = (b"anthropic-version", b"2023-06-01")


def api(**settings: Any) -> AnthropicApi:
    return AnthropicApi(ProviderSettings(base_url="https://api.test/v1", **settings), "acme")


def call(endpoint: str = "messages", method: bytes = b"POST", headers: Headers | None = None, **fields: Any) -> Call:
    return Call(method, endpoint, b"beta=true", headers or [], b"{}", "m", False, **fields)


def sent(asked: AnthropicApi, headers: Headers | None = None, authorization: bytes | None = None) -> Headers:
    """Return the fields that tell who asks, and in which version."""
    request = asked.request(call(headers=headers, authorization=authorization))
    return sorted(field for field in request.headers if field[0] not in (b"accept-encoding", b"content-type"))


def rejection(
    status: int, kind: str, message: str, headers: Headers | None = None, **settings: Any
) -> UpstreamRejected:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    return api(**settings).classify(status, headers or [], body)


def test_a_stored_key_goes_into_its_own_field_and_the_version_is_the_older_one() -> None:
    assert sent(api(api_key=KEY), authorization=b"Bearer caller") == [OLD, (b"x-api-key", b"sk-ant-api-stored")]
    assert api(api_key=KEY).request(call()).target == b"/v1/messages?beta=true"


def test_a_callers_version_and_betas_stay() -> None:
    beta = (b"anthropic-beta", b"a,b")
    assert sent(api(api_key=KEY), [NEW, beta]) == [beta, NEW, (b"x-api-key", b"sk-ant-api-stored")]


@pytest.mark.parametrize(
    ("headers", "given", "expected"),
    [
        ([OLD], b"Bearer sk-ant-api-own", (b"x-api-key", b"sk-ant-api-own")),
        ([NEW], b"Bearer sk-ant-api-own", (b"authorization", b"Bearer sk-ant-api-own")),
        ([OLD], b"Bearer sk-ant-oat-own", (b"authorization", b"Bearer sk-ant-oat-own")),
        ([OLD], b"Basic abc", (b"authorization", b"Basic abc")),
    ],
)
def test_a_callers_own_credential_goes_where_its_kind_belongs(
    headers: Headers, given: bytes, expected: tuple[bytes, bytes]
) -> None:
    assert expected in sent(api(api_key="passthrough"), headers, given)
    assert sent(api(), headers, given) == headers


@pytest.mark.parametrize(
    ("method", "endpoint"),
    [(b"GET", "messages"), (b"POST", "messages/batches"), (b"GET", "files"), (b"POST", "models")],
)
def test_a_stored_key_serves_inference_only(method: bytes, endpoint: str) -> None:
    with pytest.raises(NotFound):
        api(api_key=KEY).request(call(endpoint, method))


def test_a_stored_key_serves_models_counts_and_what_is_listed() -> None:
    known = api(api_key=KEY, endpoints=("messages/batches*",))
    for method, endpoint in ((b"GET", "models"), (b"GET", "models/m"), (b"POST", "messages/count_tokens")):
        assert known.serves(endpoint)
        assert known.request(call(endpoint, method)).method == method
    assert known.serves("messages/batches/b1")


@pytest.mark.parametrize(
    ("status", "kind", "message", "canonical", "retryable"),
    [
        (400, "invalid_request_error", "max_tokens: required", "bad_request", False),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", "context_too_long", False),
        (400, "invalid_request_error", "Your credit balance is too low", "payment", False),
        (402, "billing_error", "pay", "payment", False),
        (404, "not_found_error", "model: x", "not_found", False),
        (413, "request_too_large", "big", "too_large", False),
        (429, "rate_limit_error", "slow down", "rate_limit", True),
        (429, "rate_limit_error", "You have reached your monthly spend limit", "payment", False),
        (500, "api_error", "oops", "upstream_error", True),
        (504, "timeout_error", "late", "timeout", True),
        (529, "overloaded_error", "Overloaded", "overloaded", True),
        (503, "strange_error", "x", "overloaded", True),
    ],
)
def test_an_error_has_its_canonical_kind(status: int, kind: str, message: str, canonical: str, retryable: bool) -> None:
    error = rejection(status, kind, message)
    assert (error.kind, error.retryable, error.status, error.message, error.code) == (
        canonical,
        retryable,
        status,
        message,
        kind,
    )


def test_money_that_is_spent_is_not_the_callers_fault() -> None:
    assert rejection(400, "invalid_request_error", "Your credit balance is too low").fault is Fault.UPSTREAM
    assert rejection(400, "invalid_request_error", "no").fault is Fault.CALLER


def test_a_refused_key_is_ours_or_the_callers() -> None:
    error = rejection(401, "authentication_error", "invalid x-api-key", api_key=KEY)
    assert (error.status, error.code) == (502, "upstream_auth")
    assert rejection(401, "authentication_error", "no", api_key="passthrough").kind == "auth"


DATE = (b"date", b"Thu, 26 Nov 2026 10:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([], None),
        (
            [
                DATE,
                (b"anthropic-ratelimit-requests-remaining", b"0"),
                (b"anthropic-ratelimit-requests-reset", b"2026-11-26T10:00:30Z"),
                (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
                (b"anthropic-ratelimit-input-tokens-reset", b"2026-11-26T10:01:00Z"),
                (b"anthropic-ratelimit-output-tokens-remaining", b"5"),
                (b"anthropic-ratelimit-output-tokens-reset", b"2026-11-26T11:00:00Z"),
            ],
            60.0,
        ),
        (
            [
                (b"anthropic-ratelimit-requests-remaining", b"0"),
                (b"anthropic-ratelimit-requests-reset", b"2026-11-26T10:00:30Z"),
            ],
            None,
        ),
        ([DATE, (b"anthropic-ratelimit-requests-remaining", b"0")], None),
        (
            [
                DATE,
                (b"anthropic-ratelimit-requests-remaining", b"0"),
                (b"anthropic-ratelimit-requests-reset", b"2026-11-26T10:00:30"),
            ],
            None,
        ),
    ],
)
def test_a_retry_waits_until_the_limits_that_are_reached_are_reset(headers: Headers, expected: float | None) -> None:
    assert rejection(429, "rate_limit_error", "slow down", headers).retry_after_s == expected
