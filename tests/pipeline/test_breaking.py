"""What raises in a step of a turn ends its own exchange and connection, at once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netrunner.http.call import Call
from netrunner.http.flush import Flush
from netrunner.http.request import Request
from netrunner.http.site import Site
from netrunner.http.turn import ANSWER
from netrunner.interfaces import IResponseReceiver
from netrunner.pipeline import heads
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.relay import Relay
from netrunner.pipeline.run import Run
from netrunner.values import ResponseHead, UpstreamRequest
from tests.support.client import Client, answers
from tests.support.logs import FailureLog
from tests.support.stage import JSON, Stage, Upstream, error_of, request

SAID = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
CHAT = request(body={"model": "m", "messages": []})
SENT = request("/raw/x", b"", "Transfer-Encoding: chunked", method="POST")


class Turns(Stage):
    """A stage where one turn of the reactor brings what all clients and upstreams say until ``end_turn``."""

    def __init__(self, **kw: Any) -> None:
        super().__init__(repair=True, **kw)
        self._flush = Flush(self.clock)
        self.site.later = self._flush.later
        self.carried = Carried()
        self.pipeline.admit("up", self.pipeline.providers["up"].provider, self.carried)

    def end_turn(self) -> None:
        """End the turn."""
        self.clock.advance(0)

    def answer(self) -> None:
        """Answer everything that was asked, each in one piece."""
        for call, receiver in self.carried.waiting:
            receiver.sent(False)
            call.whole = receiver, ResponseHead(200, b"OK", [JSON]), SAID
            self._flush.later(ANSWER, call)
        self.carried.waiting = []


class Carried(Upstream):
    """Carries requests as a pool does."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Call, IResponseReceiver]] = []

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> Any:
        """Keep the call."""
        call = Call(None, request, receiver)  # type: ignore[arg-type]  # no pool: it is on its way
        self.waiting.append((call, receiver))
        return call


def fails_once(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, before: int = 0) -> None:
    """Let a function raise once, when it has been called ``before`` times."""
    real: Callable[..., Any] = getattr(where, name)
    left = [True] + [False] * before

    def broken(*arguments: Any, **kw: Any) -> Any:
        if left and left.pop():
            raise ZeroDivisionError
        return real(*arguments, **kw)

    monkeypatch.setattr(where, name, broken)


EACH_STEP = pytest.mark.parametrize(
    ("where", "name"),
    [(Request, "take"), (Run, "_attempt"), (Relay, "head_received"), (heads, "down"), (Run, "committed")],
    ids=["dispatch", "attempt", "answer", "commit", "committed"],
)


@EACH_STEP
def test_what_raises_in_a_step_is_a_500_at_once_and_the_others_of_the_turn_go_on(
    where: Any, name: str, monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns()
    clients = [stage.client().say(CHAT) for _ in range(3)]
    fails_once(monkeypatch, where, name, before=1)
    stage.end_turn()
    stage.answer()
    stage.end_turn()
    heard = [answers(client.heard(), b"POST")[0] for client in clients]
    assert [answer.status for answer in heard] == [200, 500, 200]
    assert error_of(heard[1].body)["code"] == "proxy_error"
    assert [client.is_over() for client in clients] == [False, True, False]
    assert stage.pipeline.inflight == {}
    assert sorted((one.outcome, one.status, one.error) for one in stage.records) == [
        ("done", 200, None),
        ("done", 200, None),
        ("refused", 500, "proxy_error"),
    ]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


@EACH_STEP
def test_where_not_even_an_error_can_be_written_the_connection_goes_and_the_record_is_closed(
    where: Any, name: str, monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns()
    client = stage.client().say(CHAT)
    fails_once(monkeypatch, where, name)
    monkeypatch.setattr(Request, "respond", lambda *_: 1 // 0)
    stage.end_turn()
    stage.answer()
    stage.end_turn()
    assert client.heard() == b""
    assert client.transport.aborted
    client.settle()
    record = stage.record()
    assert (record.outcome, record.status, record.error) == ("refused", 500, "proxy_error")
    assert len(logged_failures.flush(ZeroDivisionError)) >= 2


def test_an_answer_that_has_begun_is_cut_and_its_upstream_given_up(
    monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns(routes={"/raw/": ("http://raw.example/", "keep")})
    client = stage.client().say(SENT)
    stage.end_turn()
    stage.call.head(200).body(b"some")
    assert b"some" in client.heard()
    fails_once(monkeypatch, Request, "take")
    client.say(b"4\r\nmore\r\n")
    stage.end_turn()
    assert client.heard() == b""
    assert client.is_over()
    assert stage.call.aborted
    assert (stage.record().outcome, stage.record().error) == ("refused", "proxy_error")
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


def test_the_fault_of_a_pipelined_request_is_not_that_of_the_answer_before_it(
    monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns()
    client = stage.client().say(CHAT + CHAT)
    stage.end_turn()
    fails_once(monkeypatch, Request, "take")
    stage.answer()
    stage.end_turn()
    assert [answer.status for answer in answers(client.heard(), b"POST", b"POST")] == [200, 500]
    assert [(one.outcome, one.status) for one in stage.records] == [("done", 200), ("refused", 500)]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


def test_what_a_record_costs_its_exchange_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns()
    client = stage.client().say(CHAT)
    stage.end_turn()
    fails_once(monkeypatch, Exchange, "record")
    stage.answer()
    stage.end_turn()
    assert answers(client.heard(), b"POST")[0].status == 500
    assert client.is_over()
    assert stage.pipeline.inflight == {}
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


def test_a_connection_whose_bytes_belong_to_no_request_is_dropped(
    monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    stage = Turns()
    client: Client = stage.client().say(b"nonsense\r\n\r\n")
    fails_once(monkeypatch, Site, "refusal")
    stage.end_turn()
    assert client.transport.aborted
    assert len(logged_failures.flush(ZeroDivisionError)) == 1
