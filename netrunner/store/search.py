"""A ``Query`` as SQL: which records match, newest first.

Most pages are full of the records next to where they begin, so those are looked through first. After that, a
condition that few records meet is asked of its index; what many meet is looked for in passing. Which of the two it is,
is found out by counting, and counting ends at ``RARE``. Words are looked up before records are: a database that is told
their numbers knows how many records have them, and asks the right index.

This module must not write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, union, union_all

from netrunner.query import FAILED_STATUS, PREFIXES, Query, Term, fold, looked_at
from netrunner.store.tables import documents, records, texts
from netrunner.values import Record

NEXT = 5_000
"""So many of the records next to where a page begins are looked through before anything else."""
RARE = 100_000
"""Fewer records than that are found by an index, whatever else is asked of them."""
MOST_NUMBERS = 100
"""Of more words than that in a field, the database is left to find out the numbers while it looks for records.

It takes some 30,000 values in a statement: those of all terms a query may have are fewer.
"""
ALONE = 16
"""Of so few words each is asked of its index by itself, which tells the newest records first."""
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


class _Reach:
    """Where the records of a page may be, and from which end of that it is filled.

    Attributes:
        within: What holds for all of their ids.
    """

    def __init__(self, query: Query) -> None:
        self._upwards = query.after is not None
        self.within: list[Test] = []
        if query.before is not None:
            self.within.append(records.c.id < _plain(query.before))
        if query.after is not None:
            self.within.append(records.c.id > _plain(query.after))

    def nearest(self, connection: Connection, tests: Sequence[Test], limit: int, few: bool = False) -> list[str]:
        """Return the ids of the first ``limit`` records that pass, newest first.

        With ``few`` they are sorted when they are found, since a database that took them in their order might look at
        all the others as well.
        """
        ids = connection.scalars(select(records.c.id).where(*tests).order_by(self._order(few)).limit(limit))
        return self.page(ids, limit)

    def page(self, ids: Iterable[str], limit: int) -> list[str]:
        """Return the first ``limit`` of some ids, newest first."""
        found = sorted(ids, reverse=not self._upwards)[:limit]
        return found[::-1] if self._upwards else found

    def next(self) -> Test:
        """Tell the first ``NEXT`` records from the others."""
        last = select(records.c.id).where(*self.within).order_by(self._order()).limit(1).offset(NEXT).scalar_subquery()
        return records.c.id <= func.coalesce(last, _LAST) if self._upwards else records.c.id >= func.coalesce(last, "")

    def _order(self, few: bool = False) -> ColumnElement[str]:
        key = records.c.id.concat("") if few else records.c.id
        return key.asc() if self._upwards else key.desc()


def page(connection: Connection, query: Query, limit: int) -> list[Record]:
    """Return up to ``limit`` records that match, newest first."""
    conditions = list(_conditions(connection, query))
    reach = _Reach(query)
    ids = reach.nearest(connection, [*reach.within, reach.next(), *_tests(conditions)], limit)
    if len(ids) < limit:
        ids = _further(connection, reach, conditions, limit)
    return [record for piece in _pieces(ids) for record in _whole(connection, piece)]


def count(connection: Connection, query: Query) -> int:
    """Return how many records match."""
    within = _Reach(query).within
    chosen = _chosen(connection, within, list(_conditions(connection, query)))
    if chosen is None:
        return 0
    ways, rest = chosen
    found = _found(within, ways)
    return connection.scalar(select(func.count()).select_from(records).where(*found, *_tests(rest))) or 0


def one(connection: Connection, id: str) -> Record | None:
    """Return the record of that id."""
    document = connection.scalar(select(documents.c.record).where(documents.c.id == _plain(id)))
    return None if document is None else _decode(document)


def _further(connection: Connection, reach: _Reach, conditions: Sequence[_Condition], limit: int) -> list[str]:
    """Return the ids of the first ``limit`` records that match, wherever they are."""
    chosen = _chosen(connection, reach.within, conditions)
    if chosen is None:
        return []
    ways, rest = chosen
    if rest or not ways:
        return reach.nearest(connection, [*_found(reach.within, ways), *_tests(rest)], limit, few=bool(ways))
    # Nothing else is asked, so that each index by itself tells which come first.
    return reach.page({id for way in ways for id in reach.nearest(connection, [*reach.within, way], limit)}, limit)


def _found(within: Sequence[Test], ways: Sequence[Test]) -> Sequence[Test]:
    """Return what leads to the records of one of the ``ways``; to all of them when there are none."""
    if not ways:
        return within
    ids = union(*(select(records.c.id).where(way, *within) for way in ways)).subquery()
    return [records.c.id.in_(select(ids.c.id))]


def _tests(conditions: Sequence[_Condition]) -> list[Test]:
    return [condition.test for condition in conditions]


def _whole(connection: Connection, ids: Sequence[str]) -> Iterator[Record]:
    chosen = select(documents.c.record).where(documents.c.id.in_(ids)).order_by(documents.c.id.desc())
    return map(_decode, connection.scalars(chosen))


def _chosen(
    connection: Connection, within: Sequence[Test], conditions: Sequence[_Condition]
) -> tuple[Sequence[Test], Sequence[_Condition]] | None:
    """Return the ways to the rarest condition, if it is rare, and the other ones; None when nothing can match."""
    rest = list(conditions)
    rarest, fewest = None, RARE
    for condition in conditions:
        if not condition.ways:
            return None
        ids = union_all(*(select(records.c.id).where(way, *within) for way in condition.ways)).limit(RARE).subquery()
        found = connection.scalar(select(func.count()).select_from(ids)) or 0
        if found == 0:
            return None
        if found < fewest:
            rarest, fewest = condition, found
    if rarest is None:
        return (), rest
    rest.remove(rarest)
    return rarest.ways, rest


def _conditions(connection: Connection, query: Query) -> Iterator[_Condition]:
    for term in query.terms:
        yield _of_term(connection, term)
    for word, text in (("dialect", query.dialect), ("outcome", query.outcome)):
        if text is not None:
            yield _of_words(connection, word, texts.c.folded == fold(text))
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


def _of_term(connection: Connection, term: Term) -> _Condition:
    wanted = fold(term.text)
    fields = [_of_field(connection, field, wanted) for field in looked_at(term)]
    return _Condition(tuple(way for field in fields for way in field.ways), or_(*(field.test for field in fields)))


def _of_field(connection: Connection, field: str, wanted: str) -> _Condition:
    column = records.c[field]
    if field in PREFIXES:
        begins = func.substr(column, 1, len(wanted)) == wanted
        return _Condition((and_(column >= wanted, column < wanted + _LAST),), begins)
    if field == "status":
        statuses = [number for number in _STATUSES if wanted in str(number)]
        return _Condition((column.in_(statuses),) if statuses else (), (column + 0).in_(statuses))
    return _of_words(connection, field, texts.c.folded.contains(wanted, autoescape=True))


def _of_words(connection: Connection, field: str, which: Test) -> _Condition:
    column = records.c[field]
    asked = select(texts.c.id).where(texts.c.field == field, which)
    numbers = connection.scalars(asked.limit(MOST_NUMBERS + 1)).all()
    if len(numbers) > MOST_NUMBERS:
        return _Condition((column.in_(asked),), (column + 0).in_(asked))
    if len(numbers) > ALONE:
        return _Condition((column.in_(numbers),), (column + 0).in_(numbers))
    return _Condition(tuple(column == number for number in numbers), (column + 0).in_(numbers))


def _pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _plain(id: str) -> str:
    """Return what can be asked of any database: what goes on behind a NUL is no id of ours."""
    return id.partition("\0")[0].encode("utf-8", "replace").decode("utf-8")
