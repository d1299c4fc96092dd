"""What is asked of the management operations, read strictly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netrunner.errors import BadRequest
from netrunner.projects.terms import Terms
from netrunner.projects.wanted import NewProject, NewToken, check_terms, parse
from netrunner.projects.wither import Wither


@pytest.mark.parametrize(
    ("document", "param", "code"),
    [
        ({}, "name", "invalid_value"),
        ({"name": ""}, "name", "invalid_value"),
        ({"name": 3}, "name", "invalid_value"),
        ({"name": "a", "surname": "b"}, "surname", "invalid_value"),
        ({"name": "a", "keys": {"up": 3}}, "keys", "invalid_value"),
        ({"name": "a", "limits": {"requests_per_hour": -1}}, "limits", "invalid_value"),
        ({"name": "a", "limits": {"requests_per_year": 1}}, "limits", "invalid_value"),
        ([], None, "invalid_value"),
    ],
)
def test_a_wrong_field_is_named(document: Any, param: str | None, code: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse(msgspec.json.encode(document), NewProject)
    assert (raised.value.param, raised.value.code) == (param, code)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"name": "a",}'])
def test_what_is_no_json_is_told(body: bytes) -> None:
    with pytest.raises(BadRequest) as raised:
        parse(body, NewProject)
    assert raised.value.code == "invalid_json"


def test_no_value_is_quoted() -> None:
    with pytest.raises(BadRequest) as raised:
        parse(b'{"name": "a", "api_key": ["sk-canary"]}', NewProject)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("hours", "minutes", "life_s"), [(2, None, 7200.0), (None, 5, 300.0), (8760, None, 31536000.0)]
)
def test_a_life_is_told_in_hours_or_minutes(hours: float | None, minutes: float | None, life_s: float) -> None:
    assert NewToken(project_id="p", duration_hours=hours, duration_minutes=minutes).life_s == life_s


@pytest.mark.parametrize(("hours", "minutes"), [(None, None), (1, 1), (0, None), (-1, None), (8760.1, None), (None, 0)])
def test_a_life_of_no_length_is_refused(hours: float | None, minutes: float | None) -> None:
    with pytest.raises(BadRequest, match="duration"):
        _ = NewToken(project_id="p", duration_hours=hours, duration_minutes=minutes).life_s


def test_only_a_token_withers() -> None:
    terms = Terms(wither=Wither(curve="linear"))
    check_terms(terms, of_token=True)
    with pytest.raises(BadRequest, match="belongs to a token"):
        check_terms(terms, of_token=False)


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadRequest, match="requests_per_hour is 9, which requests_per_day of 8 never lets") as raised:
        check_terms(Terms(requests_per_hour=9, requests_per_day=8), of_token=False)
    assert (raised.value.code, raised.value.param) == ("invalid_value", "limits")


def test_a_token_may_not_have_more_than_its_project() -> None:
    project = Terms(requests_per_hour=10, max_cost=1.0)
    check_terms(Terms(requests_per_hour=10), of_token=True, within=project)
    check_terms(Terms(requests_per_day=10), of_token=True, within=project)
    with pytest.raises(BadRequest, match="max_cost") as raised:
        check_terms(Terms(max_cost=1.5), of_token=True, within=project)
    assert raised.value.code == "limits_exceeded"
