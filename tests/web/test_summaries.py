"""The summaries of the log API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.web.said import MAX_CHARACTERS, normalised
from tests.support.office import Office
from tests.support.stage import error_of

SINCE = "hours=8000"
FAILED: dict[str, Any] = {"status": 502, "error": "upstream_error", "outcome": "upstream_failed"}


@pytest.fixture
def office() -> Office:
    return Office()


def test_clients_are_told_with_what_was_looked_at(office: Office) -> None:
    office.record(1, token="nr_1", project="p")
    office.record(2, **FAILED)
    told = office.json(f"/api/clients?{SINCE}")
    assert told["meta"] == {"records": 2, "limit": 1000, "hours": 8000}
    assert [(one["client"], one["requests"], one["failures"]) for one in told["data"]] == [
        ("127.0.0.1", 1, 1),
        ("nr_1", 1, 0),
    ]
    assert told["data"][1]["last_at"] == "2025-06-15T15:06:41.000Z"


def test_summaries_take_the_filters_of_the_log(office: Office) -> None:
    office.record(1, project="p", token="nr_1")
    office.record(2, project="q", token="nr_2")
    assert [one["client"] for one in office.json(f"/api/clients?{SINCE}&q=project:q")["data"]] == ["nr_2"]
    assert office.json(f"/api/clients?{SINCE}&limit=1")["data"][0]["client"] == "nr_2"
    assert office.json(f"/api/errors?{SINCE}&q=project:p")["data"] == []


def test_what_ended_a_moment_ago_is_summed_up_too(office: Office) -> None:
    office.stage.ask()
    office.stage.call.head().body(b"{}", last=True)
    told = office.json("/api/clients")
    assert told["meta"]["records"] == 1


def test_failures_are_told_with_what_the_newest_answer_said(office: Office) -> None:
    said = json.dumps({"error": {"message": "No such thing: req_01ab, try again in 17 s."}}).encode()
    office.record(1, None, said, **FAILED)
    (one,) = office.json(f"/api/errors?{SINCE}")["data"]
    assert (one["provider"], one["status"], one["code"], one["count"]) == ("up", 502, "upstream_error", 1)
    assert one["message"] == "No such thing: #, try again in # s."


@pytest.mark.parametrize("said", [None, b"", b"not JSON", b'{"error": 7}', b"[]", b"\xff", b'"x"' + b" " * 9000])
def test_an_answer_that_says_nothing_has_no_message(office: Office, said: bytes | None) -> None:
    office.record(1, None, said, **FAILED)
    assert office.json(f"/api/errors?{SINCE}")["data"][0]["message"] is None


def test_an_answer_that_has_expired_has_no_message(office: Office) -> None:
    office.record(1, None, b'{"error": "gone"}', **FAILED)
    office.bodies.bodies.clear()
    assert office.json(f"/api/errors?{SINCE}")["data"][0]["message"] is None


def test_messages_that_differ_by_ids_and_numbers_only_read_alike() -> None:
    one = "Rate limit of org-1a2b:\n 30000 tokens; request 3f2e-11"
    assert normalised(one) == normalised(one.replace("30000", "20").replace("1a2b", "9z")) != normalised("Rate limit")
    assert len(normalised("x " * 1000)) == MAX_CHARACTERS + 3


def test_repeats_are_told_within_the_window_that_is_asked_for(office: Office) -> None:
    for number in (1, 2, 4):
        office.record(number, request_sha256="aa")
    (one,) = office.json(f"/api/repeats?{SINCE}")["data"]
    assert (one["client"], one["sha256"], one["repeats"]) == ("127.0.0.1", "aa", 2)
    assert [one["repeats"] for one in office.json(f"/api/repeats?{SINCE}&within_s=1")["data"]] == [1]


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/api/clients?hours=0", "hours"),
        ("/api/clients?limit=10001", "limit"),
        ("/api/clients?within_s=5", "within_s"),
        ("/api/repeats?within_s=86401", "within_s"),
        ("/api/errors?q=nothing:known", "q"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(office: Office, path: str, param: str) -> None:
    status, _, body = office.ask(path)
    assert (status, error_of(body)["code"], error_of(body)["param"]) == (400, "invalid_filter", param)


@pytest.mark.parametrize("name", ["clients", "errors", "repeats"])
def test_a_database_that_is_away_is_a_503(office: Office, name: str) -> None:
    office.shelf.broken = True
    status, _, body = office.ask(f"/api/{name}")
    assert (status, error_of(body)["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize("path", ["/api/clients/x", "/api/errors/1", "/api/repeats/a/b"])
def test_nothing_is_below(office: Office, path: str) -> None:
    assert office.ask(path)[0] == 404
