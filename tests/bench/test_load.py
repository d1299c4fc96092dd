"""The load: when requests begin, what latencies count from, and how a run ends."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from netrunner.errors import UpstreamError
from netrunner.testing.fakes import FakeClock
from tests.support.bench import Server, load


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server() -> Server:
    return Server()


def over(done: Deferred[None]) -> bool:
    return done.called


def test_a_request_begins_when_another_has_ended(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=2, requests=3)
    done = run.run()
    assert [one.request.target for one in server.exchanges] == [b"/1", b"/2"]
    clock.advance(1.5)
    server.exchanges[1].answer()
    assert [one.request.target for one in server.exchanges] == [b"/1", b"/2", b"/3"]
    clock.advance(0.5)
    server.exchanges[0].answer()
    assert not over(done)
    server.exchanges[2].answer()
    assert over(done)
    assert (run.took_s, run.tally.requests, run.tally.latency.largest) == (2.0, 3, 2.0)


def test_with_a_rate_a_server_that_stalls_is_not_spared_what_it_held_up(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=1, requests=10, rate=10.0)
    done = run.run()
    clock.pump([0.1] * 10)  # It stalls for a second, in which nine more were due.
    for number in range(10):
        server.exchanges[number].answer()
    assert over(done)
    latency = run.tally.latency
    assert latency.smallest == pytest.approx(0.1)
    assert latency.largest == pytest.approx(1.0)
    assert latency.mean == pytest.approx(0.55)


def test_with_a_rate_requests_begin_whatever_became_of_those_before(clock: FakeClock, server: Server) -> None:
    load(clock, server, concurrency=99, requests=5, rate=2.0).run()
    clock.pump([0.5] * 3)
    assert len(server.exchanges) == 4


def test_a_run_ends_with_the_answers_to_what_began_in_its_time(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=1, duration_s=2.0)
    done = run.run()
    clock.advance(1.9)
    server.exchanges[0].answer()
    clock.advance(1.0)
    assert not over(done)
    server.exchanges[1].answer()
    assert over(done)
    assert (len(server.exchanges), run.tally.requests) == (2, 2)
    assert run.took_s == pytest.approx(2.9)


def test_a_run_whose_time_is_up_between_two_requests_ends(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=9, duration_s=1.0, rate=1.5)
    done = run.run()
    clock.advance(0.7)
    for exchange in server.exchanges:
        exchange.answer()
    assert over(done)
    assert run.tally.requests == 2
    assert clock.getDelayedCalls() == []


def test_an_interrupted_run_keeps_what_it_measured_and_gives_up_the_rest(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=2, requests=100, duration_s=60.0)
    done = run.run()
    clock.advance(1.0)
    server.exchanges[0].answer()
    run.interrupt()
    run.interrupt()
    assert over(done)
    assert (run.tally.requests, run.interrupted, run.in_flight, run.elapsed_s) == (1, True, 0, 1.0)
    assert [one.aborted for one in server.exchanges] == [False, True, True]
    assert clock.getDelayedCalls() == []


def test_requests_that_were_due_and_never_began_are_told(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=1, duration_s=1.0, rate=10.0)
    run.run()
    clock.advance(2.0)
    server.exchanges[0].answer()
    assert (run.tally.requests, run.missed) == (1, 9)


def test_a_request_that_fails_makes_room_for_the_next(clock: FakeClock, server: Server) -> None:
    run = load(clock, server, concurrency=1, requests=2)
    done = run.run()
    server.exchanges[0].receiver.failed(UpstreamError("no", code="upstream_connection_failed"))
    server.exchanges[1].answer(503)
    assert over(done)
    assert run.tally.errors == {"connection_failed": 1, "http_503": 1}
    assert run.tally.statuses == {503: 1}
