"""A ``Query`` as SQL: which records match, newest first.

Most pages are full of the records next to where they begin, so those are looked through first. After that, a
condition that few records meet is asked of its index, for all of them; which one that is, is found out by counting, and
counting ends at ``RARE``. Where many records meet every condition a page looks at a bounded number of them, and says
how far it came: at the next ``MOST`` of all, or at the next of those that meet one condition, whichever leads further.
Words are looked up before records are: a database that is told their numbers knows how many records have them, and asks
the right index.

This module must not write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, false, func, or_, select, union, union_all

from netrunner.query import FAILED_STATUS, PREFIXES, Found, Query, Term, between, fold, is_status, looked_at
from netrunner.store.tables import documents, records, texts
from netrunner.values import Record

NEXT = 5_000
"""So many of the records next to where a page begins are looked through before anything else."""
RARE = 30_000
"""Fewer records than that are found by an index, whatever else is asked of them."""
RARE_ALONE = 100_000
"""The same where nothing else is asked of them."""
COUNTED = 120_000
"""So many are counted for a page at the most: of many conditions each has to be met by fewer to be found rare."""
MOST = 60_000
"""So many records are looked through for a page where no condition is rare."""
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
        in_order: Whether the index of each way has its records in the order of their ids.
    """

    ways: tuple[Test, ...]
    test: Test
    in_order: bool = False


class _Reach:
    """Where the records of a page may be, and from which end of that it is filled."""

    def __init__(self, query: Query) -> None:
        self._upwards = query.after is not None
        # One bound at each end, since of two a database may look at the first alone.
        low, high = between(query)
        self._low = [] if low is None else [records.c.id > _plain(low)]
        self._high = [] if high is None else [records.c.id < _plain(high)]

    @property
    def within(self) -> list[Test]:
        """What holds for all of their ids."""
        return [*self._low, *self._high]

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

    def last(self, connection: Connection, of: int, *way: Test) -> str | None:
        """Return the id behind the next ``of`` records, or those found by a way; None where there are no more."""
        chosen = select(records.c.id).where(*way, *self.within).order_by(self._order()).limit(1).offset(of)
        return connection.scalar(chosen)

    def nearest_of(self, ids: Iterable[str]) -> str | None:
        """Return the one that is come to first; None without any."""
        return (min if self._upwards else max)(ids, default=None)

    def is_beyond(self, last: str | None, other: str | None) -> bool:
        """Return whether ``last`` is farther than ``other``; None is the end."""
        if last is None or other is None:
            return last is None and other is not None
        return last > other if self._upwards else last < other

    def up_to(self, last: str | None) -> list[Test]:
        """Return what holds for the ids of all records from the first one to that."""
        if last is None:
            return self.within
        return [*self._low, records.c.id <= last] if self._upwards else [records.c.id >= last, *self._high]

    def _order(self, few: bool = False) -> ColumnElement[str]:
        key = records.c.id.concat("") if few else records.c.id
        return key.asc() if self._upwards else key.desc()


def page(connection: Connection, query: Query, limit: int) -> Found:
    """Return up to ``limit`` records that match, newest first; fewer where enough were looked at."""
    conditions = list(_conditions(connection, query))
    reach = _Reach(query)
    last = reach.last(connection, NEXT)
    searched = None
    ids = reach.nearest(connection, [*reach.up_to(last), *_tests(conditions)], limit)
    if len(ids) < limit and last is not None:
        ids, searched = _further(connection, reach, conditions, limit)
    return Found([record for piece in _pieces(ids) for record in _whole(connection, piece)], searched)


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


def _further(
    connection: Connection, reach: _Reach, conditions: Sequence[_Condition], limit: int
) -> tuple[list[str], str | None]:
    """Return the ids of the first ``limit`` records that match, and the last one looked at if there may be more."""
    chosen = _chosen(connection, reach.within, conditions)
    if chosen is None:
        return [], None
    ways, rest = chosen
    if ways and not rest:
        # Nothing else is asked, so that each index by itself tells which come first.
        each = {id for way in ways for id in reach.nearest(connection, [*reach.within, way], limit)}
        return reach.page(each, limit), None
    last = None
    if not ways:
        ways, rest, last = _farthest(connection, reach, conditions)
    tests = [*_found(reach.up_to(last), ways), *_tests(rest)]
    ids = reach.nearest(connection, tests, limit, few=bool(ways))
    return ids, last if len(ids) < limit else None


def _farthest(
    connection: Connection, reach: _Reach, conditions: Sequence[_Condition]
) -> tuple[Sequence[Test], Sequence[_Condition], str | None]:
    """Return by which ways a bounded number of records leads farthest, what is left to test, and how far that is."""
    ways: Sequence[Test] = ()
    rest = conditions
    last = reach.last(connection, MOST)
    for condition in conditions:
        if condition.in_order and len(condition.ways) <= ALONE:
            each = _rare(conditions) // len(condition.ways)
            lasts = (reach.last(connection, each, way) for way in condition.ways)
            reached = reach.nearest_of(id for id in lasts if id is not None)
            if reach.is_beyond(reached, last):
                ways, rest, last = condition.ways, [one for one in conditions if one is not condition], reached
    return ways, rest, last


def _found(within: Sequence[Test], ways: Sequence[Test]) -> Sequence[Test]:
    """Return what leads to the records of one of the ``ways``; to all of them when there are none."""
    if len(ways) < 2:
        return [*within, *ways]
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
    if len(rest) == 1 and rest[0].in_order and rest[0].ways:
        return rest[0].ways, ()
    rarest, fewest = None, _rare(conditions)
    for condition in conditions:
        if not condition.ways:
            return None
        ids = union_all(*(select(records.c.id).where(way, *within) for way in condition.ways)).limit(fewest).subquery()
        found = connection.scalar(select(func.count()).select_from(ids)) or 0
        if found == 0:
            return None
        if found < fewest:
            rarest, fewest = condition, found
    if rarest is None:
        return (), rest
    rest.remove(rarest)
    return rarest.ways, rest


def _rare(conditions: Sequence[_Condition]) -> int:
    """Return the number of records that is too many to be looked at for one of some conditions."""
    return RARE_ALONE if len(conditions) < 2 else min(RARE, COUNTED // len(conditions))


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
    # Without those that no record can meet, since each test counts when there are many records.
    fields = [field for field in fields if field.ways]
    ways = tuple(way for field in fields for way in field.ways)
    return _Condition(ways, or_(false(), *(field.test for field in fields)), all(field.in_order for field in fields))


def _of_field(connection: Connection, field: str, wanted: str) -> _Condition:
    column = records.c[field]
    if field in PREFIXES:
        begins = func.substr(column, 1, len(wanted)) == wanted
        return _Condition((and_(column >= wanted, column < wanted + _LAST),), begins)
    if field == "status":
        statuses = [number for number in _STATUSES if is_status(number, wanted)]
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
    return _Condition(tuple(column == number for number in numbers), (column + 0).in_(numbers), in_order=True)


def _pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _plain(id: str) -> str:
    """Return what can be asked of any database: what goes on behind a NUL is no id of ours."""
    return id.partition("\0")[0].encode("utf-8", "replace").decode("utf-8")
