"""What the filter ``retry`` has the path of an exchange try again, and when."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import Overloaded
from netrunner.filters.retry import Retry, RetrySettings
from netrunner.routing.table import Candidate
from netrunner.settings import Health
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Outcome
from tests.pipeline.test_pools import ANSWER, CHAT, FAILURE, ONE, TWO, asked, told, unsent
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, error_of


def staged(*candidates: Candidate, health: Health = Health(pause_s=0.0), **settings: Any) -> Stage:  # noqa: B008
    given = {"jitter": 0.0, **settings}
    retry = Retry(RetrySettings(**given), FakeEnvironment())
    return Stage(retry, models={"m": candidates or (ONE,)}, health=health)


def test_the_same_target_is_asked_again_after_waits_that_double() -> None:
    stage = staged(attempts=4, base_delay_s=1.0, max_delay_s=3.0)
    client = stage.ask()
    for wait_s in (1.0, 2.0, 3.0):
        stage.call.head(503, JSON).body(FAILURE, True)
        before = len(asked(stage))
        stage.clock.advance(wait_s - 0.01)
        assert len(asked(stage)) == before
        stage.clock.advance(0.01)
        assert len(asked(stage)) == before + 1
    stage.call.head(503, JSON).body(FAILURE, True)
    answer = told(client)
    assert (answer.status, answer.headers[b"x-should-retry"]) == (503, b"false")
    assert [one.status for one in stage.record().attempts] == [503] * 4


def test_chance_makes_waits_longer_or_shorter_by_the_jitter_at_most() -> None:
    stage = staged(attempts=2, base_delay_s=10.0, jitter=0.5)
    stage.ask()
    stage.call.head(503, JSON).body(FAILURE, True)
    stage.clock.advance(4.99)
    assert len(asked(stage)) == 1
    stage.clock.advance(10.02)
    assert len(asked(stage)) == 2


@pytest.mark.parametrize(("status", "again"), [(400, False), (401, False), (404, False), (429, True), (500, True)])
def test_only_what_may_go_better_is_tried_again(status: int, again: bool) -> None:
    stage = staged(base_delay_s=0.0)
    stage.ask()
    stage.call.head(status, JSON).body(FAILURE, True)
    stage.clock.advance(0)
    assert len(asked(stage)) == (2 if again else 1)


def test_a_failed_connection_is_tried_again() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.fail(unsent())
    stage.clock.advance(1.0)
    stage.call.head(200, JSON).body(ANSWER, True)
    assert told(client).status == 200


@pytest.mark.parametrize(("unanswered", "calls"), [("fail", ["one"]), ("next", ["one", "two"]), ("again", ["one"] * 2)])
def test_an_unanswered_request_is_sent_again_only_as_the_filter_says(unanswered: str, calls: list[str]) -> None:
    stage = staged(ONE, TWO, unanswered=unanswered)
    stage.ask()
    stage.call.fail()
    stage.clock.advance(1.0)
    assert asked(stage) == calls
    (exchange,) = stage.pipeline.inflight.values() or [None]
    billed = [one.possibly_billed for one in (stage.record() if exchange is None else exchange).attempts]
    assert billed == [False] if unanswered == "fail" else [True, False]


def test_a_providers_own_wait_is_kept_to() -> None:
    stage = staged()
    stage.ask()
    stage.call.head(429, JSON, (b"retry-after", b"7")).body(FAILURE, True)
    stage.clock.advance(6.9)
    assert len(asked(stage)) == 1
    stage.clock.advance(0.1)
    assert len(asked(stage)) == 2


def test_a_wait_beyond_the_longest_is_told_to_the_caller_at_once() -> None:
    stage = staged(max_delay_s=30.0)
    client = stage.ask()
    stage.call.head(429, JSON, (b"retry-after", b"31")).body(FAILURE, True)
    assert told(client).headers[b"retry-after"] == b"31"


def test_nobody_waits_for_a_provider_while_there_is_another() -> None:
    stage = staged(ONE, TWO)
    stage.ask()
    stage.call.head(429, JSON, (b"retry-after", b"7")).body(FAILURE, True)
    assert asked(stage) == ["one", "two"]


def test_each_target_is_tried_as_often_as_the_filter_says_before_the_next() -> None:
    stage = staged(ONE, TWO, attempts=2, base_delay_s=1.0)
    client = stage.ask()
    for _ in range(4):
        stage.call.head(500, JSON).body(FAILURE, True)
        stage.clock.advance(1.0)
    assert asked(stage) == ["one", "one", "two", "two"]
    assert told(client).status == 500


def test_a_stream_that_fails_before_its_first_event_is_tried_again() -> None:
    stage = staged()
    client = stage.ask({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"overloaded","code":503}}\n\n')
    stage.clock.advance(1.0)
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    assert told(client).body == EVENT + DONE


def test_an_empty_answer_of_the_only_target_is_tried_again() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(200, JSON).body(b'{"choices":[]}', True)
    stage.clock.advance(1.0)
    stage.call.head(200, JSON).body(ANSWER, True)
    assert told(client).body == ANSWER


def test_the_load_of_retries_stays_within_a_fifth_and_never_storms() -> None:
    stage = staged(attempts=3, base_delay_s=0.0)
    for _ in range(200):
        client = stage.ask()
        while not client.heard():
            stage.call.head(503, JSON).body(FAILURE, True)
            stage.clock.advance(0)
    assert len(asked(stage)) == 240


def test_a_client_that_leaves_ends_the_wait() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(503, JSON).body(FAILURE, True)
    client.settle()
    stage.clock.advance(5.0)
    assert len(asked(stage)) == 1
    assert (stage.record().outcome, stage.pipeline.waiting) == ("client_gone", {})


def test_an_exchange_that_is_stopped_does_not_wait_any_more() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(503, JSON).body(FAILURE, True)
    (exchange,) = stage.pipeline.inflight.values()
    exchange.work.stop(Outcome.CANCELLED, Overloaded("Stopped.", code="cancelled"))
    stage.clock.advance(5.0)
    assert len(asked(stage)) == 1
    assert (told(client).status, stage.record().outcome) == (503, "cancelled")


def test_nobody_waits_while_the_daemon_drains() -> None:
    stage = staged()
    waiting = stage.ask()
    stage.call.head(503, JSON).body(FAILURE, True)
    running = stage.ask()
    stage.pipeline.hurry()
    assert told(waiting).status == 503
    stage.call.head(503, JSON).body(FAILURE, True)
    assert told(running).status == 503
    assert not stage.pipeline.waiting
    assert not stage.pipeline.inflight
    assert {record.outcome for record in stage.records} <= {"done", "upstream_failed"}


def test_clients_are_told_the_last_error_when_every_target_has_failed_in_its_own_way() -> None:
    stage = staged(ONE, TWO, attempts=1)
    client = stage.ask()
    stage.call.head(500, JSON).body(FAILURE, True)
    stage.call.fail(unsent())
    answer = told(client)
    assert (answer.status, error_of(answer.body)["code"]) == (502, "upstream_connection_failed")
