"""What a caller types as a filter, and which records it means."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.errors import BadRequest
from netrunner.query import FIELDS, MAX_CHARACTERS, MAX_TERMS, Query, Term, fold, matches, parse
from netrunner.values import Record


def record(**changes: object) -> Record:
    fields: dict[str, object] = {
        "id": "01939999-aaaa-7bbb-8ccc-dddddddddddd",
        "request_id": "Client-17",
        "correlation_id": None,
        "at_accept": 100.0,
        "source": "10.0.0.7",
        "method": "POST",
        "path": "/v1/Chat/completions",
        "route": "models",
        "dialect": "openai",
        "streaming": False,
        "model": "My GPT",
        "upstream_model": "gpt-4o",
        "provider": "acme",
        "upstream": None,
        "attempts": [],
        "status": 502,
        "outcome": "upstream_failed",
        "error": "upstream_connection_failed",
        "finish_reason": None,
        "usage": None,
        "bytes_in": 1,
        "bytes_out": 2,
        "duration_s": 1.0,
        "timings": {},
        "token": "nr-ab...",
        "project": "Straße",
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]  # a mapping of values of many types


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \t\n", []),
        ("gpt", [(None, "gpt")]),
        ("model:gpt", [("model", "gpt")]),
        ("MODEL:GPT  host:10.0.", [("model", "GPT"), ("host", "10.0.")]),
        ("model:llama3:8b", [("model", "llama3:8b")]),
        ('"two words" project:"a b"', [(None, "two words"), ("project", "a b")]),
        ('"llama3:8b"', [(None, "llama3:8b")]),
        (r'"a \"b\" \\c"', [(None, 'a "b" \\c')]),
        ("a AND b", [(None, "a"), (None, "b")]),
        ('a "AND" and', [(None, "a"), (None, "AND"), (None, "and")]),
        (":x", [(None, ":x")]),
        ("a%_\\", [(None, "a%_\\")]),
    ],
)
def test_a_filter_is_words_and_named_words(text: str, terms: list[tuple[str | None, str]]) -> None:
    assert [(term.field, term.text) for term in parse(text)] == terms


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("ok color:red", "color:red"),
        ("host:", "host:"),
        ('model:""', 'model:""'),
        ('""', '""'),
        ('model:"open', 'model:"open'),
        ('a"b', 'a"b'),
        ('"a"b', '"a"b'),
        ("http://x", "http://x"),
    ],
)
def test_a_term_that_is_none_is_named_with_the_fields_there_are(text: str, term: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text)
    assert (caught.value.code, caught.value.param, caught.value.status) == ("invalid_filter", "q", 400)
    assert f"'{term}'" in caught.value.message
    assert all(f"{name}:" in caught.value.message for name in FIELDS)


def test_every_name_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "filters.md").read_text()
    assert [name for name in FIELDS if f"| `{name}:` |" not in page] == []


def test_a_filter_is_bounded() -> None:
    parse("x" * MAX_CHARACTERS)
    parse("x " * MAX_TERMS)
    for text in ("x" * (MAX_CHARACTERS + 1), "x " * (MAX_TERMS + 1)):
        with pytest.raises(BadRequest, match="at the most") as caught:
            parse(text)
        assert len(caught.value.message) < 400


@settings(deadline=None)
@given(st.sampled_from([None, *sorted(FIELDS.keys() - {"status"})]), st.text(min_size=1, max_size=30))
def test_whatever_is_looked_for_can_be_typed_in_quotes(field: str | None, text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert parse(quoted if field is None else f"{field}:{quoted}") == (Term(field, text),)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadRequest):
        assert all(term.text for term in parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "host:0.0.7", "provider:ACM", "service:openai", 'model:"my gpt"', "model:4O", "project:STRASSE", "identity:ab",
        "path:chat", "route:mod", "status:50", "status:5xx", "status:5XX", "outcome:failed", "error:connection",
        "id:0193", "id:client-", "CHAT", "502", "0193", "gpt-4o acme",
    ],
)  # fmt: skip
def test_a_term_looks_at_its_fields_whatever_the_case(text: str) -> None:
    assert matches(Query(terms=parse(text)), record())


@pytest.mark.parametrize(
    "text",
    [
        "host:acme",
        "provider:openai",
        "model:acme",
        "id:9999-aaaa",
        "id:17",
        "status:404",
        "status:4xx",
        "gpt absent",
        "POST",
        "9999-aa",
    ],
)
def test_a_term_looks_at_nothing_else(text: str) -> None:
    assert not matches(Query(terms=parse(text)), record())


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        (Query(), True),
        (Query(dialect="OpenAI", outcome="upstream_failed"), True),
        (Query(dialect="open"), False),
        (Query(outcome="upstream"), False),
        (Query(failed=True), True),
        (Query(failed=False), False),
        (Query(since_s=100.0, until_s=100.1), True),
        (Query(since_s=100.1), False),
        (Query(until_s=100.0), False),
        (Query(before="01939999-aaaa-7bbb-8ccc-dddddddddddd"), False),
        (Query(before="01939999-aaaa-7bbb-8ccc-ddddddddddde"), True),
    ],
)
def test_a_query_holds_with_all_its_conditions(query: Query, holds: bool) -> None:
    assert matches(query, record()) is holds


def test_a_field_that_is_none_holds_nothing() -> None:
    assert not matches(Query(terms=parse("model:none")), record(model=None, upstream_model=None))
    assert not matches(Query(dialect="none"), record(dialect=None))


def test_what_is_folded_can_be_kept_anywhere() -> None:
    text = fold("\0\ud800" + "ŉ" * 1000)
    assert len(text) <= 400
    assert "\0" not in text
    text.encode()
