"""Who is asked first, and who after that."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.errors import Overloaded
from netrunner.routing.pool import EXPLORED_EACH, MAX_CANDIDATES, Member, Pool
from netrunner.routing.table import Candidate
from netrunner.routing.targets import Target, Verdict
from netrunner.settings import Health


def pool(*candidates: Candidate, strategy: str = "priority", health: Health = Health()) -> tuple[Pool, list[Target]]:  # noqa: B008
    targets = [Target(one.provider, one.model, health) for one in candidates]
    members = [Member(one, target) for one, target in zip(candidates, targets, strict=True)]
    return Pool("m", members, strategy), targets


def one(name: str, **kw: Any) -> Candidate:
    return Candidate("p", name, **kw)


def names(asked: tuple[Candidate, ...]) -> str:
    return "".join(candidate.model for candidate in asked)


def ask(chosen: Pool, targets: list[Target], now_s: float, body_bytes: int = 0) -> str:
    """Return the order, and let the first of it be asked."""
    order = chosen.order(now_s, body_bytes)
    next(target for target in targets if target.model == order[0].model).begin(now_s)
    return names(order)


def test_the_lowest_priority_number_comes_first() -> None:
    chosen, _ = pool(one("a", priority=3), one("b", priority=1), one("c", priority=2))
    assert names(chosen.order(0.0, 0)) == "bca"


def test_among_equals_the_least_recently_used_comes_first() -> None:
    chosen, targets = pool(one("a"), one("b"), one("c"))
    assert [ask(chosen, targets, now_s)[0] for now_s in range(6)] == list("abcabc")


def test_of_those_idle_for_an_hour_the_one_with_the_smallest_bound_comes_first() -> None:
    chosen, targets = pool(one("a"), one("b", max_request_bytes=20), one("c", max_request_bytes=10))
    assert ask(chosen, targets, 0.0) == "cba"
    assert ask(chosen, targets, 3600.0) == "bac"
    assert ask(chosen, targets, 3600.1) == "cab"
    assert names(chosen.order(7201.0, 0)) == "cba"


def test_who_does_not_take_so_large_a_body_is_not_asked() -> None:
    chosen, _ = pool(one("a", max_request_bytes=10), one("b", max_request_bytes=20))
    assert names(chosen.order(0.0, 10)) == "ab"
    assert names(chosen.order(0.0, 11)) == "b"
    with pytest.raises(Overloaded) as raised:
        chosen.order(0.0, 21)
    assert (raised.value.code, raised.value.status) == ("model_selection_error", 503)


def test_at_most_five_are_asked() -> None:
    chosen, _ = pool(*(one(letter) for letter in "abcdefg"))
    assert len(chosen.order(0.0, 0)) == MAX_CANDIDATES


def test_weights_are_kept_to_exactly_and_mixed() -> None:
    chosen, _ = pool(one("a", weight=5.0), one("b", weight=1.0), one("c", weight=0.0), strategy="weighted")
    first = "".join(names(chosen.order(0.0, 0))[0] for _ in range(12))
    assert Counter(first) == {"a": 10, "b": 2}
    assert "bb" not in first
    assert names(chosen.order(0.0, 0))[2] == "c"


@given(weights=st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(any))
@settings(max_examples=30)
def test_each_gets_its_share_of_any_round(weights: list[int]) -> None:
    chosen, _ = pool(*(one(str(n), weight=float(weight)) for n, weight in enumerate(weights)), strategy="weighted")
    first = Counter(chosen.order(0.0, 0)[0].model for _ in range(sum(weights)))
    assert [first[str(n)] for n in range(len(weights))] == weights


def test_each_comes_in_turn_where_that_is_wanted() -> None:
    chosen, _ = pool(one("a"), one("b"), one("c"), one("d", priority=2), strategy="round_robin")
    assert [names(chosen.order(0.0, 0)) for _ in range(4)] == ["abcd", "bcad", "cabd", "abcd"]


def test_the_quickest_comes_first_once_all_are_known_and_each_is_looked_at_now_and_then() -> None:
    chosen, targets = pool(one("a"), one("b"), strategy="least_latency")
    targets[0].answered(0.2)
    assert names(chosen.order(0.0, 0)) == "ba"
    targets[1].answered(0.3)
    targets[1].begin(0.0)
    targets[0].begin(5.0)
    first = "".join(names(chosen.order(9.0, 0))[0] for _ in range(2 * EXPLORED_EACH))
    assert Counter(first) == {"a": 38, "b": 2}


def test_the_least_busy_comes_first() -> None:
    chosen, targets = pool(one("a"), one("b"), strategy="least_busy")
    targets[0].begin(0.0)
    assert names(chosen.order(1.0, 0)) == "ba"
    targets[1].begin(1.0)
    targets[1].begin(1.0)
    assert names(chosen.order(2.0, 0)) == "ab"


def test_paused_targets_come_last_the_one_whose_pause_ends_first_before_the_others() -> None:
    chosen, targets = pool(one("a"), one("b", priority=2), one("c", priority=3))
    targets[0].tell(Verdict.POOR, 0.0)
    targets[1].tell(Verdict.POOR, 0.0, retry_after_s=5.0)
    assert names(chosen.order(1.0, 0)) == "cba"
    assert names(chosen.order(5.0, 0)) == "bca"
    assert names(chosen.order(60.0, 0)) == "abc"


def test_when_every_breaker_is_open_the_shortest_wait_is_told() -> None:
    chosen, targets = pool(one("a"), one("b"), health=Health(failures=1))
    targets[0].tell(Verdict.DOWN, 0.0)
    assert names(chosen.order(1.0, 0)) == "b"
    targets[1].tell(Verdict.DOWN, 4.0)
    with pytest.raises(Overloaded) as raised:
        chosen.order(5.0, 0)
    assert (raised.value.code, raised.value.retry_after_s) == ("model_selection_error", 25.0)
    assert names(chosen.order(30.0, 0)) == "a"


@given(
    strategy=st.sampled_from(["priority", "weighted", "round_robin", "least_latency", "least_busy"]),
    events=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(list(Verdict)), st.floats(0.0, 90.0), st.integers(0, 30)),
        max_size=20,
    ),
)
@settings(max_examples=60)
def test_whatever_happens_nobody_is_asked_who_may_not_be_nor_twice(
    strategy: str, events: list[tuple[int, Verdict, float, int]]
) -> None:
    candidates = [one("a", max_request_bytes=10), one("b", priority=2), one("c", weight=2.0), one("d")]
    chosen, targets = pool(*candidates, strategy=strategy, health=Health(failures=2))
    now_s = 0.0
    for number, verdict, later_s, body_bytes in events:
        now_s += later_s
        targets[number].begin(now_s)
        targets[number].tell(verdict, now_s)
        may = {
            candidate.model
            for candidate, target in zip(candidates, targets, strict=True)
            if body_bytes <= (candidate.max_request_bytes or 99) and (target.open_until or 0.0) <= now_s
        }
        try:
            asked = names(chosen.order(now_s, body_bytes))
        except Overloaded:
            asked = ""
        assert sorted(asked) == sorted(may)
