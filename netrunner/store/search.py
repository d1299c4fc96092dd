"""A ``Query`` as SQL: which records match, newest first.

Most pages are full of recent records, so those are looked through first. After that, a condition that few records meet
is asked of its index; what many meet is looked for in passing. Which of the two it is, is found out by counting, and
counting ends at ``RARE``.

This module must not write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, union, union_all

from netrunner.query import FAILED_STATUS, PREFIXES, Query, Term, fold, looked_at
from netrunner.store.tables import documents, records, texts
from netrunner.values import Record

RECENT = 5_000
"""So many of the newest records are looked through before anything else: most pages are full by then."""
RARE = 100_000
"""Fewer records than that are found by an index, whatever else is asked of them."""
_AT_ONCE = 500
_STATUSES = range(1000)
_LAST = "\U0010ffff"
_decode = msgspec.msgpack.Decoder(Record).decode

Test = ColumnElement[bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Condition:
    """Something that has to hold, twice: as indexes find it, and as a row is tested for it.

    Attributes:
        ways: Each can be found by an index; one of them has to hold, so with none nothing does.
        test: The same for a row at hand, written so that no index is tempting.
    """

    ways: tuple[Test, ...]
    test: Test


def page(connection: Connection, query: Query, limit: int) -> list[Record]:
    """Return up to ``limit`` records that match, newest first."""
    conditions = list(_conditions(query))
    older = _older(query)
    ids = _newest(connection, [*older, _recent(older)], conditions, limit)
    if len(ids) < limit:
        ids = _further(connection, older, conditions, limit)
    return [record for piece in _pieces(ids) for record in _whole(connection, piece)]


def count(connection: Connection, query: Query) -> int:
    """Return how many records match."""
    chosen = _chosen(connection, _older(query), list(_conditions(query)))
    if chosen is None:
        return 0
    ways, rest = chosen
    found = _found(_older(query), ways)
    return connection.scalar(select(func.count()).select_from(records).where(*found, *_tests(rest))) or 0


def one(connection: Connection, id: str) -> Record | None:
    """Return the record of that id."""
    document = connection.scalar(select(documents.c.record).where(documents.c.id == _plain(id)))
    return None if document is None else _decode(document)


def _older(query: Query) -> list[Test]:
    return [] if query.before is None else [records.c.id < _plain(query.before)]


def _recent(older: Sequence[Test]) -> Test:
    """Tell the newest ``RECENT`` records from the others."""
    ids = select(records.c.id).where(*older).order_by(records.c.id.desc())
    return records.c.id >= func.coalesce(ids.limit(1).offset(RECENT).scalar_subquery(), "")


def _newest(connection: Connection, found: Sequence[Test], conditions: Sequence[_Condition], limit: int) -> list[str]:
    chosen = select(records.c.id).where(*found, *_tests(conditions))
    return list(connection.scalars(chosen.order_by(records.c.id.desc()).limit(limit)))


def _further(connection: Connection, older: Sequence[Test], conditions: Sequence[_Condition], limit: int) -> list[str]:
    """Return the ids of the newest ``limit`` records that match, wherever they are."""
    chosen = _chosen(connection, older, conditions)
    if chosen is None:
        return []
    ways, rest = chosen
    if rest or not ways:
        return _newest(connection, _found(older, ways), rest, limit)
    # Nothing else is asked, so that each index by itself tells which are the newest.
    found = {id for way in ways for id in _newest(connection, [*older, way], (), limit)}
    return sorted(found, reverse=True)[:limit]


def _found(older: Sequence[Test], ways: Sequence[Test]) -> Sequence[Test]:
    """Return what leads to the records of one of the ``ways``; to all of them when there are none."""
    if not ways:
        return older
    ids = union(*(select(records.c.id).where(way, *older) for way in ways)).subquery()
    return [records.c.id.in_(select(ids.c.id))]


def _tests(conditions: Sequence[_Condition]) -> list[Test]:
    return [condition.test for condition in conditions]


def _whole(connection: Connection, ids: Sequence[str]) -> Iterator[Record]:
    chosen = select(documents.c.record).where(documents.c.id.in_(ids)).order_by(documents.c.id.desc())
    return map(_decode, connection.scalars(chosen))


def _chosen(
    connection: Connection, older: Sequence[Test], conditions: Sequence[_Condition]
) -> tuple[Sequence[Test], Sequence[_Condition]] | None:
    """Return the ways to the rarest condition, if it is rare, and the other ones; None when nothing can match."""
    rest = list(conditions)
    rarest, fewest = None, RARE
    for condition in conditions:
        if not condition.ways:
            return None
        ids = union_all(*(select(records.c.id).where(way, *older) for way in condition.ways)).limit(RARE).subquery()
        found = connection.scalar(select(func.count()).select_from(ids)) or 0
        if found == 0:
            return None
        if found < fewest:
            rarest, fewest = condition, found
    if rarest is None:
        return (), rest
    rest.remove(rarest)
    return rarest.ways, rest


def _conditions(query: Query) -> Iterator[_Condition]:
    for term in query.terms:
        yield _of_term(term)
    for word, text in (("dialect", query.dialect), ("outcome", query.outcome)):
        if text is not None:
            yield _of_words(word, texts.c.folded == fold(text))
    if query.failed is not None:
        bad = records.c.status >= FAILED_STATUS
        plain = records.c.status + 0 >= FAILED_STATUS
        yield _Condition((bad,), plain) if query.failed else _Condition((~bad,), ~plain)
    if query.since_s is not None or query.until_s is not None:
        since, until = query.since_s, query.until_s
        columns = records.c.at, records.c.at + 0.0
        way, test = (
            and_(*([] if since is None else [at >= since]), *([] if until is None else [at < until])) for at in columns
        )
        yield _Condition((way,), test)


def _of_term(term: Term) -> _Condition:
    wanted = fold(term.text)
    fields = [_of_field(field, wanted) for field in looked_at(term)]
    return _Condition(tuple(way for field in fields for way in field.ways), or_(*(field.test for field in fields)))


def _of_field(field: str, wanted: str) -> _Condition:
    column = records.c[field]
    if field in PREFIXES:
        begins = func.substr(column, 1, len(wanted)) == wanted
        return _Condition((and_(column >= wanted, column < wanted + _LAST),), begins)
    if field == "status":
        statuses = [number for number in _STATUSES if wanted in str(number)]
        return _Condition((column.in_(statuses),) if statuses else (), (column + 0).in_(statuses))
    return _of_words(field, texts.c.folded.contains(wanted, autoescape=True))


def _of_words(field: str, which: Test) -> _Condition:
    numbers = select(texts.c.id).where(texts.c.field == field, which)
    return _Condition((records.c[field].in_(numbers),), (records.c[field] + 0).in_(numbers))


def _pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _plain(id: str) -> str:
    """Return what can be asked of any database: what goes on behind a NUL is no id of ours."""
    return id.partition("\0")[0].encode("utf-8", "replace").decode("utf-8")
