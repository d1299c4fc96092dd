"""Whatever is issued and changed, a token may never do more than its project (row 49)."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netrunner.errors import BadRequest
from netrunner.projects.caller import Caller, Project
from netrunner.projects.terms import Terms, written
from netrunner.projects.wanted import check_terms
from netrunner.settings import COUNTS
from netrunner.store.projects import ProjectRow
from netrunner.store.tokens import TokenRow

LIFE_S = 3600.0
limits = st.one_of(st.none(), st.integers(0, 5))
curves = st.one_of(
    st.none(),
    st.fixed_dictionaries({"curve": st.just("linear"), "floor": st.floats(0, 1)}),
    st.fixed_dictionaries(
        {"curve": st.just("exponential"), "floor": st.floats(0, 1), "half_life_s": st.floats(1, 1e4)}
    ),
)
project_terms = st.builds(Terms, **dict.fromkeys((*COUNTS, "max_tokens"), limits))
changes = st.lists(st.tuples(st.sampled_from(["token", "project"]), project_terms), max_size=8)
"""What is asked for, one after the other: other terms of a token or of its project."""


def least(caller: Caller, name: str, at_s: float) -> int | None:
    """Return what all claims of a request together leave of one limit; None for as many as one likes."""
    found = [limit for claim in caller.claims(at_s) if (limit := getattr(claim.limits, name)) is not None]
    return min(found, default=None)


def follow(first: Terms, asked: list[tuple[str, Terms]], ages: list[float]) -> None:
    """Do a chain of changes as the office does, and look at every step what the token may."""
    project, terms = Project("p"), first
    project.learn(ProjectRow("p", "p", True, 0.0, 0.0, written(terms)), {})
    row = TokenRow("t", "p", "nr-***", None, True, 0.0, LIFE_S)
    caller = Caller(b"d", project, row, None)
    for what, wanted in asked:
        if what == "project":
            terms = wanted
            project.learn(ProjectRow("p", "p", True, 0.0, 0.0, written(terms)), {})
        else:
            try:
                check_terms(wanted, of_token=True, within=terms)
            except BadRequest:
                continue
            caller.learn(TokenRow("t", "p", "nr-***", None, True, 0.0, LIFE_S, limits=written(wanted)))
        for age_s in ages:
            for name in COUNTS:
                most, may = getattr(terms, name), least(caller, name, age_s)
                assert most is None or (may is not None and may <= most), (name, may, most)


@given(project_terms, changes, st.lists(st.floats(0, LIFE_S), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_no_chain_of_changes_gives_a_token_more_than_its_project(
    first: Terms, asked: list[tuple[str, Terms]], ages: list[float]
) -> None:
    follow(first, asked, ages)


@pytest.mark.torture
@given(project_terms, changes, st.lists(st.floats(0, LIFE_S), min_size=1, max_size=3))
@settings(max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_no_chain_of_a_hundred_thousand_does(first: Terms, asked: list[tuple[str, Terms]], ages: list[float]) -> None:
    follow(first, asked, ages)


@given(project_terms, curves, st.lists(st.floats(0, LIFE_S), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_withers_never_grows_again(terms: Terms, curve: dict[str, Any] | None, ages: list[float]) -> None:
    text = written(terms).rstrip("}")
    if curve is not None:
        text += f'{"," if len(text) > 1 else ""}"wither":{msgspec.json.encode(curve).decode()}'
    project = Project("p")
    project.learn(ProjectRow("p", "p", True, 0.0, 0.0), {})
    shares = []
    for age_s in sorted(ages):
        caller = Caller(b"d", project, TokenRow("t", "p", "m", None, True, 0.0, LIFE_S, limits=text + "}"), None)
        shares.append([least(caller, name, age_s) for name in COUNTS])
    for before, after in itertools.pairwise(shares):
        assert all(
            one is None or (other is not None and other <= one) for one, other in zip(before, after, strict=True)
        )
