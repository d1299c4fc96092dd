"""When to come again: what a provider says about it, in whichever place, as every client reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.errors import MAX_RETRY_AFTER_S, Overloaded, RateLimited, UpstreamRejected
from netrunner.values import Headers
from tests.support.client import Answer, answers
from tests.support.stage import JSON, Stage

DATE = (b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")
LIMITS = [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", b"41s")]
CHAT = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
GOOGLE = "type.googleapis.com/google.rpc."


def refused(provider: str, path: str, status: int, document: Any, headers: Headers | None = None) -> Answer:
    """Return what a client at ``path`` gets when ``provider`` refuses."""
    stage = Stage(provider=provider)
    client = stage.ask(CONTENTS if "generate" in path else {**CHAT, "stream": False}, path)
    stage.call.head(status, JSON, *(headers or ())).body(json.dumps(document).encode(), True)
    (answer,) = answers(client.heard(), b"POST")
    return answer


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


SOURCES: list[tuple[str, Headers, Any, bytes]] = [
    ("openai", [(b"retry-after", b"7")], said("x"), b"7"),
    ("openai", [(b"retry-after", b"1.2")], said("x"), b"2"),
    ("openai", [(b"retry-after", b"0")], said("x"), b"1"),
    ("openai", [(b"retry-after-ms", b"1500")], said("x"), b"2"),
    ("openai", [(b"retry-after", b"Fri, 01 Jan 2027 00:00:09 GMT"), DATE], said("x"), b"9"),
    ("openai", LIMITS, said("x"), b"41"),
    ("openai", [], said("Please try again in 6.4s."), b"7"),
    ("azure_openai", [(b"retry-after-ms", b"30001")], said("x"), b"31"),
    (
        "azure_openai",
        [(b"x-ratelimit-remaining-tokens", b"-1"), (b"x-ratelimit-reset-tokens", b"12")],
        said("x"),
        b"12",
    ),
    ("groq", [(b"retry-after", b"3")], said("x"), b"3"),
    ("mistral", [(b"ratelimitbysize-reset", b"41")], said("x"), b"41"),
    (
        "openrouter",
        [DATE],
        said("x", code=429, metadata={"headers": {"X-RateLimit-Reset": "1798761660000"}}),
        b"60",
    ),
    (
        "anthropic",
        [
            DATE,
            (b"anthropic-ratelimit-tokens-remaining", b"0"),
            (b"anthropic-ratelimit-tokens-reset", b"2027-01-01T00:00:30Z"),
        ],
        {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}},
        b"30",
    ),
    (
        "gemini",
        [],
        said("x", status="RESOURCE_EXHAUSTED", details=[{"@type": GOOGLE + "RetryInfo", "retryDelay": "22.1s"}]),
        b"23",
    ),
    ("gemini", [], said("Please retry in 10.68s.", status="RESOURCE_EXHAUSTED"), b"11"),
    ("cohere", [DATE, (b"x-ratelimit-reset", b"1798761660")], {"message": "x"}, b"60"),
    ("ollama", [(b"retry-after", b"5")], {"error": "x"}, b"5"),
    ("deepseek", [], said("x"), b""),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("provider", "headers", "document", "seconds"), SOURCES)
def test_a_wait_is_told_in_whole_seconds_wherever_the_provider_tells_it(
    provider: str, headers: Headers, document: Any, seconds: bytes, status: int, path: str
) -> None:
    if provider == "anthropic" and status == 503:
        document = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
        headers = [(b"retry-after", b"30")]
    answer = refused(provider, path, status, document, headers)
    assert answer.status in (status, 529 if status == 503 else status)
    assert answer.headers.get(b"retry-after", b"") == seconds
    assert b"x-should-retry" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1beta/models/m:generateContent"]
)
def test_a_wait_of_days_is_told_as_an_hour_that_no_client_sits_out(path: str) -> None:
    answer = refused("openai", path, 429, said("x"), [(b"retry-after", b"287441"), (b"retry-after-ms", b"287441000")])
    assert answer.status == 429
    assert answer.headers[b"retry-after"] == b"%d" % MAX_RETRY_AFTER_S == b"3600"
    assert answer.headers[b"x-should-retry"] == b"false"
    assert b"retry-after-ms" not in answer.headers
    assert b"287441" not in answer.body


def test_gemini_tells_the_same_wait_in_its_body() -> None:
    body = refused("openai", "/v1beta/models/m:generateContent", 429, said("x"), [(b"retry-after", b"287441")]).body
    assert {"@type": GOOGLE + "RetryInfo", "retryDelay": "3600s"} in json.loads(body)["error"]["details"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    ("provider", "status", "document"),
    [
        ("openai", 429, said("You exceeded your current quota.", code="insufficient_quota")),
        ("openai", 400, said("It is against the rules.", code="content_filter")),
        ("azure_openai", 400, said("It is against the rules.", code="content_filter", innererror={})),
        ("openrouter", 402, said("Insufficient credits", code=402)),
        ("groq", 429, said("Limit of tokens per day (TPD). Please try again in 14m7.2s.")),
        (
            "gemini",
            429,
            said(
                "Quota exceeded.",
                status="RESOURCE_EXHAUSTED",
                details=[
                    {"@type": GOOGLE + "QuotaFailure", "violations": [{"quotaId": "RequestsPerDayPerProject"}]},
                    {"@type": GOOGLE + "RetryInfo", "retryDelay": "22s"},
                ],
            ),
        ),
        (
            "anthropic",
            429,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "The monthly spend limit is reached."}},
        ),
        ("cohere", 429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
        ("openai", 401, said("Incorrect API key provided.")),
    ],
)
def test_clients_do_not_try_again_where_waiting_does_not_help(
    provider: str, status: int, document: Any, path: str
) -> None:
    assert refused(provider, path, status, document).headers[b"x-should-retry"] == b"false"


@pytest.mark.parametrize("word", [b"true", b"false"])
def test_the_providers_own_word_on_retries_stands(word: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/messages"):
        answer = refused("openai", path, 500, said("x"), [(b"x-should-retry", word)])
        told = answer.headers.get(b"x-should-retry", b"true")
        assert told == word


def test_limits_reach_clients_of_another_dialect_under_names_that_they_do_not_read() -> None:
    limits = [*LIMITS, (b"x-ratelimitbysize-remaining-minute", b"5"), (b"ratelimitbysize-reset", b"3")]
    for status in (200, 429, 500):
        answer = refused("openai", "/v1/messages", status, {"choices": []} if status == 200 else said("x"), limits)
        assert {name for name in answer.headers if b"ratelimit" in name} == {
            b"x-netrunner-upstream-" + name for name, _ in limits
        }


def test_limits_of_an_error_inside_a_stream_are_told_so_once() -> None:
    stage = Stage(provider="openai")
    client = stage.ask({**CHAT, "stream": True}, "/v1/messages")
    event = b"data: " + json.dumps(said("Please try again in 6s.", code="rate_limit_exceeded")).encode() + b"\n\n"
    stage.call.head(200, (b"content-type", b"text/event-stream"), *LIMITS).body(event)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"6")
    assert {name for name in answer.headers if b"ratelimit" in name} == {
        b"x-netrunner-upstream-" + name for name, _ in LIMITS
    }


def test_limits_of_the_same_dialect_go_on_as_they_are() -> None:
    answer = refused("openai", "/v1/chat/completions", 429, said("x"), LIMITS)
    assert {(name, value) for name, value in answer.headers.items() if b"ratelimit" in name} == set(LIMITS)


def test_waits_of_our_own_are_told_the_same_way() -> None:
    assert Overloaded("x").fields() == []
    assert Overloaded("x", retry_after_s=0.2).fields() == [(b"retry-after", b"1")]
    assert RateLimited("x", retry_after_s=120).fields() == [(b"retry-after", b"120")]
    never = (b"x-should-retry", b"false")
    assert RateLimited("x", retry_after_s=121).fields() == [(b"retry-after", b"121"), never]
    assert RateLimited("x", retry_after_s=float("inf")).fields() == [(b"retry-after", b"3600"), never]
    assert UpstreamRejected("x", retryable=True).fields() == []
    assert UpstreamRejected("x").fields() == [never]
