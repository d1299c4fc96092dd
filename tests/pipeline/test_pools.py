"""A model with several targets, as its callers see them: who is asked, and who is when that fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.claims import Claim
from netrunner.errors import UpstreamError
from netrunner.routing.table import Candidate
from netrunner.settings import Health, Limits
from netrunner.values import Attempt
from tests.support.client import Answer, answers
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, UpstreamCall, error_of

ONE, TWO = Candidate("up", "one", 1), Candidate("other", "two", 2)
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
FAILURE = b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}'
CHAT = {"model": "m", "messages": []}


def staged(*candidates: Candidate, **kw: Any) -> Stage:
    return Stage(models={"m": candidates or (ONE, TWO)}, **kw)


def model_of(call: UpstreamCall) -> str:
    model: str = json.loads(call.sent_body)["model"]
    return model


def asked(stage: Stage) -> list[str]:
    """Return the models that were asked so far, in order."""
    return [model_of(call) for call in stage.upstream.calls]


def told(client: Any) -> Answer:
    (answer,) = answers(client.heard(), b"POST")
    return answer


def unsent() -> UpstreamError:
    error = UpstreamError("refused")
    error.sent = False
    return error


def tried(stage: Stage) -> list[tuple[str, int | None, str | None, bool]]:
    attempts: list[Attempt] = stage.record().attempts
    return [(one.model, one.status, one.error, one.possibly_billed) for one in attempts]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 529])
def test_an_error_answer_leads_to_the_next_target(status: int) -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(status, JSON).body(FAILURE, True)
    assert asked(stage) == ["one", "two"]
    stage.call.head(200, JSON).body(ANSWER, True)
    answer = told(client)
    assert (answer.status, answer.body) == (200, ANSWER)
    record = stage.record()
    assert (record.outcome, record.status, record.error, record.upstream_model) == ("done", 200, None, "two")
    assert [one.status for one in record.attempts] == [status, 200]
    assert record.attempts[0].error is not None


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_the_callers_fault_is_told_at_once(status: int) -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(status, JSON).body(FAILURE, True)
    assert asked(stage) == ["one"]
    answer = told(client)
    assert (answer.status, answer.body) == (status, FAILURE)
    assert stage.targets.known("up", "one").state(0.0) == "closed"


def test_the_last_error_is_told_as_it_came_and_clients_need_not_go_on() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.head(500, JSON).body(b'{"error":{"message":"first"}}', True)
    stage.call.head(503, JSON).body(b'{"error":{"message":"last"}}', True)
    answer = told(client)
    assert (answer.status, answer.body) == (503, b'{"error":{"message":"last"}}')
    assert answer.headers[b"x-should-retry"] == b"false"
    assert asked(stage) == ["one", "two"]


def test_an_error_as_the_first_event_of_a_stream_leads_to_the_next_target() -> None:
    stage = staged()
    client = stage.ask({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"overloaded","code":503}}\n\n')
    assert asked(stage) == ["one", "two"]
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    answer = told(client)
    assert (answer.status, answer.body) == (200, EVENT + DONE)


def test_nothing_is_tried_again_once_an_event_is_out() -> None:
    stage = staged()
    client = stage.ask({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(EVENT)
    stage.call.fail()
    assert asked(stage) == ["one"]
    assert client.heard().count(b'"content":"a"') == 1
    assert stage.record().outcome == "upstream_truncated"
    assert stage.targets.known("up", "one").failures == 1


def test_an_unsent_request_goes_to_the_next_target() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.fail(unsent())
    stage.call.head(200, JSON).body(ANSWER, True)
    assert told(client).status == 200
    assert tried(stage) == [
        ("one", None, "upstream_connection_failed", False),
        ("two", 200, None, False),
    ]


def test_a_sent_and_unanswered_request_goes_nowhere_else_unless_it_may() -> None:
    stage = staged()
    client = stage.ask()
    stage.call.fail()
    assert asked(stage) == ["one"]
    assert told(client).status == 502
    assert tried(stage) == [("one", None, "upstream_truncated", False)]


@pytest.mark.parametrize(
    "empty",
    [
        b'{"choices":[]}',
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}',
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":null},"finish_reason":null}]}',
    ],
)
@pytest.mark.parametrize("repair", [False, True])
def test_an_empty_answer_is_an_error_and_the_next_target_is_asked(empty: bytes, repair: bool) -> None:
    stage = staged(repair=repair)
    client = stage.ask()
    stage.call.head(200, JSON).body(empty, True)
    assert asked(stage) == ["one", "two"]
    stage.call.head(200, JSON).body(empty, True)
    answer = told(client)
    code = error_of(answer.body)["code"]
    assert (answer.status, code in ("empty_answer", "upstream_invalid_response")) == (502, True)
    assert [one[2:] for one in tried(stage)] == [(code, True), (code, False)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
         "tool_calls"),
        ({"content": ""}, "length"),
        ({"content": ""}, "content_filter"),
        ({"content": "", "reasoning_content": "hm"}, "stop"),
        ({"content": None, "refusal": "no"}, "stop"),
    ],
)  # fmt: skip
def test_an_answer_without_text_is_one_if_it_holds_something_else_or_says_why(
    message: dict[str, Any], reason: str
) -> None:
    stage = staged()
    client = stage.ask()
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    body = json.dumps({"choices": [choice]}).encode()
    stage.call.head(200, JSON).body(body[:20]).body(body[20:], True)
    answer = told(client)
    assert (answer.status, answer.body) == (200, body)
    assert asked(stage) == ["one"]


def test_an_empty_answer_of_a_model_with_one_target_goes_on_as_it_came() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, JSON).body(b'{"choices":[]}', True)
    assert told(client).body == b'{"choices":[]}'


def test_the_next_target_may_speak_another_dialect() -> None:
    stage = staged(other="anthropic")
    client = stage.ask({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True})
    stage.call.head(500, JSON).body(FAILURE, True)
    assert stage.call.request.target == b"/v1/messages"
    assert json.loads(stage.call.sent_body)["model"] == "two"
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "x", "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta,
    ]
    sent = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    stage.call.head(200, SSE).body(b"".join(sent))
    assert b'"content":"hello"' in client.heard()


def test_a_translated_request_asks_for_a_stream_again_after_an_answer_that_was_none() -> None:
    stage = staged()
    asking = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    client = stage.ask(asking, "/v1/messages")
    stage.call.head(200, JSON).body(b'{"choices":[]}', True)
    assert json.loads(stage.call.sent_body)["stream"] is True
    stage.call.head(200, SSE).body(EVENT)
    assert b"text_delta" in client.heard()


def test_a_target_that_failed_is_asked_last_for_a_while() -> None:
    stage = staged()
    stage.ask()
    stage.call.head(500, JSON).body(FAILURE, True)
    stage.call.head(200, JSON).body(ANSWER, True)
    stage.ask()
    assert asked(stage) == ["one", "two", "two"]
    stage.clock.advance(60.0)
    stage.ask()
    assert asked(stage)[3:] == ["one"]


def test_a_target_that_says_when_to_come_again_is_asked_last_until_then() -> None:
    stage = staged()
    stage.ask()
    stage.call.head(429, JSON, (b"retry-after", b"7")).body(FAILURE, True)
    stage.ask()
    stage.clock.advance(7.0)
    stage.ask()
    assert asked(stage) == ["one", "two", "two", "one"]


def test_a_breaker_opens_after_five_failures_in_a_row_and_lets_one_request_through_now_and_then() -> None:
    stage = staged(health=Health(pause_s=0.0))
    for _ in range(6):
        stage.ask()
        if model_of(stage.call) == "one":
            stage.call.fail(unsent())
        stage.call.head(200, JSON).body(ANSWER, True)
    assert asked(stage).count("one") == 5
    for _ in range(40):
        stage.clock.advance(1.0)
        for _ in range(3):
            stage.ask()
            if model_of(stage.call) == "one":
                stage.call.head(503, JSON).body(FAILURE, True)
            stage.call.head(200, JSON).body(ANSWER, True)
    assert asked(stage).count("one") == 7
    assert {record.status for record in stage.records} == {200}
    stage.clock.advance(10.0)
    stage.ask()
    stage.call.head(200, JSON).body(ANSWER, True)
    stage.ask()
    assert asked(stage)[-2:] == ["one", "one"]


def test_a_model_of_one_target_is_asked_on_however_often_it_fails() -> None:
    stage = staged(ONE)
    for _ in range(10):
        stage.ask()
        stage.call.head(503, JSON).body(FAILURE, True)
    assert len(asked(stage)) == 10
    assert stage.targets.known("up", "one").state(0.0) == "open"


def test_its_breaker_answers_for_it_if_health_says_so() -> None:
    stage = staged(ONE, health=Health(alone=True))
    for _ in range(5):
        stage.ask()
        stage.call.head(503, JSON).body(FAILURE, True)
    answer = told(stage.ask())
    assert (answer.status, error_of(answer.body)["code"]) == (503, "model_selection_error")
    assert answer.headers[b"retry-after"] == b"30"
    assert len(asked(stage)) == 5


def test_a_body_that_no_target_takes_is_refused_before_anybody_is_called() -> None:
    stage = staged(Candidate("up", "one", max_request_bytes=10), Candidate("other", "two", max_request_bytes=20))
    answer = told(stage.ask())
    assert (answer.status, error_of(answer.body)["code"]) == (503, "model_selection_error")
    assert answer.headers[b"x-should-retry"] == b"false"
    assert asked(stage) == []


def limited(provider: str, model: str, **limits: Any) -> Candidate:
    return Candidate(provider, model, claims=(Claim("target", model, Limits(**limits)),))


def test_limited_targets_are_passed_over_and_the_least_wait_is_told_when_all_are() -> None:
    stage = staged(limited("up", "one", requests_per_hour=1), limited("other", "two", requests_per_minute=1))
    for _ in range(2):
        stage.ask()
        stage.call.head(200, JSON).body(ANSWER, True)
    assert asked(stage) == ["one", "two"]
    stage.clock.advance(10.0)
    answer = told(stage.ask())
    assert (answer.status, error_of(answer.body)["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers[b"retry-after"] == b"50"
    assert len(asked(stage)) == 2


def test_places_in_a_limit_are_given_back_however_an_attempt_ends() -> None:
    stage = staged(limited("up", "one", concurrency=1), limited("other", "two", concurrency=1))
    first = stage.ask()
    stage.call.fail(unsent())
    assert asked(stage) == ["one", "two"]
    first.settle()
    stage.ask()
    stage.call.head(200, JSON).body(ANSWER, True)
    stage.ask()
    stage.call.head(500, JSON).body(FAILURE, True)
    stage.call.head(500, JSON).body(FAILURE, True)
    assert stage.pipeline.inflight == {}
    assert [target.in_flight for target in stage.targets] == [0, 0]
    both = [stage.ask(), stage.ask()]
    assert [told(one).status for one in [stage.ask()]] == [429]
    assert len(both) == 2


def test_an_unsent_attempt_does_not_count_against_a_limit() -> None:
    stage = staged(limited("up", "one", requests_per_hour=1), TWO, health=Health(pause_s=0.0))
    stage.ask()
    stage.call.fail(unsent())
    stage.call.head(200, JSON).body(ANSWER, True)
    stage.ask()
    assert asked(stage) == ["one", "two", "one"]


def test_the_limit_of_a_model_counts_requests_not_tries() -> None:
    stage = staged(claims={"m": Claim("model", "m", Limits(requests_per_minute=2, concurrency=1))})
    for _ in range(2):
        stage.ask()
        stage.call.head(500, JSON).body(FAILURE, True)
        stage.call.head(200, JSON).body(ANSWER, True)
    answer = told(stage.ask())
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"60")
    assert answer.headers[b"x-ratelimit-limit-requests"] == b"2"
    assert "model m" in error_of(answer.body)["message"]
