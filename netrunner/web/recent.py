"""The exchanges that ended last, for the moment until the log knows them.

This module must not be asked for anything older: that is the log's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from netrunner.pipeline.live import Live
from netrunner.query import Query, matches, nearest
from netrunner.values import Record

EVERYTHING = Query()


class Recent:
    """Follows every exchange and keeps the last records.

    Args:
        live: What is followed.
        most: How many are kept.
    """

    def __init__(self, live: Live, most: int = 200) -> None:
        self._live = live
        self._records: deque[Record] = deque(maxlen=most)
        live.follow(self)

    def ended(self, record: Record) -> None:
        """Keep the record; forget the oldest."""
        self._records.append(record)

    def one(self, id: str) -> Record | None:
        """Return the record of that id while it is kept."""
        self._live.flush()
        return next((record for record in self._records if record.id == id), None)

    def merged(self, page: Sequence[Record], limit: int, query: Query = EVERYTHING) -> list[Record]:
        """Return a page of the log, newest first, with what the log does not know yet.

        Args:
            page: What the log found; if that is ``limit`` records, there may be more.
            limit: Records on a page.
            query: What the log was asked for.
        """
        self._live.flush()
        records = {record.id: record for record in self._records if matches(query, record)}
        records.update((record.id, record) for record in page)
        return nearest(query, sorted(records.values(), key=lambda record: record.id, reverse=True), limit)
