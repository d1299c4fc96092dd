"""Every exchange ends exactly once, whatever happens to it and whenever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.errors import BadRequest, Overloaded, UpstreamError
from netrunner.interfaces import (
    IAttemptPhase,
    IFinishPhase,
    IHeadPhase,
    IRequestPhase,
    IResponsePhase,
)
from netrunner.pipeline.exchange import EndedTwice
from netrunner.values import Answer, Outcome, ResponseHead
from tests.support.client import Client, answers
from tests.support.logs import FailureLog
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, error_of

PHASES = ["head", "request", "attempt", "response"]


@implementer(IHeadPhase, IRequestPhase, IAttemptPhase, IResponsePhase, IFinishPhase)
class Filter:
    """Does what the test says in one phase, and writes down every phase it was asked in.

    Args:
        phase: The phase that ``act`` is called in; its result is awaited if it is a Deferred, and returned.
    """

    def __init__(self, phase: str = "", act: Callable[[], Any] = lambda: None) -> None:
        self.asked: list[str] = []
        self.outcomes: list[Outcome] = []
        self._phase = phase
        self._act = act

    async def _in(self, phase: str) -> Any:
        self.asked.append(phase)
        if phase != self._phase:
            return None
        result = self._act()
        return await result if isinstance(result, Deferred) else result

    async def on_head(self, exchange: Any) -> None:
        """Act."""
        await self._in("head")

    async def on_request(self, exchange: Any) -> Any:
        """Act."""
        return await self._in("request")

    async def on_attempt(self, exchange: Any, request: Any) -> Any:
        """Act."""
        return await self._in("attempt")

    async def on_response(self, exchange: Any, head: Any) -> Any:
        """Act."""
        return await self._in("response")

    def on_finish(self, exchange: Any, outcome: Outcome) -> None:
        """Note it."""
        self.outcomes.append(outcome)


def broken() -> None:
    raise ValueError("a filter's own fault")


def refusing() -> None:
    raise BadRequest("Not so.", code="not_so")


def ask(stage: Stage, stream: bool = True) -> Client:
    """Ask, and let the upstream answer whole if it was reached."""
    client = stage.ask()
    if stage.upstream.calls:
        stage.call.head(200, SSE if stream else JSON).body(EVENT if stream else b"{}").body(DONE, True)
    return client


def settled(stage: Stage, one: Filter, outcome: str) -> None:
    """Assert that there was one end and nothing is left."""
    assert stage.record().outcome == outcome
    assert [found.value for found in one.outcomes] == [outcome]
    for call in stage.upstream.calls:
        assert call.aborted or call.receiver._state.name == "ENDED"


def test_a_second_end_raises() -> None:
    stage = Stage()
    stage.ask()
    (exchange,) = stage.pipeline.inflight.values()
    exchange.work.stop(Outcome.CANCELLED, Overloaded("ended", code="cancelled"))
    with pytest.raises(EndedTwice):
        exchange.end(Outcome.DONE, 200)
    assert stage.record().outcome == "cancelled"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("phase", PHASES)
def test_a_filter_that_raises_is_a_clean_500(phase: str, late: bool, logged_failures: FailureLog) -> None:
    waiting: Deferred[None] = Deferred()
    one = Filter(phase, lambda: waiting.addCallback(lambda _: broken()) if late else broken())
    stage = Stage(one)
    client = ask(stage)
    if late:
        assert client.heard() == b""
        waiting.callback(None)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (500, "filter_failed")
    settled(stage, one, "refused")
    assert len(logged_failures.flush(ValueError)) == 1


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("phase", PHASES)
def test_a_filter_may_refuse_in_every_phase(phase: str, late: bool) -> None:
    waiting: Deferred[None] = Deferred()
    one = Filter(phase, lambda: waiting.addCallback(lambda _: refusing()) if late else refusing())
    stage = Stage(one)
    client = ask(stage)
    if late:
        waiting.callback(None)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (400, "not_so")
    settled(stage, one, "refused")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_a_filter_that_takes_its_time_loses_nothing(phase: str, stream: bool) -> None:
    waiting: Deferred[None] = Deferred()
    one = Filter(phase, lambda: waiting)
    stage = Stage(one)
    client = ask(stage, stream)
    assert client.heard() == b""
    waiting.callback(None)
    if phase != "response":
        stage.call.head(200, SSE if stream else JSON).body(EVENT if stream else b"{}").body(DONE, True)
    (answer,) = answers(client.heard(), b"POST")
    assert answer.body == (EVENT if stream else b"{}") + DONE
    settled(stage, one, "done")


@pytest.mark.parametrize("phase", PHASES)
def test_a_client_may_leave_while_a_filter_takes_its_time(phase: str) -> None:
    waiting: Deferred[None] = Deferred()
    one, behind = Filter(phase, lambda: waiting), Filter()
    stage = Stage(one, behind)
    client = ask(stage)
    sent = len(stage.upstream.calls)
    client.settle()
    waiting.callback(None)
    settled(stage, one, "client_gone")
    assert stage.record().status == 499
    assert phase not in behind.asked
    assert len(stage.upstream.calls) == sent


@pytest.mark.parametrize("phase", PHASES[1:])
def test_an_operator_may_end_it_while_a_filter_takes_its_time(phase: str) -> None:
    waiting: Deferred[None] = Deferred()
    one, behind = Filter(phase, lambda: waiting), Filter()
    stage = Stage(one, behind)
    client = ask(stage)
    (exchange,) = stage.pipeline.inflight.values()
    exchange.work.stop(Outcome.CANCELLED, Overloaded("ended", code="cancelled"))
    waiting.callback(None)
    assert answers(client.heard(), b"POST")[0].status == 503
    assert phase not in behind.asked
    settled(stage, one, "cancelled")


STEPS: list[Callable[[Stage], object]] = [
    lambda stage: None,
    lambda stage: stage.call.receiver.sent(False),
    lambda stage: stage.call.head(200, SSE),
    lambda stage: stage.call.body(EVENT[:5]),
    lambda stage: stage.call.body(EVENT[5:]),
    lambda stage: stage.call.body(EVENT),
    lambda stage: stage.call.body(DONE),
    lambda stage: stage.call.body(b"", True),
]


@pytest.mark.parametrize("fault", ["gone", "failed", "stopped", "all"])
@pytest.mark.parametrize("after", range(len(STEPS)))
def test_a_fault_after_any_step_of_an_answer_leaves_one_record_and_nothing_else(after: int, fault: str) -> None:
    one = Filter()
    stage = Stage(one)
    client = stage.ask()
    (exchange,) = stage.pipeline.inflight.values()
    work = exchange.work
    for step in STEPS[: after + 1]:
        step(stage)
    if fault in ("stopped", "all"):
        work.stop(Outcome.SHUT_DOWN, Overloaded("ended", code="shutting_down"))
    if fault in ("failed", "all"):
        stage.call.fail()
    if fault in ("gone", "all"):
        client.settle()
    committed, complete = after >= 4, after == len(STEPS) - 1
    expected = {
        "gone": "client_gone",
        "failed": "upstream_truncated" if committed else "upstream_failed",
        "stopped": "shut_down",
        "all": "shut_down",
    }[fault]
    settled(stage, one, "done" if complete else expected)


def test_an_answer_of_a_filter_is_sent_and_nobody_is_asked() -> None:
    one = Filter("request", lambda: Answer(203, [(b"x-from", b"cache")], b"kept"))
    stage = Stage(one)
    client = stage.ask()
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, answer.body, answer.headers[b"x-from"]) == (203, b"kept", b"cache")
    assert stage.upstream.calls == []
    settled(stage, one, "done")


@pytest.mark.parametrize(
    ("phase", "wrong"),
    [
        ("request", {"status": 200}),
        ("request", Answer(200, [("x", "y")], b"")),  # type: ignore[list-item]  # what a careless filter returns
        ("request", Answer(200, [], "text")),  # type: ignore[arg-type]  # the same
        ("request", Answer(99, [], b"")),
        ("request", Answer(200, None, b"")),  # type: ignore[arg-type]  # the same
        ("attempt", b"request"),
        ("response", ResponseHead(200, b"", [("x", "y")])),  # type: ignore[list-item]  # the same
        ("response", ResponseHead(101, b"", [])),
        ("response", 200),
    ],
)
def test_what_cannot_be_sent_is_a_clean_500(phase: str, wrong: Any) -> None:
    one = Filter(phase, lambda: wrong)
    stage = Stage(one)
    client = ask(stage)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (500, "filter_failed")
    settled(stage, one, "refused")


def test_phases_are_asked_in_the_order_of_the_filters_and_all_hear_the_end(logged_failures: FailureLog) -> None:
    order: list[tuple[str, str]] = []

    class Named(Filter):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._name = name

        async def _in(self, phase: str) -> None:
            order.append((phase, self._name))

        def on_finish(self, exchange: Any, outcome: Outcome) -> None:
            order.append(("finish", self._name))
            raise ValueError("every other filter hears it all the same")

    stage = Stage(Named("a"), Named("b"))
    ask(stage)
    assert order == [(phase, name) for phase in [*PHASES, "finish"] for name in "ab"]
    assert stage.record().outcome == "done"
    assert len(logged_failures.flush(ValueError)) == 2


def test_a_response_filter_sees_the_head_of_an_error_too() -> None:
    one = Filter("response", lambda: ResponseHead(418, b"Pot", [JSON]))
    stage = Stage(one)
    client = stage.ask()
    stage.call.head(404, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, answer.body) == (418, b"{}")
    settled(stage, one, "done")


def test_a_failure_while_a_filter_looks_at_the_head_is_told_at_once() -> None:
    waiting: Deferred[None] = Deferred()
    one = Filter("response", lambda: waiting)
    stage = Stage(one)
    client = stage.ask()
    stage.call.head(200, SSE).fail(UpstreamError("broke off"))
    assert answers(client.heard(), b"POST")[0].status == 502
    waiting.callback(None)
    settled(stage, one, "upstream_failed")


def test_an_upstream_is_held_while_a_filter_looks_at_its_head() -> None:
    waiting: Deferred[None] = Deferred()
    stage = Stage(Filter("response", lambda: waiting))
    stage.ask()
    stage.call.head(200, SSE)
    assert stage.call.paused
    waiting.callback(None)
    assert not stage.call.paused


def test_too_many_exchanges_at_once_are_refused_and_recorded() -> None:
    stage = Stage(max_streams=1)
    stage.ask()
    (answer,) = answers(stage.ask().heard(), b"POST")
    assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
    assert stage.records[0].error == "too_many_streams"
    assert len(stage.pipeline.inflight) == 1
