"""What all counters do alike; whoever imports the tests brings the fixture ``counting``."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.claims import Claim, Denial, Grant
from netrunner.limits.memory import MemoryCounters
from netrunner.settings import Limits, WindowSettings
from netrunner.testing.fakes import FakeClock

MINUTE = Limits(requests_per_minute=2)


class Counting:
    """Counters, a clock, and claims in short."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.counters: Any = MemoryCounters(self.clock, **options)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def ask(self, *claims: Claim, tokens: int = 0) -> Grant | Denial:
        """Reserve, at once."""
        answer: Grant | Denial = at_once(self.counters.reserve(claims, tokens))
        return answer

    def used(self, scope: str, subject: str, windows: list[tuple[bool, float]]) -> list[int]:
        """Look how much of windows is used."""
        told: list[int] = at_once(self.counters.used(scope, subject, windows))
        return told

    def grant(self, *claims: Claim, tokens: int = 0) -> Grant:
        """Reserve what there is room for."""
        answer = self.ask(*claims, tokens=tokens)
        assert isinstance(answer, Grant)
        return answer

    def denial(self, *claims: Claim, tokens: int = 0) -> Denial:
        """Reserve what there is no room for."""
        answer = self.ask(*claims, tokens=tokens)
        assert isinstance(answer, Denial)
        return answer


def at_once(work: Any) -> Any:
    """Return what a coroutine returns that does not wait."""
    try:
        work.send(None)
    except StopIteration as answer:
        return answer.value
    raise AssertionError("it waited")


def claim(limits: Limits, subject: str = "a", scope: str = "test") -> Claim:
    """Return a claim."""
    return Claim(scope, subject, limits)


def about(seconds: float) -> Any:
    """Return what equals a time told by a clock that goes on while the test runs."""
    return pytest.approx(seconds, abs=0.4)


def test_it_is_told_how_much_of_each_window_is_used(counting: Counting) -> None:
    limits = Limits(requests_per_minute=5, tokens_per_day=100)
    counting.grant(claim(limits))
    counting.counters.release(counting.grant(claim(limits), tokens=7), 9)
    windows = [(False, 60.0), (True, 86400.0), (False, 3600.0)]
    assert counting.used("test", "a", windows) == [2, 9, 0]
    assert counting.used("test", "b", windows) == [0, 0, 0]
    counting.advance(60.5)
    assert counting.used("test", "a", windows) == [0, 9, 0]


def test_a_window_takes_as_many_as_it_may(counting: Counting) -> None:
    counting.grant(claim(MINUTE))
    counting.grant(claim(MINUTE))
    denial = counting.denial(claim(MINUTE))
    assert (denial.scope, denial.subject, denial.what, denial.limit) == ("test", "a", "requests_per_minute", 2)


def test_a_window_opens_with_its_first_request_and_closes_its_length_later(counting: Counting) -> None:
    counting.advance(50)
    counting.grant(claim(MINUTE))
    counting.advance(30)
    counting.grant(claim(MINUTE))
    assert counting.denial(claim(MINUTE)).wait_s == about(30)
    counting.advance(29.5)
    assert counting.denial(claim(MINUTE)).wait_s == about(0.5)
    counting.advance(0.5)
    counting.grant(claim(MINUTE))
    counting.advance(59)
    counting.grant(claim(MINUTE))
    assert counting.denial(claim(MINUTE)).wait_s == about(1)


def test_a_refused_request_opens_nothing(counting: Counting) -> None:
    busy = claim(Limits(concurrency=0, requests_per_minute=1))
    assert counting.denial(busy).standings[0].reset_s == 0


@pytest.mark.parametrize(
    ("limits", "length_s"),
    [
        (Limits(requests_per_minute=1), 60),
        (Limits(requests_per_hour=1), 3600),
        (Limits(requests_per_day=1), 86400),
        (Limits(windows=(WindowSettings(length_s=10, requests=1),)), 10),
        (Limits(min_gap_s=2.5), 2.5),
    ],
)
def test_each_limit_has_its_time(counting: Counting, limits: Limits, length_s: float) -> None:
    counting.grant(claim(limits))
    assert counting.denial(claim(limits)).wait_s == about(length_s)
    counting.advance(length_s)
    counting.grant(claim(limits))


def test_of_several_limits_the_one_that_takes_longest_is_told(counting: Counting) -> None:
    limits = claim(Limits(requests_per_minute=1, requests_per_hour=1, min_gap_s=5))
    counting.grant(limits)
    assert counting.denial(limits).what == "requests_per_hour"


