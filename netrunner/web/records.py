"""The exchanges that the log API tells of, wherever they are: in progress, just ended, or in the log.

This module must not answer any request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netrunner.errors import NotFound
from netrunner.interfaces import IClock, ICopies, ILogs
from netrunner.pipeline.live import Live
from netrunner.query import Found, Query, matches, nearest
from netrunner.values import Record
from netrunner.web.alerts import Watch
from netrunner.web.live import Onlookers
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.recent import Recent
from netrunner.web.rows import Row, newest_first, row, row_in_progress


class Page(NamedTuple):
    """Rows of the log."""

    rows: list[Row]
    """Newest first."""
    more: bool
    """Whether the page is full, and there may be more behind it."""
    searched: str | None
    """As of ``Found``: how far was searched, where that was far enough for one page that is not full."""


class Records:
    """All of them, and who looks on.

    Args:
        logs: Returns where records are found; it may be another place later.
        copies: Reads messages.
        live: What is in progress.
        clock: Time.
        onlookers: Those who look on.
        recent: What ended lately, whether the log knows it or not.
        neighbours: What goes on in other processes.
        watch: Sees what an operator has to know; None where nobody does.
    """

    def __init__(
        self,
        logs: Callable[[], ILogs],
        copies: ICopies,
        live: Live,
        clock: IClock,
        onlookers: Onlookers,
        recent: Recent,
        neighbours: Neighbours = ALONE,
        watch: Watch | None = None,
    ) -> None:
        self.logs, self.copies, self.live, self.clock = logs, copies, live, clock
        self.onlookers, self.recent, self.neighbours, self.watch = onlookers, recent, neighbours, watch

    async def in_progress(self) -> list[Row]:
        """Return a row for each exchange in progress, the newest first; of other processes the newest ones only."""
        elsewhere = await self.neighbours.in_progress()
        return newest_first([row_in_progress(one) for one in reversed(self.live.inflight.values())], elsewhere)

    async def count_in_progress(self) -> int:
        """Return how many there are, however many of them ``in_progress`` tells of."""
        return len(self.live.inflight) + await self.neighbours.count()

    async def one(self, id: str) -> Record:
        """Return the record of an exchange that has ended.

        Raises:
            NotFound: when there is none of that id.
        """
        record: Record | None = self.recent.one(id) or await self.logs().one(id) or await self.neighbours.ended(id)
        if record is None:
            raise NotFound(f"There is no request {id!r}.", code="not_found")
        return record

    async def ended(self, query: Query, limit: int) -> list[Record]:
        """Return the records of exchanges that have ended, newest first and at most ``limit``."""
        found = await newest(self.logs(), query, limit)
        return self.recent.merged([*found, *await self.neighbours.recent(query, limit)], limit, query)

    async def page(self, query: Query, limit: int) -> Page:
        """Return the rows that match, newest first and at most ``limit``.

        The log is asked first: whatever ends while it searches is among what ended lately.
        """
        found = await self.logs().page(query, limit)
        elsewhere = await self.neighbours.recent(query, limit + 1)
        rows = [row(record) for record in self.recent.merged([*found.records, *elsewhere], limit + 1, query)]
        running = self.live.inflight.values()
        rows += [row_in_progress(one) for one in running if matches(query, one.record(), ended=False)]
        rows += await self.neighbours.matching(query)
        rows = [one for one in rows if found.reaches(query, one["id"])]
        rows.sort(key=lambda one: one["id"], reverse=True)
        more = len(rows) > limit or len(found.records) == limit
        return Page(nearest(query, rows, limit), more, None if more else found.searched)


async def newest(logs: ILogs, query: Query, limit: int) -> list[Record]:
    """Return the newest ``limit`` records of a log that match, newest first, however far they have to be looked for.

    Pieces are asked for one by one, so that nobody else waits for long.

    Raises:
        StoreError: when the log cannot be read.
    """
    records: list[Record] = []
    further: Query | None = query
    while further is not None and len(records) < limit:
        left = limit - len(records)
        found: Found = await logs.page(further, left)
        records += found.records
        further = found.onward(further, left)
    return records
