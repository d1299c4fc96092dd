"""What models cost."""

from __future__ import annotations

import re

import pytest

from netrunner.projects.prices import Long, Price, Prices
from netrunner.values import Usage

LONG = Long(over=200_000, input=4.0, output=16.0, cached=1.0)
PRICES = Prices(
    "2026-01-01",
    {
        "m": Price(input=2.0, output=8.0, cached=0.5),
        "m-mini": Price(input=1.0, output=2.0),
        "m-long": Price(input=2.0, output=8.0, cached=0.5, long=LONG),
    },
)


def test_the_shipped_list_says_of_when_it_is() -> None:
    shipped = Prices.shipped()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", shipped.date)
    assert shipped.of("gpt-4o") is not None


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(1_000_000, 0), 2.0),
        (Usage(0, 1_000_000), 8.0),
        (Usage(1_000_000, 0, cache_read=400_000), 1.4),
        (Usage(1_000_000, 0, cache_write=400_000), 2.0),
    ],
)
def test_a_cost_counts_every_kind_of_token(usage: Usage, cost: float) -> None:
    assert PRICES.cost("m", usage) == pytest.approx(cost)


@pytest.mark.parametrize("model", [None, "", "other", "m-mini-custom", "m-", "m-2024-x", "m-5"])
def test_the_cost_of_an_unknown_model_is_unknown(model: str | None) -> None:
    assert PRICES.cost(model, Usage(1, 1)) is None


@pytest.mark.parametrize("model", ["m-2024-08-06", "m-20250219", "m-001", "m-0613"])
def test_a_version_costs_what_its_model_does(model: str) -> None:
    assert PRICES.of(model) == PRICES.of("m")


def test_the_cost_of_what_was_not_counted_is_unknown() -> None:
    assert PRICES.cost("m", Usage(None, 3)) is None


def test_a_long_request_costs_more_as_a_whole() -> None:
    assert PRICES.cost("m-long", Usage(200_000, 100_000)) == pytest.approx(1.2)
    assert PRICES.cost("m-long", Usage(300_000, 100_000, cache_read=100_000)) == pytest.approx(2.5)


def test_a_model_is_not_taken_for_a_version_of_an_older_one() -> None:
    shipped = Prices.shipped()
    older, newer = shipped.of("claude-opus-4"), shipped.of("claude-opus-4-5-20251101")
    assert older is not None
    assert newer is not None
    assert newer.input < older.input
