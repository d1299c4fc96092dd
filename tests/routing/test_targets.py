"""What is known of a target: its breaker, its pause, its latency."""

from __future__ import annotations

import pytest

from netrunner.routing.targets import MAX_PAUSE_S, Target, Targets, Verdict
from netrunner.settings import Health


def failed(times: int, health: Health = Health(), verdict: Verdict = Verdict.DOWN) -> Target:  # noqa: B008
    target = Target("p", "m", health)
    for _ in range(times):
        target.tell(verdict, 0.0)
    return target


def test_a_breaker_opens_after_five_failures_and_lets_one_request_through_each_ten_seconds() -> None:
    assert failed(4).state(0.0) == "paused"
    target = failed(5)
    assert [target.state(0.0), target.state(29.9), target.state(30.0)] == ["open", "open", "probing"]
    target.begin(30.0)
    target.tell(Verdict.DOWN, 30.5)
    assert [target.admits(30.0), target.admits(39.9), target.admits(40.0)] == [False, False, True]
    target.begin(40.0)
    target.answered()
    assert target.state(40.0) == "closed"
    assert failed(4).failures == 4


def test_only_failures_in_a_row_count_and_only_of_the_kind_that_tells_of_a_server_that_is_down() -> None:
    target = failed(4)
    target.answered()
    target.tell(Verdict.DOWN, 0.0)
    assert target.state(0.0) == "paused"
    assert failed(50, verdict=Verdict.POOR).state(0.0) == "paused"
    assert failed(50, Health(failures=0)).state(0.0) == "paused"


def test_a_pause_lasts_as_long_as_the_provider_says_but_not_for_ever() -> None:
    for told_s, lasts_s in ((None, 60.0), (7.0, 7.0), (1e9, MAX_PAUSE_S)):
        target = failed(0)
        target.tell(Verdict.POOR, 100.0, told_s)
        assert target.paused_until == 100.0 + lasts_s
    target.answered()
    assert target.state(0.0) == "closed"
    assert failed(1, Health(pause_s=0.0)).state(0.0) == "closed"


def test_latency_is_a_moving_average() -> None:
    target = failed(0)
    for latency_s in (1.0, 2.0):
        target.answered(latency_s)
    assert target.latency_s == pytest.approx(1.2)


def test_a_look_lets_the_next_request_through_or_counts_as_a_failure() -> None:
    target = failed(5)
    target.seen(True, 3.0)
    assert (target.state(3.0), target.failures) == ("probing", 5)
    target = failed(4)
    target.seen(False, 3.0)
    assert target.state(3.0) == "open"


def test_what_is_known_outlives_a_reload_and_what_is_no_longer_named_does_not() -> None:
    targets = Targets()
    targets.keep([("p", "m"), ("p", "n")], {"p": Health()})
    targets.known("p", "m").tell(Verdict.DOWN, 0.0)
    budget = targets.budget("p")
    targets.keep([("p", "m"), ("q", "n")], {"p": Health(failures=1), "q": Health()})
    assert [(one.provider, one.model, one.failures) for one in targets] == [("p", "m", 1), ("q", "n", 0)]
    assert targets.known("p", "m").health.failures == 1
    assert targets.budget("p") is budget
