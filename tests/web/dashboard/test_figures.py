"""The sums of every minute."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.errors import StoreError
from netrunner.figures import is_failure
from netrunner.testing.fakes import FakeClock
from netrunner.values import Usage
from netrunner.web.dashboard.figures import MINUTES, Figures, total
from tests.support.dashboard import NOW_S, record
from tests.support.shelf import Log


def followed(*durations: float) -> Figures:
    figures = Figures(FakeClock(NOW_S))
    for number, duration_s in enumerate(durations):
        figures.ended(record(number, duration_s=duration_s))
    return figures


def test_an_exchange_counts_in_the_minute_of_its_end() -> None:
    clock = FakeClock(NOW_S)
    figures = Figures(clock)
    figures.ended(record(1))
    clock.advance(60)
    figures.ended(record(2, status=502, error="upstream_timeout", usage=None))
    before, now = figures.slots(2, 1)
    assert (before.requests, before.failures, before.tokens_in, before.tokens_out) == (1, 0, 24, 13)
    assert (now.requests, now.failures, now.tokens_in, now.tokens_out) == (1, 1, 0, 0)


def test_what_is_older_than_a_day_makes_room() -> None:
    clock = FakeClock(NOW_S)
    figures = Figures(clock)
    figures.ended(record(1))
    clock.advance(MINUTES * 60)
    figures.ended(record(2))
    assert total(figures.slots(MINUTES, 1)).requests == 1


def test_slots_of_several_minutes_hold_all_of_them() -> None:
    clock = FakeClock(NOW_S - NOW_S % 900)
    figures = Figures(clock)
    for _ in range(15):
        figures.ended(record(1))
        clock.advance(60)
    assert [slot.requests for slot in figures.slots(2, 15)] == [15, 0]


@pytest.mark.parametrize("seconds", [0.0005, 0.004, 0.2, 1.0, 42.0, 900.0])
def test_a_percentile_is_near_the_truth(seconds: float) -> None:
    percentile = total(followed(*[seconds] * 100).slots(1, 1)).percentile(0.95)
    assert percentile is not None
    assert percentile == pytest.approx(seconds, rel=0.2, abs=0.001)


def test_percentiles_tell_the_slow_from_the_many() -> None:
    whole = total(followed(*[0.1] * 97, 10, 10, 10).slots(1, 1))
    median, slow = whole.percentile(0.5), whole.percentile(0.99)
    assert median == pytest.approx(0.1, rel=0.2)
    assert slow == pytest.approx(10, rel=0.2)


def test_nothing_has_no_percentile() -> None:
    assert total(followed().slots(3, 1)).percentile(0.5) is None


def test_an_exchange_of_hours_is_in_the_last_class() -> None:
    assert total(followed(86400).slots(1, 1)).percentile(0.5) == pytest.approx(1800, rel=0.3)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, False),
        ({"status": 400}, True),
        ({"error": "upstream_truncated"}, True),
        ({"status": 499, "outcome": "client_gone"}, False),
        ({"status": 503, "error": "cancelled", "outcome": "cancelled"}, False),
    ],
)
def test_a_client_that_leaves_is_no_failure(changes: dict[str, Any], failed: bool) -> None:
    assert is_failure(record(1, **changes)) is failed


def recalled(figures: Figures, log: Log) -> None:
    done: list[object] = []
    Deferred.fromCoroutine(figures.recall(log)).addBoth(done.append)
    assert done == [None]


def test_what_the_log_has_of_the_day_before_the_start_is_recalled_once() -> None:
    log = Log([record(number, NOW_S - 600 - number, usage=Usage(1, 1)) for number in range(1500)])
    figures = Figures(FakeClock(NOW_S))
    recalled(figures, log)
    recalled(figures, log)
    assert total(figures.slots(MINUTES, 1)).requests == 1500
    assert len(log.asked) == 2


def test_what_was_followed_is_not_recalled_as_well() -> None:
    clock = FakeClock(NOW_S)
    figures = Figures(clock)
    both = record(1, NOW_S - 1)
    clock.advance(5)
    figures.ended(both)
    recalled(figures, Log([both]))
    assert total(figures.slots(MINUTES, 1)).requests == 1


def test_a_log_that_cannot_be_read_is_asked_again() -> None:
    log, figures = Log([record(1, NOW_S - 600)]), Figures(FakeClock(NOW_S))
    log.broken = True
    failed = Deferred.fromCoroutine(figures.recall(log))
    failures: list[object] = []
    failed.addErrback(lambda failure: failures.append(failure.check(StoreError)))
    assert failures == [StoreError]
    log.broken = False
    recalled(figures, log)
    assert total(figures.slots(MINUTES, 1)).requests == 1
