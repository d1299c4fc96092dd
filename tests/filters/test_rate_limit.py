"""The filter ``rate_limit``, on the way of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address

from netrunner.errors import ConfigurationError
from netrunner.filters.rate_limit import QueueSettings, RateLimitSettings, plugin
from netrunner.limits.memory import MemoryCounters
from netrunner.settings import WindowSettings
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.testing.section import FakeSection
from tests.support.client import Client, answers
from tests.support.stage import JSON, Stage, error_of, request

TURN = {"role": "user", "content": "abcd" * 10}
USAGE = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}


class Limited(Stage):
    """A stage whose filters are rate limits."""

    def __init__(self, *limits: dict[str, Any], **stage: Any) -> None:
        self.time = FakeClock()
        self.counters = MemoryCounters(self.time)
        super().__init__(
            *[
                plugin.build(
                    RateLimitSettings(**each), FakeEnvironment(f"limit-{n}", clock=self.time, counters=self.counters)
                )
                for n, each in enumerate(limits)
            ],
            **stage,
        )

    def advance(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.clock.advance(seconds)

    def answer(self, usage: Any = None, status: int = 200) -> None:
        """Answer the newest call."""
        self.call.head(status, JSON).body(json.dumps({"usage": usage} if usage else {}).encode(), True)

    def chat(self, **more: Any) -> Client:
        return self.ask({"model": "m", "messages": [TURN], **more})

    def status(self, **more: Any) -> int:
        """Ask and, if it was let through, answer; return the status."""
        before = len(self.upstream.calls)
        client = self.ask(**more)
        if len(self.upstream.calls) > before:
            self.answer()
        return told(client)[0]


def told(client: Client) -> tuple[int, dict[str, str], bytes]:
    (answer,) = answers(client.heard(), b"POST")
    return answer.status, {name.decode(): value.decode() for name, value in answer.headers.items()}, answer.body


def limits_of(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ratelimit" in name}


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    stage = Limited({"requests_per_minute": 1})
    assert stage.status() == 200
    stage.advance(20.5)
    status, headers, body = told(stage.ask())
    assert (status, error_of(body)["code"], headers["retry-after"]) == (429, "rate_limit_exceeded", "40")
    assert "requests_per_minute is 1 per caller" in error_of(body)["message"]
    assert "x-should-retry" not in headers
    assert len(stage.upstream.calls) == 1
    stage.advance(39.5)
    assert stage.status() == 200


def test_whoever_has_to_wait_long_is_asked_not_to_retry() -> None:
    stage = Limited({"requests_per_day": 1})
    stage.status()
    assert told(stage.ask())[1]["x-should-retry"] == "false"


def test_a_limit_of_nothing_names_no_time() -> None:
    headers = told(Limited({"requests_per_day": 0}).ask())[1]
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


def test_the_head_is_enough_where_neither_tokens_nor_models_are_limited() -> None:
    stage = Limited({"concurrency": 0})
    head = request(body=b"x" * 100_000)[:-100_000]
    assert stage.client().say(head).heard().startswith(b"HTTP/1.1 429 ")


def test_every_answer_tells_how_its_caller_stands() -> None:
    stage = Limited({"requests_per_minute": 5, "tokens_per_day": 10000}, {"requests_per_hour": 3})
    client = stage.chat(max_tokens=56)
    stage.answer()
    assert limits_of(told(client)[1]) == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "1h0m0s",
        "x-ratelimit-limit-tokens": "10000",
        "x-ratelimit-remaining-tokens": "9930",
        "x-ratelimit-reset-tokens": "24h0m0s",
    }


def test_anthropic_clients_are_told_in_their_own_form() -> None:
    stage = Limited({"requests_per_minute": 1})
    stage.status()
    client = stage.ask({"model": "m", "max_tokens": 1, "messages": [TURN]}, "/v1/messages")
    status, headers, _ = told(client)
    assert (status, limits_of(headers)) == (
        429,
        {
            "anthropic-ratelimit-requests-limit": "1",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2025-06-15T15:07:40Z",
        },
    )


def test_a_provider_s_limits_are_told_under_other_names() -> None:
    stage = Limited({"requests_per_minute": 5})
    client = stage.ask()
    stage.call.head(200, JSON, (b"x-ratelimit-limit-requests", b"999")).body(b"{}", True)
    told_limits = limits_of(told(client)[1])
    assert told_limits["x-ratelimit-limit-requests"] == "5"
    assert told_limits["x-netrunner-upstream-x-ratelimit-limit-requests"] == "999"


def test_tokens_are_counted_by_what_the_provider_told() -> None:
    stage = Limited({"tokens_per_minute": 100})
    first = stage.chat(max_tokens=60)
    stage.answer(USAGE)
    assert limits_of(told(first)[1])["x-ratelimit-remaining-tokens"] == "26"
    second = stage.chat(max_tokens=10)
    assert limits_of(told_headers(stage, second))["x-ratelimit-remaining-tokens"] == "26"


def told_headers(stage: Limited, client: Client) -> dict[str, str]:
    stage.answer(USAGE)
    return told(client)[1]


def test_an_answer_that_nobody_bounded_is_expected_to_be_of_usual_length() -> None:
    stage = Limited({"tokens_per_minute": 1000, "output_tokens": 300})
    assert limits_of(told_headers(stage, stage.chat()))["x-ratelimit-remaining-tokens"] == "686"


def test_answers_that_failed_took_no_tokens() -> None:
    stage = Limited({"tokens_per_minute": 100})
    stage.chat(max_tokens=80)
    stage.answer(status=500)
    stage.chat(max_tokens=80)
    assert len(stage.upstream.calls) == 2


def test_a_request_larger_than_the_limit_waits_for_an_empty_window() -> None:
    stage = Limited({"tokens_per_minute": 10})
    assert told_headers(stage, stage.chat(max_tokens=5000))["x-ratelimit-remaining-tokens"] == "0"
    assert told(stage.chat(max_tokens=1))[0] == 429


def test_one_at_a_time_lets_the_next_in_when_the_first_has_ended() -> None:
    stage = Limited({"concurrency": 1})
    stage.ask()
    assert told(stage.ask())[1]["retry-after"] == "1"
    stage.answer()
    assert stage.status() == 200


def test_a_client_that_leaves_gives_its_place_back() -> None:
    stage = Limited({"concurrency": 1})
    stage.ask().settle()
    assert stage.status() == 200


def test_what_another_limit_refuses_does_not_count() -> None:
    stage = Limited({"requests_per_hour": 2}, {"requests_per_minute": 1})
    stage.status()
    for _ in range(3):
        assert told(stage.ask())[0] == 429
    stage.advance(60)
    assert stage.status() == 200


def test_what_no_provider_was_asked_for_does_not_count() -> None:
    stage = Limited({"requests_per_minute": 1})
    assert told(stage.ask({"model": "unknown"}))[0] == 404
    assert stage.status() == 200


def test_addresses_are_counted_apart() -> None:
    stage = Limited({"requests_per_minute": 1, "per": "address"})

    def status(address: Any) -> int:
        client = stage.client(peer=address)
        client.say(request(body={"model": "m", "messages": []}))
        if stage.upstream.calls and not stage.call.ended:
            stage.answer()
            stage.call.ended = True
        return told(client)[0]

    assert status(IPv4Address("TCP", "10.9.9.1", 1)) == 200
    assert status(IPv4Address("TCP", "10.9.9.1", 2)) == 429
    assert status(IPv4Address("TCP", "10.9.9.2", 1)) == 200
    assert status(IPv6Address("TCP", "2001:db8::1", 1)) == 200
    assert status(IPv6Address("TCP", "2001:db8::ffff", 1)) == 429
    assert status(IPv6Address("TCP", "2001:db8:0:1::1", 1)) == 200


def test_models_are_counted_apart() -> None:
    stage = Limited({"requests_per_minute": 1, "per": "model"})
    assert [stage.status(body={"model": model}) for model in ("m", "m", "alias")] == [200, 429, 200]


def test_all_requests_are_counted_together() -> None:
    stage = Limited({"requests_per_minute": 1, "per": "global"})
    assert [stage.status(body={"model": model}) for model in ("m", "alias")] == [200, 429]


def test_raw_routes_are_limited_by_their_heads() -> None:
    stage = Limited({"requests_per_minute": 1}, routes={"/raw/": ("http://raw.example/", "keep")})
    first = stage.ask(b"x", "/raw/one")
    stage.answer()
    assert told(first)[1]["x-ratelimit-remaining-requests"] == "0"
    assert told(stage.ask(b"x", "/raw/one"))[0] == 429


QUEUE = {"queue": QueueSettings(max_wait_s=10, max_waiting=2)}


def test_a_request_may_wait_for_its_turn() -> None:
    stage = Limited({"min_gap_s": 4, **QUEUE})
    stage.ask(), stage.ask(), stage.ask()
    for began in (1, 2, 3):
        assert len(stage.upstream.calls) == began
        stage.advance(4)


def test_who_came_first_goes_first_as_places_are_given_back() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    for name in ("second", "third"):
        stage.ask({"model": "m", "user": name})
    for name in ("second", "third"):
        stage.answer()
        assert json.loads(stage.call.sent_body)["user"] == name


def test_who_waits_too_long_is_refused() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    late = stage.ask()
    for _ in range(10):
        assert late.heard() == b""
        stage.advance(1)
    assert told(late)[0] == 429
    stage.answer()
    assert stage.status() == 200


def test_who_waited_behind_others_is_told_what_all_of_them_wait_for() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    waiting = [stage.ask(), stage.ask()]
    stage.advance(10)
    for one in waiting:
        assert "the limit concurrency is 1 per caller" in error_of(told(one)[2])["message"]


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    stage = Limited({"requests_per_minute": 1, **QUEUE})
    stage.status()
    assert told(stage.ask())[0] == 429


def test_a_full_line_refuses_at_once() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    waiting = [stage.ask(), stage.ask()]
    assert told(stage.ask())[0] == 429
    stage.advance(10)
    assert [told(one)[0] for one in waiting] == [429, 429]


def test_who_leaves_the_line_takes_no_turn() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    stage.ask({"model": "m", "user": "gone"}).settle()
    stage.ask({"model": "m", "user": "here"})
    stage.answer()
    assert json.loads(stage.call.sent_body)["user"] == "here"
    stage.answer()
    assert [record.outcome for record in stage.records] == ["client_gone", "done", "done"]
    assert stage.status() == 200
    assert stage.time.getDelayedCalls() == []


def test_who_closes_in_the_line_has_left_it() -> None:
    stage = Limited({"concurrency": 1, **QUEUE})
    stage.ask()
    leaves = stage.ask()
    leaves.finish()
    assert leaves.transport.aborted
    leaves.settle()
    assert [record.outcome for record in stage.records] == ["client_gone"]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({}, "expected at least one limit"),
        ({"requests_per_minute": 9, "requests_per_hour": 5}, "which requests_per_hour of 5 never lets happen"),
        ({"windows": [{"length_s": 60.0, "requests": 1}], "requests_per_minute": 2}, "are the same window"),
        ({"windows": [{"length_s": 1.0}]}, "counts neither"),
    ],
)
def test_limits_that_make_no_sense_are_told(section: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        plugin.parse(FakeSection(section))


def test_windows_of_any_length_can_be_combined() -> None:
    windows = (WindowSettings(length_s=1, requests=1), WindowSettings(length_s=10, requests=3))
    stage = Limited({"windows": windows})
    statuses = []
    for _ in range(12):
        statuses.append(stage.status())
        stage.advance(0.5)
    assert statuses == [200, 429, 200, 429, 200, 429, 429, 429, 429, 429, 429, 429]
