"""Server-Timing: every answer tells where its time went, and the stages leave no gap."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.errors import Forbidden, UpstreamError
from netrunner.interfaces import IRequestPhase
from netrunner.pipeline.lag import INTERVAL_S, Lag
from netrunner.pipeline.stages import STAGES, ServerTiming
from netrunner.routing.table import Candidate
from netrunner.testing.fakes import FakeClock
from netrunner.values import ResponseHead
from tests.support.client import Client, answers
from tests.support.stage import EVENT, JSON, SSE, Stage, request

CHAT = {"model": "m", "messages": []}


@implementer(IRequestPhase)
class Waits:
    """Lets requests wait until the test lets them go, or refuses them."""

    def __init__(self) -> None:
        self.waiting: Deferred[None] = Deferred()

    async def on_request(self, exchange: Any) -> None:
        await self.waiting


def staged(*filters: Any, **kw: Any) -> Stage:
    stage = Stage(*filters, **kw)
    stage.pipeline.stages = ServerTiming(Lag(stage.clock), bool(filters))
    return stage


def fields(heard: bytes) -> list[str]:
    """Return every Server-Timing of one answer."""
    head = heard.partition(b"\r\n\r\n")[0].decode()
    return re.findall(r"^server-timing: ([^\r]*)", head, re.MULTILINE | re.IGNORECASE)


def told(heard: bytes) -> dict[str, float]:
    """Return the stages of an answer with one Server-Timing, in milliseconds."""
    (field,) = fields(heard)
    return {name: float(value) for name, value in re.findall(r"(\w+);dur=(-?[\d.]+)", field)}


def say_slowly(stage: Stage, seconds: float) -> Client:
    """Send a request whose body comes ``seconds`` after its head."""
    whole = request("/v1/chat/completions", CHAT)
    client = stage.client().say(whole[:-5])
    stage.clock.advance(seconds)
    return client.say(whole[-5:])


def test_each_stage_is_told_and_together_they_are_the_time_to_the_commit() -> None:
    waits = Waits()
    stage = staged(waits)
    client = say_slowly(stage, 0.001)
    stage.clock.advance(0.002)
    waits.waiting.callback(None)
    receiver = stage.call.receiver
    stage.clock.advance(0.004)
    receiver.sent(False)
    stage.clock.advance(0.008)
    receiver.head_received(ResponseHead(200, b"OK", [SSE]))
    stage.clock.advance(0.016)
    receiver.body_received(EVENT, False)
    stages = told(client.heard())
    assert stages == {
        "recv": 1.0, "filters": 2.0, "route": 0.0, "connect": 4.0, "upstream": 8.0, "hold": 16.0, "lag": 0.0
    }  # fmt: skip
    assert list(stages)[:-1] == [stage for stage, _ in STAGES]


def test_the_record_keeps_the_marks_of_the_stages() -> None:
    waits = Waits()
    stage = staged(waits)
    say_slowly(stage, 0.5)
    stage.clock.advance(0.25)
    waits.waiting.callback(None)
    stage.call.head(200, JSON).body(b"{}", True)
    assert stage.record().timings == {
        "body": 0.5, "filtered": 0.75, "routed": 0.75, "upstream_sent": 0.75, "first_byte": 0.75, "committed": 0.75,
        "last_byte": 0.75,
    }  # fmt: skip


def test_without_filters_their_stage_is_left_out() -> None:
    stage = staged()
    client = say_slowly(stage, 0.25)
    stage.call.head(200, JSON).body(b"{}", True)
    assert list(told(client.heard())) == ["recv", "route", "connect", "upstream", "hold", "lag"]


def test_an_answer_that_a_filter_made_ends_with_its_stage() -> None:
    waits = Waits()
    stage = staged(waits)
    client = say_slowly(stage, 0.001)
    stage.clock.advance(0.25)
    waits.waiting.errback(Forbidden("No."))
    assert told(client.heard()) == {"recv": 1.0, "filters": 250.0, "lag": 0.0}


def test_a_model_that_is_not_there_is_found_out_while_routing() -> None:
    client = staged().ask({"model": "none", "messages": []})
    assert list(told(client.heard())) == ["recv", "route", "lag"]


def test_a_refusal_at_the_head_tells_that_nothing_else_was_done() -> None:
    stage = staged(token="secret")
    assert list(told(stage.ask(CHAT).heard())) == ["recv", "lag"]


def test_a_connection_that_failed_is_the_time_of_connecting() -> None:
    stage = staged()
    client = stage.ask(CHAT)
    stage.clock.advance(0.25)
    stage.call.fail(UpstreamError("refused"))
    stages = told(client.heard())
    assert list(stages)[-2:] == ["connect", "lag"]
    assert stages["connect"] == 250.0


def test_attempts_that_failed_count_as_routing_and_nothing_is_negative() -> None:
    stage = staged(models={"m": (Candidate("up", "m"), Candidate("other", "n"))})
    client = stage.ask(CHAT)
    stage.call.receiver.sent(True)
    stage.clock.advance(0.25)
    unsent = UpstreamError("the warm connection was dead")
    unsent.sent = False
    stage.call.fail(unsent)
    stage.clock.advance(0.5)
    stage.call.fail(UpstreamError("refused"))
    assert told(client.heard()) == {"recv": 0.0, "route": 250.0, "connect": 500.0, "lag": 0.0}


def test_a_raw_route_tells_its_own_beside_that_of_its_server() -> None:
    stage = staged(routes={"/raw": ("http://raw.example", "keep")})
    client = stage.client().say(request("/raw", b""))
    stage.clock.advance(0.25)
    stage.call.head(200, (b"server-timing", b"db;dur=5"), (b"content-length", b"0")).body(b"", True)
    theirs, ours = fields(client.heard())
    assert theirs == "db;dur=5"
    assert ours.startswith("route;dur=0.000, connect;dur=250.000, ")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/v1/models/none"])
def test_what_is_answered_here_tells_it_too(path: str) -> None:
    stage = staged()
    assert list(told(stage.client().say(request(path)).heard())) == ["recv", "lag"]


def test_nothing_is_told_where_it_is_switched_off() -> None:
    stage = Stage()
    client = stage.ask(CHAT)
    stage.call.head(200, JSON).body(b"{}", True)
    heard = client.heard()
    assert answers(heard, b"POST")[0].status == 200
    assert fields(heard) == []
    assert "committed" not in stage.record().timings


def test_the_lag_is_that_of_the_last_probe() -> None:
    stage = Stage()
    lag = Lag(stage.clock)
    stage.pipeline.stages = ServerTiming(lag, False)
    lag.start()
    stage.clock.advance(INTERVAL_S + 0.5)
    assert told(stage.ask(CHAT, method="PUT").heard())["lag"] == 500.0


def test_lag_keeps_the_worst_of_the_last_minute_and_forgets_what_is_older() -> None:
    clock = FakeClock()
    lag = Lag(clock)
    lag.start()
    clock.advance(INTERVAL_S + 1.0)
    for _ in range(200):
        clock.advance(INTERVAL_S)
    assert lag.max_s == pytest.approx(1.0)
    assert (lag.p99_s, lag.last_s) == (0.0, 0.0)
    for _ in range(40):
        clock.advance(INTERVAL_S)
    assert lag.max_s == 0.0


def test_a_lag_that_is_stopped_leaves_nothing_behind() -> None:
    clock = FakeClock()
    lag = Lag(clock)
    lag.start()
    lag.start()
    assert len(clock.getDelayedCalls()) == 1
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
