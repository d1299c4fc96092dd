"""When requests are due: by those that ended, or by the clock alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.cli.bench.schedule import Plan, Schedule


def test_without_a_rate_as_many_begin_as_may_be_under_way() -> None:
    schedule = Schedule(Plan(concurrency=2, requests=3))
    assert [schedule.take(0.0, 0), schedule.take(0.0, 1), schedule.take(0.0, 2)] == [0.0, 0.0, None]
    assert schedule.take(1.5, 1) == 1.5
    assert schedule.take(2.0, 0) is None
    assert schedule.is_over(2.0)


def test_without_a_rate_nothing_is_for_time_to_begin() -> None:
    assert Schedule(Plan(concurrency=1, requests=9)).wait_s(0.0, 1) is None


def test_no_request_begins_when_the_time_is_up() -> None:
    schedule = Schedule(Plan(concurrency=2, duration_s=1.0))
    assert schedule.take(0.99, 0) == 0.99
    assert schedule.take(1.0, 0) is None


def test_a_request_that_begins_late_is_told_when_it_was_due() -> None:
    schedule = Schedule(Plan(concurrency=9, requests=9, rate=10.0))
    assert schedule.take(0.0, 0) == 0.0
    assert schedule.take(0.05, 0) is None
    assert schedule.wait_s(0.05, 0) == 0.05
    assert [schedule.take(0.35, 0) for _ in range(4)] == [0.1, 0.2, 0.3, None]


def test_what_was_due_and_never_began_is_counted() -> None:
    schedule = Schedule(Plan(concurrency=1, duration_s=1.0, rate=10.0))
    assert schedule.take(0.0, 0) == 0.0
    assert schedule.take(0.5, 1) is None
    assert schedule.missed(5.0) == 9


@settings(max_examples=40)
@given(
    st.integers(1, 5), st.integers(1, 30), st.none() | st.floats(0.5, 50.0), st.lists(st.floats(0.0, 1.0), max_size=40)
)
def test_never_more_at_once_nor_before_they_are_due_nor_beyond_the_number(
    concurrency: int, requests: int, rate: float | None, steps: list[float]
) -> None:
    schedule = Schedule(Plan(concurrency=concurrency, requests=requests, rate=rate))
    now = 0.0
    dues = []
    for step in [0.0, *steps]:
        now += step
        in_flight = 0
        while (due := schedule.take(now, in_flight)) is not None:
            in_flight += 1
            dues.append(due)
            assert due <= now
        assert in_flight <= concurrency
    assert dues == sorted(dues)
    assert len(dues) <= requests
    if rate is not None:
        assert dues == [number / rate for number in range(len(dues))]
