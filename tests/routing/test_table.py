"""From names to candidates."""

from __future__ import annotations

import pytest

from netrunner.errors import BadRequest, NotFound
from netrunner.routing.table import Candidate, Table

ONE, TWO = Candidate("a", "x"), Candidate("b", "y")


def test_a_name_has_its_candidates_in_order() -> None:
    table = Table({"m": (ONE, TWO), "n": (TWO,)}, None, None)
    assert table.candidates("m") == (ONE, TWO)
    assert list(table.names()) == ["m", "n"]


@pytest.mark.parametrize("name", ["", "M", "m ", "a/x"])
def test_another_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound) as raised:
        Table({"m": (ONE,)}, None, "a").candidates(name)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_another_name_may_go_to_a_provider_as_it_is() -> None:
    assert Table({"m": (ONE,)}, "c", None).candidates("a/z") == (Candidate("c", "a/z"),)


def test_a_request_without_a_model_goes_to_the_default_provider() -> None:
    assert Table({}, None, "c").without_model(needs_model=False) == (Candidate("c", ""),)


def test_a_request_that_needs_a_model_is_refused_even_with_a_default_provider() -> None:
    with pytest.raises(BadRequest) as raised:
        Table({}, "c", "c").without_model(needs_model=True)
    assert raised.value.code == "missing_model"


def test_without_a_default_provider_there_is_no_such_endpoint() -> None:
    with pytest.raises(NotFound) as raised:
        Table({}, "c", None).without_model(needs_model=False)
    assert raised.value.code == "endpoint_not_found"
