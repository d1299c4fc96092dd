"""Records summed up by client, by how they failed, and by what was asked again."""

from __future__ import annotations

from typing import Any

from netrunner.summary import clients, failures, repeats
from netrunner.values import Attempt, Record, Usage
from tests.journal.conftest import make_record


def newest_first(*changes: dict[str, Any]) -> list[Record]:
    """Return a record for each, one second apart, the last one first."""
    return [make_record(number, **one) for number, one in enumerate(changes, 1)][::-1]


def test_a_client_is_a_credential_wherever_it_comes_from_else_an_address() -> None:
    busiest, second, third = clients(
        newest_first(
            {"token": "nr_1", "source": "10.0.0.1", "project": "p"},
            {"token": "nr_1", "source": "10.0.0.2", "project": "p"},
            {"token": "nr_1", "source": "10.0.0.2", "project": "p"},
            {"source": "10.0.0.2"},
            {"source": "10.0.0.2"},
            {"source": "10.0.0.3"},
        )
    )
    assert (busiest.client, busiest.project, busiest.requests, busiest.addresses) == ("nr_1", "p", 3, 2)
    assert [(one.client, one.project, one.requests) for one in (second, third)] == [
        ("10.0.0.2", None, 2),
        ("10.0.0.3", None, 1),
    ]


def test_a_client_is_told_with_its_errors_latencies_and_tokens() -> None:
    failed = {"status": 503, "error": "upstream_unavailable", "outcome": "upstream_failed", "duration_s": 9.0}
    quick = {"duration_s": 1.0, "usage": Usage(input_total=10, output_total=5)}
    (one,) = clients(newest_first(quick, quick, quick, failed, {**failed, "error": "upstream_timeout"}, failed))
    assert (one.failures, one.error, one.last_at) == (3, "upstream_unavailable", 1_750_000_006.0)
    assert (one.median_s, one.p95_s, one.slowest_s) == (5.0, 9.0, 9.0)
    assert (one.input_tokens, one.output_tokens, one.estimated) == (30, 15, False)


def test_failures_are_told_by_provider_status_and_code_with_when_and_how_often() -> None:
    busy = {"status": 429, "error": "upstream_limit", "outcome": "upstream_failed"}
    attempts = [Attempt("acme", "gpt", 429, "upstream_limit")]
    found = failures(
        newest_first(
            {**busy, "attempts": attempts, "source": "10.0.0.1"},
            {},
            {**busy, "attempts": attempts, "source": "10.0.0.2"},
            {"status": 400, "error": "invalid_request", "outcome": "refused", "provider": None, "upstream_model": None},
        )
    )
    often, once = found
    assert (often.provider, often.model, often.status, often.code) == ("acme", "gpt", 429, "upstream_limit")
    assert (often.count, often.clients, often.first_at, often.last_at) == (2, 2, 1_750_000_001.0, 1_750_000_003.0)
    assert often.id.endswith("3")
    assert (once.provider, once.status, once.code, once.count) == (None, 400, "invalid_request", 1)


def test_an_attempt_that_failed_is_told_even_where_another_one_answered() -> None:
    attempts = [Attempt("acme", "gpt", None, "upstream_timeout"), Attempt("other", "gpt", 200)]
    (one,) = failures(newest_first({"attempts": attempts, "provider": "other"}))
    assert (one.provider, one.status, one.code, one.count, one.answered) == ("acme", None, "upstream_timeout", 1, 1)


def test_an_answer_that_broke_off_counts_once_and_a_client_that_left_not_at_all() -> None:
    broken = {"error": "upstream_truncated", "outcome": "upstream_truncated", "attempts": [Attempt("acme", "gpt", 200)]}
    (one,) = failures(newest_first(broken, {"status": 499, "outcome": "client_gone"}))
    assert (one.code, one.status, one.count) == ("upstream_truncated", 200, 1)


def test_the_same_body_from_the_same_client_shortly_after_is_a_repeat() -> None:
    body, other = {"request_sha256": "aa"}, {"request_sha256": "bb"}
    (one,) = repeats(newest_first(body, other, body, body, {**body, "source": "10.0.0.9"}, {**body, "path": "/x"}))
    assert (one.client, one.sha256, one.repeats) == ("127.0.0.1", "aa", 2)
    assert (one.first_at, one.last_at, one.id[-1]) == (1_750_000_001.0, 1_750_000_004.0, "4")


def test_a_repeat_comes_within_the_window_of_the_one_before() -> None:
    body = {"request_sha256": "aa"}
    records = newest_first(body, {}, {}, body, body)
    assert [one.repeats for one in repeats(records, within_s=3)] == [2]
    assert [one.repeats for one in repeats(records, within_s=2)] == [1]
    assert repeats(records, within_s=0.5) == []


def test_requests_without_a_recorded_body_repeat_nothing() -> None:
    empty = {"request_sha256": "e3b0", "bytes_in": 0}
    assert repeats(newest_first({}, {}, empty, empty)) == []


def test_the_repeats_of_a_client_are_counted() -> None:
    body = {"request_sha256": "aa"}
    (one,) = clients(newest_first(body, body, {}, body))
    assert (one.requests, one.repeats) == (4, 2)


def test_nothing_sums_up_to_nothing() -> None:
    assert (clients([]), failures([]), repeats([])) == ([], [], [])
