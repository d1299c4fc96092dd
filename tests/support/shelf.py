"""Records in memory, as a place to find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from zope.interface import implementer

from netrunner.errors import StoreError
from netrunner.figures import DAY_S, Stats
from netrunner.interfaces import ILogs
from netrunner.query import Found, Query, look_through, matches
from netrunner.values import Record


@implementer(ILogs)
class Log:
    """Keeps records in memory; ``broken`` lets every question fail, ``most`` of them are looked at for a page."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records = list(records)
        self.broken = False
        self.most = 1_000_000
        self.asked: list[Query] = []

    async def page(self, query: Query, limit: int) -> Found:
        """Return a page of those that match."""
        self._check()
        self.asked.append(query)
        near = [one for one in self.records if matches(Query(before=query.before, after=query.after), one)]
        near.sort(key=lambda record: record.id, reverse=query.after is None)
        return look_through(query, near, limit, self.most)

    async def one(self, id: str) -> Record | None:
        """Find one."""
        self._check()
        return next((record for record in self.records if record.id == id), None)

    async def count(self, query: Query) -> int:
        """Count."""
        return len(self._matching(query))

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the database is away")

    def _matching(self, query: Query) -> list[Record]:
        self._check()
        self.asked.append(query)
        found = [record for record in self.records if matches(query, record)]
        return sorted(found, key=lambda record: record.id, reverse=True)

    async def stats(self, now_s: float) -> Stats:
        """Count by what was spoken."""
        self._check()
        spoken = Counter((record.dialect or "").lower() for record in self.records)
        recent = sum(record.at_accept >= now_s - DAY_S for record in self.records)
        return Stats(len(self.records), recent, dict(spoken))
