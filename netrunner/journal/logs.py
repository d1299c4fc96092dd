"""Finding records in the journal itself, where no database keeps them: newest first, segment by segment.

Reading is done by a thread. This module must not write.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from netrunner.errors import Expired
from netrunner.figures import DAY_S, Stats
from netrunner.interfaces import ILogs
from netrunner.journal.records import walk
from netrunner.journal.segments import Reader, Span, first_id
from netrunner.journal.upward import Places
from netrunner.journal.verify import LANES, journals
from netrunner.query import Found, Query, between, look_through, matches
from netrunner.values import Record

MAX_COUNTED = 200_000
"""Records that are counted, the newest; what is older is not."""
MOST = 100_000
"""Records that are looked at for a page; each takes some 30 us."""


@implementer(ILogs)
class JournalLogs:
    """The journals of a state folder, as a place to look for records.

    Args:
        state: The state folder.
        reactor, pool: The pool reads; None in a test that reads at once.
        most: Records that are looked at for a page.
    """

    def __init__(self, state: Path, reactor: Any = None, pool: Any = None, most: int = MOST) -> None:
        self._state = state
        self._most = most
        self._places = Places(state, most)
        self._reactor, self._pool = reactor, pool

    async def page(self, query: Query, limit: int) -> Found:
        """Return up to ``limit`` records that match."""
        found: Found = await self._read(self._page, query, limit)
        return found

    async def one(self, id: str) -> Record | None:
        """Return the record of that id."""
        found: Record | None = await self._read(find, self._state, id)
        return found

    async def count(self, query: Query) -> int:
        """Return how many match, of the newest ``MAX_COUNTED``."""
        found: int = await self._read(_count, self._state, query)
        return found

    async def stats(self, now_s: float) -> Stats:
        """Return how many records there are, of the newest ``MAX_COUNTED``."""
        found: Stats = await self._read(_stats, self._state, now_s)
        return found

    async def _read(self, function: Any, *arguments: Any) -> Any:
        if self._pool is None:
            return function(*arguments)
        return await deferToThreadPool(self._reactor, self._pool, function, *arguments)

    def _page(self, query: Query, limit: int) -> Found:
        if query.after is not None:
            return self._places.page(query, limit)
        low, high = between(query)
        newest = newest_first(self._state, high)
        if low is not None:
            newest = takewhile(lambda record: record.id > low, newest)
        return look_through(query, newest, limit, self._most)


def find(state: Path, id: str) -> Record | None:
    """Return the record of that id."""
    newest = next(newest_first(state, id + "~"), None)
    return newest if newest is not None and newest.id == id else None


def _count(state: Path, query: Query) -> int:
    return sum(matches(query, record) for record in islice(newest_first(state, query.before), MAX_COUNTED))


def _stats(state: Path, now_s: float) -> Stats:
    total = recent = 0
    by_dialect: Counter[str] = Counter()
    for record in islice(newest_first(state), MAX_COUNTED):
        total += 1
        recent += record.at_accept >= now_s - DAY_S
        if record.dialect is not None:
            by_dialect[record.dialect.lower()] += 1
    return Stats(total, recent, dict(by_dialect))


def newest_first(state: Path, before: str | None = None) -> Iterator[Record]:
    """Yield the records of every journal, the newest first; those of one process in the order of their ids."""
    rows = [_lane(folder, lane, before) for folder in journals(state) for lane in LANES]
    return heapq.merge(*rows, key=lambda record: record.id, reverse=True)


def _lane(folder: Path, lane: str, before: str | None) -> Iterator[Record]:
    """Yield the records of one lane by their ids.

    They stand there by their ends. Whatever ended before a segment began has begun before it too, so its id is lower
    than one made at that time.
    """
    if before is not None and folder.name > before:
        return
    reader = Reader(folder, lane)
    held: list[Record] = []
    try:
        for span in reversed(reader.spans):
            held += _span(reader, span, before)
            held.sort(key=lambda record: record.id)
            oldest = first_id(span.segment)
            while held and held[-1].id >= oldest:
                yield held.pop()
        while held:
            yield held.pop()
    finally:
        reader.close()


def _span(reader: Reader, span: Span, before: str | None) -> Iterator[Record]:
    try:
        for step in walk(reader, span.segment.start):
            if span.end is not None and step.end > span.end:
                return
            if step.record is not None and (before is None or step.record.id < before):
                yield step.record
    except Expired:
        return
