"""Curves along which limits shrink."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.projects.wither import Step, Wither, left

HOUR = 3600.0
STEPS = Wither(curve="steps", steps=(Step(0.5, 0.5), Step(0.75, 0.1)))


@pytest.mark.parametrize(
    ("wither", "age_s", "share"),
    [
        (Wither(curve="linear"), 0.0, 1.0),
        (Wither(curve="linear"), HOUR / 4, 0.75),
        (Wither(curve="linear"), HOUR, 0.0),
        (Wither(curve="linear", floor=0.2), HOUR, 0.2),
        (Wither(curve="exponential", half_life_s=600.0), 1200.0, 0.25),
        (Wither(curve="exponential"), HOUR, 0.0625),
        (Wither(curve="exponential", floor=0.5), HOUR / 4, 0.75),
        (STEPS, HOUR / 2 - 1, 1.0),
        (STEPS, HOUR / 2, 0.5),
        (STEPS, HOUR, 0.1),
    ],
)
def test_a_curve_leaves_its_share(wither: Wither, age_s: float, share: float) -> None:
    assert wither.share(age_s, HOUR) == pytest.approx(share)


curves = st.one_of(
    st.builds(Wither, curve=st.just("linear"), floor=st.floats(0, 1)),
    st.builds(Wither, curve=st.just("exponential"), floor=st.floats(0, 1), half_life_s=st.floats(1, 1e6)),
    st.just(STEPS),
)


@settings(max_examples=50)
@given(curves, st.floats(-1e9, 1e9), st.floats(0, 1e6))
def test_a_curve_never_rises_and_stays_between_nothing_and_all(wither: Wither, age_s: float, later_s: float) -> None:
    now, later = (wither.share(age, HOUR) for age in (age_s, age_s + later_s))
    assert 0.0 <= later <= now <= 1.0


@pytest.mark.parametrize(
    ("limit", "share", "rest"), [(1000, 1.0, 1000), (1000, 0.7, 700), (3, 0.5, 2), (10, 1e-3, 1), (10, 0.0, 0)]
)
def test_what_is_left_of_a_limit_is_whole(limit: int, share: float, rest: int) -> None:
    assert left(limit, share) == rest


@pytest.mark.parametrize(
    ("wither", "problem"),
    [
        (Wither(curve="steps"), "at least one"),
        (Wither(curve="steps", steps=(Step(0.5, 0.5), Step(0.4, 0.1))), "follow each other"),
        (Wither(curve="steps", steps=(Step(0.1, 0.5), Step(0.4, 0.6))), "follow each other"),
        (Wither(curve="linear", steps=(Step(0.1, 0.5),)), "belong to the curve `steps`"),
        (Wither(curve="linear", half_life_s=1.0), "belongs to the curve `exponential`"),
    ],
)
def test_a_curve_that_makes_no_sense_says_why(wither: Wither, problem: str) -> None:
    assert problem in (wither.problem() or "")
