"""What requests are expected to take of limits of tokens, and what they have taken, wherever the limit stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netrunner.claims import Claim
from netrunner.errors import UpstreamError
from netrunner.filters.projects import Projects
from netrunner.filters.rate_limit import RateLimitSettings, plugin
from netrunner.limits.memory import MemoryCounters
from netrunner.projects.terms import Terms
from netrunner.routing.table import Candidate
from netrunner.settings import Limits
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from tests.support.client import Client, answers
from tests.support.reception import Front
from tests.support.stage import JSON, SSE, Stage
from tests.support.stage import request as spoken

MOST = 1000
"""Tokens a minute."""
CHAT = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "abcd" * 200}]}
EXPECTED = 304
"""Of 800 letters, a turn, and what the answer may take."""
COUNTED = 225
"""Of its body and one letter, where nobody else has counted."""
ANSWER: dict[str, Any] = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]
}
USAGE = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}


class Counted:
    """A stage with one limit of tokens.

    Args:
        where: It is a ``model``'s, a ``target``'s, a ``filter``'s or a ``token``'s.
        folder: For a database.
    """

    def __init__(self, where: str, folder: Path) -> None:
        self._fields: tuple[str, ...] = ()
        limits = Limits(tokens_per_minute=MOST)
        self.counters: Any
        if where == "filter":
            clock = FakeClock()
            self.counters = MemoryCounters(clock)
            environment = FakeEnvironment("limit", clock=clock, counters=self.counters)
            self.stage = Stage(plugin.build(RateLimitSettings(tokens_per_minute=MOST), environment))
        elif where == "token":
            front = Front(folder)
            token = front.token(front.project(), limits=Terms(tokens_per_minute=MOST))[1].decode()
            self.counters = front.counters
            self.stage = Stage(Projects(front.reception, front.counters, front.clock))
            self._fields = (f"Authorization: Bearer {token}",)
        else:
            claims = {"m": Claim("model", "m", limits)} if where == "model" else {}
            target = Candidate("up", "m", claims=(Claim("target", "up/m", limits),) if where == "target" else ())
            self.stage = Stage(models={"m": (target,)}, claims=claims)
            self.counters = self.stage.counters

    def ask(self, **more: Any) -> Client:
        """Send a chat."""
        return self.stage.client().say(spoken("/v1/chat/completions", {**CHAT, **more}, *self._fields))

    @property
    def used(self) -> int:
        """How many tokens are counted now."""
        (window,) = [kept for counted in self.counters.windows() for kept in counted.windows if kept.tokens]
        used: int = window.used
        return used


@pytest.fixture(params=["model", "target", "filter", "token"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Counted:
    """Return a stage for each place where tokens are limited."""
    return Counted(request.param, tmp_path)


def test_a_request_is_expected_to_take_what_it_says_and_what_its_answer_may_take(counted: Counted) -> None:
    counted.ask()
    assert counted.used == EXPECTED


def test_what_the_provider_counted_takes_the_place_of_what_was_expected(counted: Counted) -> None:
    counted.ask()
    counted.stage.call.head(200, JSON).body(json.dumps({**ANSWER, "usage": USAGE}).encode(), True)
    assert counted.used == 50


def test_where_the_provider_did_not_count_it_has_taken_what_was_counted_here(counted: Counted) -> None:
    counted.ask()
    counted.stage.call.head(200, JSON).body(json.dumps(ANSWER).encode(), True)
    usage = counted.stage.record().usage
    assert usage is not None
    assert (usage.source, counted.used) == ("counted", usage.total)
    assert counted.used < EXPECTED


def test_an_answer_that_broke_off_uncounted_has_taken_what_was_expected(counted: Counted) -> None:
    counted.ask(stream=True)
    counted.stage.call.head(200, SSE).body(b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
    counted.stage.call.fail()
    assert counted.used == EXPECTED


def test_an_answer_that_broke_off_has_taken_what_was_counted_of_it(counted: Counted) -> None:
    counted.ask(stream=True)
    counted.stage.call.head(200, SSE).body(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
    counted.stage.call.fail()
    assert counted.used == COUNTED


def test_a_request_that_nobody_answered_may_have_been_worked_on(counted: Counted) -> None:
    counted.ask()
    counted.stage.call.receiver.sent(False)
    counted.stage.call.fail()
    assert counted.used == EXPECTED


def test_a_provider_that_answered_with_an_error_has_taken_nothing(counted: Counted) -> None:
    counted.ask()
    counted.stage.call.head(500, JSON).body(b"{}", True)
    assert counted.used == 0


def test_a_request_that_was_never_sent_has_taken_nothing(counted: Counted) -> None:
    counted.ask()
    error = UpstreamError("refused")
    error.sent = False
    counted.stage.call.fail(error)
    assert counted.used == 0


def test_a_request_that_is_expected_to_take_more_than_is_left_is_refused_and_counts_nothing(counted: Counted) -> None:
    for _ in range(3):
        counted.ask()
    (answer,) = answers(counted.ask().heard(), b"POST")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "rate_limit_exceeded")
    assert len(counted.stage.upstream.calls) == 3
    assert counted.used == 3 * EXPECTED