@pytest.mark.parametrize(
    "limits", [Limits(requests_per_day=0), Limits(tokens_per_day=0), Limits(concurrency=0)], ids=str
)
def test_a_limit_of_nothing_never_lets_anybody_in(counting: Counting, limits: Limits) -> None:
    assert counting.denial(claim(limits), tokens=1).wait_s is None


def test_no_limit_lets_everybody_in(counting: Counting) -> None:
    for _ in range(1000):
        counting.grant(claim(Limits()))


def test_requests_at_once_are_let_in_as_others_end(counting: Counting) -> None:
    one = claim(Limits(concurrency=1))
    grant = counting.grant(one)
    assert counting.denial(one).what == "concurrency"
    counting.counters.release(grant)
    counting.grant(one)


def test_a_grant_ends_once(counting: Counting) -> None:
    one = claim(Limits(concurrency=1))
    grant = counting.grant(one)
    counting.counters.release(grant)
    counting.grant(one)
    counting.counters.release(grant)
    counting.counters.withdraw(grant)
    counting.denial(one)


def test_subjects_and_scopes_are_counted_apart(counting: Counting) -> None:
    one = Limits(requests_per_minute=1)
    for key in ({}, {"subject": "b"}, {"scope": "other"}):
        counting.grant(claim(one, **key))
        counting.denial(claim(one, **key))


def test_all_claims_or_none_are_admitted(counting: Counting) -> None:
    narrow, wide = claim(Limits(requests_per_minute=1), "narrow"), claim(Limits(requests_per_minute=5), "wide")
    counting.grant(wide, narrow)
    for _ in range(3):
        assert counting.denial(wide, narrow).subject == "narrow"
    assert [one.remaining for one in counting.denial(wide, narrow).standings] == [4, 0]


def test_tokens_are_reserved_and_corrected_by_what_was_taken(counting: Counting) -> None:
    limits = claim(Limits(tokens_per_minute=100))
    grant = counting.grant(limits, tokens=60)
    assert counting.denial(limits, tokens=60).what == "tokens_per_minute"
    counting.counters.release(grant, 30)
    assert counting.grant(limits, tokens=60).standings[0].remaining == 10


def test_a_request_whose_tokens_nobody_knows_counts_as_expected(counting: Counting) -> None:
    limits = claim(Limits(tokens_per_minute=100))
    counting.counters.release(counting.grant(limits, tokens=60))
    assert counting.denial(limits, tokens=60).standings[0].remaining == 40


def test_more_tokens_than_expected_are_counted(counting: Counting) -> None:
    limits = claim(Limits(tokens_per_minute=100))
    counting.counters.release(counting.grant(limits, tokens=1), 100)
    assert counting.denial(limits, tokens=1).wait_s == about(60)


def test_a_request_larger_than_its_window_has_it_for_itself(counting: Counting) -> None:
    limits = claim(Limits(tokens_per_minute=100))
    counting.grant(limits, tokens=1)
    assert counting.denial(limits, tokens=500).wait_s == about(60)
    counting.advance(60)
    counting.grant(limits, tokens=500)
    counting.denial(limits, tokens=1)


def test_tokens_of_a_closed_window_do_not_burden_the_next(counting: Counting) -> None:
    limits = claim(Limits(tokens_per_minute=100))
    late = counting.grant(limits, tokens=10)
    counting.advance(60)
    counting.grant(limits, tokens=10)
    counting.counters.release(late, 100)
    assert counting.grant(limits, tokens=10).standings[0].remaining == 80


def test_what_is_withdrawn_never_was(counting: Counting) -> None:
    limits = claim(Limits(requests_per_minute=1, tokens_per_minute=10, concurrency=1))
    counting.counters.withdraw(counting.grant(limits, tokens=10))
    counting.grant(limits, tokens=10)


def test_standings_tell_how_full_each_window_is(counting: Counting) -> None:
    limits = claim(Limits(requests_per_minute=5, tokens_per_day=100))
    counting.grant(limits, tokens=10)
    counting.advance(20)
    told = counting.grant(limits, tokens=30).standings
    assert [(one.what, one.tokens, one.limit, one.remaining, one.reset_s) for one in told] == [
        ("requests_per_minute", False, 5, 3, about(40)),
        ("tokens_per_day", True, 100, 60, about(86380)),
    ]


def test_other_limits_for_the_same_subject_keep_its_counts(counting: Counting) -> None:
    counting.grant(claim(Limits(requests_per_minute=2, min_gap_s=0)))
    changed = claim(Limits(requests_per_hour=9, requests_per_minute=1))
    assert counting.denial(changed).what == "requests_per_minute"


def test_denials_are_counted_by_scope_and_limit(counting: Counting) -> None:
    for _ in range(3):
        counting.ask(claim(Limits(requests_per_minute=1)))
    assert counting.counters.denials == {("test", "requests_per_minute"): 2}
