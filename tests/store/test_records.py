"""Records in both databases: added once, found again, forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, func, select, update

from netrunner.errors import StoreError
from netrunner.query import Query, parse
from netrunner.store import search, writing
from netrunner.store.database import Database
from netrunner.store.tables import documents, records, texts
from netrunner.values import Attempt, Copy, Record, Usage

pytestmark = pytest.mark.integration

Make = Callable[..., Record]
EVERYTHING = Query()


def ids(database: Database, query: Query = EVERYTHING, limit: int = 100) -> list[str]:
    return [record.id for record in database.read(search.page, query, limit).records]


def rows(connection: Connection) -> list[int]:
    return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in (records, documents, texts)]


def test_a_record_comes_back_whole(database: Database, record: Make) -> None:
    full = record(
        request_id="Client-1",
        correlation_id="c",
        streaming=True,
        attempts=[Attempt("acme", "gpt", 500, "provider_error", True, True), Attempt("other", "gpt")],
        error="upstream_timeout",
        usage=Usage(input_total=3, output_total=4, cache_read=1, source="counted"),
        timings={"body": 0.25, "first_byte": 0.5},
        token="nr-abc...",
        project="p",
        request_sha256="ab" * 32,
        response_sha256="cd" * 32,
        request_copy=Copy("boot", 1, 2, True),
        response_copy=Copy("boot", 9, 0, False),
    )
    bare = record(dialect=None, model=None, upstream_model=None, provider=None, upstream=None, path="/\0\U0001f600")
    assert database.write(writing.add, [full, bare]) == 2
    assert database.read(search.page, EVERYTHING, 10).records == [bare, full]
    assert database.read(search.one, full.id) == full


def test_a_record_that_is_added_again_is_there_once_and_as_it_was(database: Database, record: Make) -> None:
    first, second = record(), record()
    database.write(writing.add, [first])
    again = record(id=first.id, model="other")
    assert database.write(writing.add, [again, second, second]) == 1
    assert database.read(search.page, EVERYTHING, 10).records == [second, first]


def test_all_records_of_a_call_are_added_or_none(database: Database, record: Make) -> None:
    broken = record()
    broken.at_accept = None  # type: ignore[assignment]  # which no database takes
    with pytest.raises(StoreError, match="does not do what it is asked"):
        database.write(writing.add, [record(), broken, record()])
    assert database.read(rows) == [0, 0, 0]


def test_more_records_than_one_statement_names_are_added_at_once(database: Database, record: Make) -> None:
    many = [record(source=f"10.0.{n // 250}.{n % 250}") for n in range(1200)]
    assert database.write(writing.add, many) == 1200
    assert database.write(writing.add, many) == 0
    assert database.read(search.count, EVERYTHING) == 1200


def test_a_record_that_cannot_be_read_is_an_error_of_the_database(database: Database, record: Make) -> None:
    database.write(writing.add, [record()])
    database.write(lambda connection: connection.execute(update(documents).values(record=b"\xc1")))
    with pytest.raises(StoreError, match="cannot be read"):
        database.read(search.page, EVERYTHING, 1)


def test_pages_go_from_the_newest_to_the_oldest_by_id(database: Database, record: Make) -> None:
    made = [record() for _ in range(7)]
    database.write(writing.add, [made[3], made[0], made[6], made[2], made[5], made[1], made[4]])
    newest_first = [one.id for one in reversed(made)]
    first = ids(database, limit=3)
    second = ids(database, Query(before=first[-1]), limit=3)
    third = ids(database, Query(before=second[-1]), limit=3)
    assert [first, second, third] == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert ids(database, Query(after=third[0]), limit=3) == second
    assert ids(database, Query(after=second[0]), limit=3) == first


def test_what_was_not_recorded_is_not_found(database: Database, record: Make) -> None:
    database.write(writing.add, [record()])
    assert database.read(search.one, "01939999-aaaa-7bbb-8ccc-dddddddddddd") is None
    assert database.read(search.one, "\0") is None
    assert ids(database, Query(terms=parse("absent"))) == []
    assert database.read(search.count, Query(terms=parse("absent"))) == 0
    assert ids(database, Query(before="\0")) == []


def test_a_page_is_full_when_what_it_shows_is_not_recent(
    database: Database, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "NEXT", 2)
    old, rare, *_ = made = [record(model="old"), record(model="rare"), *(record(model="new") for _ in range(5))]
    database.write(writing.add, made)
    for often in (0, 100):
        monkeypatch.setattr(search, "RARE", often or 1)
        assert ids(database, Query(terms=parse("model:rare host:127"))) == [rare.id]
        assert ids(database, Query(terms=parse("model:r model:e"))) == [rare.id]
        assert ids(database, Query(terms=parse("old"), before=rare.id)) == [old.id]


def test_the_oldest_records_are_forgotten_with_their_words(
    database: Database, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FORGET_BATCH", 2)
    database.write(writing.add, [record(at_accept=float(second), model=f"m{second}") for second in range(5)])
    assert [database.write(writing.forget, 3.0) for _ in range(3)] == [2, 1, 0]
    database.write(writing.prune)
    assert [one.model for one in database.read(search.page, EVERYTHING, 10).records] == ["m4", "m3"]
    words = database.read(lambda connection: connection.scalars(select(texts.c.folded).order_by(texts.c.id)).all())
    assert {"m3", "m4", "acme"} <= set(words)
    assert not {"m0", "m1", "m2"} & set(words)
