"""Counters of one process."""

from __future__ import annotations

import pytest
from hypothesis import settings

from netrunner.settings import Limits
from tests.limits.contract import *  # noqa: F403 - every test there is
from tests.limits.contract import MINUTE, Counting, claim
from tests.limits.drift import Drift


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_subjects_that_count_nothing_any_more_are_forgotten(counting: Counting) -> None:
    for second in range(1000):
        counting.counters.release(counting.grant(claim(MINUTE, str(second))))
        counting.advance(1)
    assert len(counting.counters) < 200


def test_however_many_subjects_come_only_so_many_are_kept() -> None:
    counting = Counting(max_accounts=100)
    held = counting.grant(claim(Limits(concurrency=1, requests_per_day=9), "first"))
    for number in range(1000):
        counting.counters.release(counting.grant(claim(Limits(requests_per_day=1), str(number))))
    assert len(counting.counters) <= 101
    assert counting.denial(claim(Limits(concurrency=1), "first")).what == "concurrency"
    counting.counters.release(held)


def test_a_successor_goes_on_with_what_was_counted() -> None:
    old, new = Counting(), Counting()
    limits = Limits(requests_per_minute=3, tokens_per_day=100)
    for counting in (old, new):
        counting.advance(100)
    old.grant(claim(limits), tokens=30)
    old.grant(claim(limits, "other"), tokens=30)
    old.advance(20)
    new.advance(20)
    new.grant(claim(limits), tokens=10)
    new.counters.absorb(old.counters.windows())
    told = [new.grant(claim(limits, subject), tokens=1).standings for subject in ("a", "other")]
    assert [[(one.remaining, one.reset_s) for one in each] for each in told] == [
        [(0, 60), (59, 86400)],
        [(1, 40), (69, 86380)],
    ]


class TestDrift(Drift.TestCase):  # type: ignore[misc, valid-type]  # made by hypothesis
    """Whatever happens, nothing is counted that did not happen, and nothing is missing."""

    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
