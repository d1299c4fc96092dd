"""SQL and ``matches`` mean the same by a query, on both databases."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.ids import uuid7
from netrunner.query import FIELDS, MAX_TERMS, Found, Query, Term, matches, nearest, parse
from netrunner.store import search, writing
from netrunner.store.database import Database
from netrunner.values import Record
from tests.store.conftest import empty, opened
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

Make = Callable[..., Record]

# Few words, so that queries meet records; the worst of them by name.
WORDS = st.one_of(
    st.sampled_from(
        [
            "gpt-4o",
            "GPT-4o-mini",
            "Straße",
            "STRASSE",
            "50%",
            "5_%",
            "a\\b",
            "'; --",
            "\0x",
            "ŉ" * 300,
            "",
            "İ",
            "ß",
            "x y",
        ]
    ),
    st.text(max_size=5),
)
MAYBE = st.none() | WORDS
IDS = st.builds(
    lambda second, seed: uuid7(float(second), random.Random(seed).getrandbits), st.integers(0, 3), st.integers(0, 3)
)
RECORDS = st.builds(
    Record,
    id=IDS,
    request_id=st.one_of(IDS, st.sampled_from(["Req-1", "req_2", "0000"])),
    correlation_id=st.none(),
    at_accept=st.sampled_from([0.0, 1.0, 1.5, 2.0]),
    source=WORDS,
    method=st.just("POST"),
    path=WORDS,
    route=st.sampled_from(["models", "-", "raw"]),
    dialect=st.sampled_from([None, "openai", "Ollama"]),
    streaming=st.booleans(),
    model=MAYBE,
    upstream_model=MAYBE,
    provider=MAYBE,
    upstream=st.none(),
    attempts=st.just([]),
    status=st.sampled_from([101, 200, 399, 400, 404, 499, 502]),
    outcome=st.sampled_from(["done", "refused", "client_gone"]),
    error=MAYBE,
    finish_reason=st.none(),
    usage=st.none(),
    bytes_in=st.just(1),
    bytes_out=st.just(2),
    duration_s=st.just(1.0),
    timings=st.just({}),
    token=MAYBE,
    project=MAYBE,
)
TEXTS = st.one_of(
    WORDS.filter(bool),
    st.sampled_from(["0", "000", "4", "00", "req", "o", "OPEN", "%", "_", "\\", "done", "NO"]),
    IDS.map(lambda id: id[:20]),
)
QUERIES = st.builds(
    Query,
    terms=st.lists(st.builds(Term, st.sampled_from([None, *FIELDS]), TEXTS), max_size=3).map(tuple),
    dialect=st.sampled_from([None, None, None, "OPENAI", "ollama", "open"]),
    outcome=st.sampled_from([None, None, None, "done", "Refused"]),
    failed=st.sampled_from([None, None, True, False]),
    since_s=st.sampled_from([None, None, 1.0, 1.25]),
    until_s=st.sampled_from([None, None, 1.5, 2.0]),
    before=st.none() | IDS,
    after=st.sampled_from([None, None]) | IDS,
)


def unique(made: Sequence[Record]) -> list[Record]:
    """Return the first of each id, newest first."""
    first = {record.id: record for record in reversed(made)}
    return sorted(first.values(), key=lambda record: record.id, reverse=True)


LIMITS = ("NEXT", "RARE", "RARE_ALONE", "MOST", "MOST_NUMBERS", "ALONE")
BOUNDS = st.sampled_from(
    [
        (5000, 30_000, 100_000, 60_000, 100, 16),
        (2, 30_000, 100_000, 60_000, 2, 1),
        (2, 3, 3, 60_000, 100, 16),
        (2, 30_000, 100_000, 60_000, 0, 0),
        (0, 1, 1, 60_000, 1, 0),
        (0, 1, 1, 3, 1, 0),
        (0, 1, 1, 1, 100, 16),
        (1, 3, 1, 0, 100, 16),
    ]
)
"""Of these: each way to find a page is gone."""
whatever_is_made_and_asked = given(
    made=st.lists(RECORDS, max_size=8),
    queries=st.lists(QUERIES, min_size=2, max_size=4),
    limit=st.integers(1, 6),
    bounds=BOUNDS,
)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with opened("sqlite", tmp_path_factory.mktemp("store")) as database:
        yield database


@pytest.fixture(scope="module")
def postgresql(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with opened(postgres.database(), tmp_path_factory.mktemp("store")) as database:
        yield database


# Two functions, since pytest-twisted takes one for as many tests as it has parameters, each inside the one before.


@settings(deadline=None, max_examples=50)
@whatever_is_made_and_asked
def test_sqlite_finds_what_matches(
    sqlite: Database, made: list[Record], queries: list[Query], limit: int, bounds: tuple[int, ...]
) -> None:
    check(sqlite, made, queries, limit, bounds)


@settings(deadline=None, max_examples=50)
@whatever_is_made_and_asked
def test_postgresql_finds_what_matches(
    postgresql: Database, made: list[Record], queries: list[Query], limit: int, bounds: tuple[int, ...]
) -> None:
    check(postgresql, made, queries, limit, bounds)


def check(database: Database, made: list[Record], queries: list[Query], limit: int, bounds: tuple[int, ...]) -> None:
    empty(database)
    database.write(writing.add, made)
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in zip(LIMITS, bounds, strict=True):
            patch.setattr(search, name, bound)
        for query in queries:
            expected = [record for record in unique(made) if matches(query, record)]
            found = database.read(search.page, query, limit)
            if found.searched is None:
                assert found.records == nearest(query, expected, limit)
            assert followed(database, query, limit) == expected
            assert database.read(search.count, query) == len(expected)


def followed(database: Database, query: Query, limit: int) -> list[Record]:
    """Return what is on all pages, newest first; check that none is longer than it may be."""
    pages: list[list[Record]] = []
    further: Query | None = query
    while further is not None:
        found = database.read(search.page, further, limit)
        assert len(found.records) <= limit
        assert found.searched is None or len(found.records) < limit
        pages.append(found.records)
        further = found.onward(further, limit)
    return [record for page in (pages if query.after is None else pages[::-1]) for record in page]


def test_a_page_ends_where_as_many_were_looked_at_as_may_be(
    database: Database, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("NEXT", 1), ("RARE", 2), ("MOST", 10)):
        monkeypatch.setattr(search, name, bound)
    made = [record(status=401 if number == 5 else (101, 404)[number % 2]) for number in range(40)][::-1]
    database.write(writing.add, made)
    query = Query(terms=parse("status:1 status:4"))
    assert database.read(search.page, query, 3) == Found([], made[10].id)
    assert followed(database, query, 3) == [made[34]]
    upwards = msgspec.structs.replace(query, after=made[-1].id)
    assert database.read(search.page, upwards, 3) == Found([made[34]], made[28].id)


def test_a_search_by_time_begins_at_that_time(
    database: Database, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("NEXT", 5), ("RARE_ALONE", 1), ("MOST", 1)):
        monkeypatch.setattr(search, name, bound)
    made = [record(at_accept=1_700_000_000.0 + 100 * number) for number in range(40)][::-1]
    database.write(writing.add, made)
    assert database.read(search.page, Query(until_s=made[29].at_accept), 3) == Found(made[30:33])
    assert database.read(search.page, Query(since_s=made[2].at_accept), 9) == Found(made[:3])


def test_a_condition_that_leads_farther_than_all_records_do_is_walked(
    database: Database, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("NEXT", 1), ("RARE", 2), ("MOST", 3)):
        monkeypatch.setattr(search, name, bound)
    made = [record(path=f"/{number % 4}", status=(200, 404)[number == 3]) for number in range(40)][::-1]
    database.write(writing.add, made)
    query = Query(terms=parse("path:/3 status:0"), failed=False)
    assert database.read(search.page, query, 4) == Found(made[0:9:4], made[8].id)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 6),
        ("gpt", 3),
        ("model:GPT status:200", 2),
        ("gpt AND host:10.0.0.1", 1),
        ('"two words"', 1),
        ("project:100% identity:nr_", 1),
        ("100_", 0),
        ("status:50", 1),
        ("status:5xx", 1),
        ("status:3xx", 0),
        ("id:018bcfe5", 6),
        ("id:req-", 1),
    ],
)
def test_what_is_typed_finds_its_records(database: Database, record: Make, text: str, found: int) -> None:
    made: list[dict[str, Any]] = [
        {"model": "gpt-a", "source": "10.0.0.1", "upstream_model": "x"},
        {"model": "y", "upstream_model": "GPT-b", "project": "100%", "token": "nr_1"},
        {"model": "gpt", "status": 502, "outcome": "upstream_failed", "upstream_model": "x"},
        {"path": "/two words", "upstream_model": None},
        {"request_id": "Req-7", "upstream_model": None},
        {"source": "::1", "upstream_model": None},
    ]
    database.write(writing.add, [record(**changes) for changes in made])
    assert database.read(search.count, Query(terms=parse(text))) == found
    assert len(database.read(search.page, Query(terms=parse(text)), 10).records) == found


def test_as_many_terms_as_may_be_typed_are_looked_for_in_as_many_words_as_are_told(
    database: Database, record: Make
) -> None:
    words = ("source", "path", "model", "upstream_model", "provider", "token", "project", "error")
    made = [record(**dict.fromkeys(words, f"ab{number}")) for number in range(search.MOST_NUMBERS)]
    database.write(writing.add, made)
    query = Query(terms=tuple([Term(None, "a"), Term(None, "b")] * (MAX_TERMS // 2)))
    assert len(database.read(search.page, query, 1000).records) == search.MOST_NUMBERS
    assert database.read(search.count, query) == search.MOST_NUMBERS
