"""How long to wait, and how much more a provider is asked."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.routing.retry import FLOOR, SHARE, Budget, Policy


@given(failed=st.integers(1, 2000), chance=st.floats(0.0, 1.0), jitter=st.floats(0.0, 1.0))
@settings(max_examples=50)
def test_a_wait_doubles_up_to_its_bound_give_or_take_the_jitter(failed: int, chance: float, jitter: float) -> None:
    policy = Policy(3, 1.0, 30.0, jitter, "next")
    plain = min(2.0 ** min(failed - 1, 64), 30.0)
    assert plain * (1 - jitter) - 1e-9 <= policy.delay_s(failed, chance) <= plain * (1 + jitter) + 1e-9


def test_without_jitter_waits_are_exact() -> None:
    policy = Policy(9, 1.0, 30.0, 0.0, "next")
    assert [policy.delay_s(failed, 0.3) for failed in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_ten_are_free_and_a_fifth_of_all_beyond_that() -> None:
    budget = Budget()
    assert sum(budget.spend(0.0) for _ in range(20)) == FLOOR
    for _ in range(100):
        budget.asked(1.0)
    assert sum(budget.spend(1.0) for _ in range(200)) == 100 * SHARE - FLOOR
    assert (budget.spent, budget.denied) == (20, 200)


def test_what_is_a_minute_old_counts_no_more() -> None:
    budget = Budget()
    assert all(budget.spend(0.0) for _ in range(FLOOR))
    assert not budget.spend(59.0)
    assert budget.spend(60.0)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.booleans()), max_size=300))
@settings(max_examples=30)
def test_no_minute_ever_has_more_than_its_share(steps: list[tuple[float, bool]]) -> None:
    budget, now_s = Budget(), 0.0
    again: list[float] = []
    asked: list[float] = []
    for later_s, is_retry in steps:
        now_s += later_s
        if not is_retry:
            budget.asked(now_s)
            asked.append(now_s)
        elif budget.spend(now_s):
            again.append(now_s)
            recent = [at for at in again if at > now_s - 55.0]
            assert len(recent) <= max(FLOOR, SHARE * len([at for at in asked if at > now_s - 65.0]))
