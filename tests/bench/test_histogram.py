"""Histograms: what they count exactly, and how near their percentiles are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.cli.bench.histogram import PARTS, Histogram

VALUES = st.lists(st.floats(min_value=0.0, max_value=1e6).map(lambda value: round(value, 9)), min_size=1, max_size=50)
SHARES = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 1.0])


def of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@settings(max_examples=50)
@given(VALUES, SHARES)
def test_a_percentile_is_never_below_the_true_one_and_hardly_above(values: list[float], share: float) -> None:
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    found = of(values).percentile(share)
    assert found is not None
    assert true <= found <= true * (1 + 1 / PARTS)


@settings(max_examples=50)
@given(VALUES)
def test_shown_buckets_hold_every_value_below_their_bounds(values: list[float]) -> None:
    buckets = of(values).buckets()
    tops = [top for top, _ in buckets]
    assert tops == sorted(set(tops))
    seen = 0
    for top, count in buckets:
        seen += count
        assert seen == len([value for value in values if value <= top])
    assert seen == len(values)


def test_number_sum_least_and_most_are_exact() -> None:
    histogram = of([0.25, 0.5, 3.0])
    assert (histogram.count, histogram.mean, histogram.smallest, histogram.largest) == (3, 1.25, 0.25, 3.0)


def test_nothing_counted_has_no_mean_and_no_percentile() -> None:
    assert (Histogram().mean, Histogram().percentile(0.5), Histogram().buckets()) == (None, None, [])


@pytest.mark.parametrize("value", [1.0, 0.5, 2.0, 1024.0])
def test_a_bound_belongs_to_its_own_bucket(value: float) -> None:
    assert of([value]).buckets() == [(value, 1)]
