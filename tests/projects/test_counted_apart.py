"""Tokens of projects before the filter ``rate_limit``: whom it counts together, and what callers are told of both."""

from __future__ import annotations

import json
from typing import Any

from netrunner.filters.projects import Projects
from netrunner.filters.rate_limit import RateLimitSettings, plugin
from netrunner.projects.terms import Terms
from netrunner.testing.fakes import FakeEnvironment
from tests.support.client import Answer, answers
from tests.support.reception import Front
from tests.support.stage import JSON, Stage, request


def staged(front: Front, **limits: Any) -> Stage:
    environment = FakeEnvironment("limit", clock=front.clock, counters=front.counters)
    return Stage(
        Projects(front.reception, front.counters, front.clock), plugin.build(RateLimitSettings(**limits), environment)
    )


def asked(stage: Stage, token: bytes) -> Answer:
    before = len(stage.upstream.calls)
    chat = {"model": "m", "messages": []}
    client = stage.client().say(request("/v1/chat/completions", chat, f"Authorization: Bearer {token.decode()}"))
    if len(stage.upstream.calls) > before:
        stage.call.head(200, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), b"POST")
    return answer


def test_callers_are_told_apart_by_their_tokens(front: Front) -> None:
    project = front.project()
    one, other = (front.token(project)[1] for _ in range(2))
    stage = staged(front, requests_per_minute=1)
    assert [asked(stage, token).status for token in (one, other, one, other)] == [200, 200, 429, 429]


def test_of_the_limits_of_token_and_filter_the_fuller_one_is_told(front: Front) -> None:
    token = front.token(front.project(), limits=Terms(requests_per_hour=3))[1]
    told = [
        asked(staged(front, requests_per_minute=most), token).headers[b"x-ratelimit-limit-requests"]
        for most in (100, 2)
    ]
    assert told == [b"3", b"2"]


def test_what_the_filter_refuses_is_told_with_the_tokens_own_limits(front: Front) -> None:
    token = front.token(front.project(), limits=Terms(requests_per_hour=100))[1]
    stage = staged(front, requests_per_minute=0)
    answer = asked(stage, token)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers[b"x-ratelimit-remaining-requests"] == b"0"
