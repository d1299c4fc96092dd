"""The records in the database, as ``ILogStore``.

This module must not run SQL on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.figures import Stats
from netrunner.interfaces import IClock, ILogStore, IStartable
from netrunner.query import Found, Query
from netrunner.store import figures, search, writing
from netrunner.store.threads import Store
from netrunner.values import Record


@implementer(ILogStore, IStartable)
class LogStore:
    """Keeps records and finds them again.

    Args:
        store: The database; started and stopped with this.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self) -> Deferred[None]:
        """Open the database; fires when it is open, or it is logged why it is not: it is then tried again by itself."""
        return self._store.start()

    def stop(self) -> Deferred[None]:
        """Close the database when what is under way has ended."""
        return self._store.stop()

    async def add(self, records: Sequence[Record]) -> None:
        """Store records, each once by its id, all or none."""
        if records:
            await self._store.write(writing.add, tuple(records))

    async def page(self, query: Query, limit: int) -> Found:
        """Return up to ``limit`` records that match, newest first."""
        return await self._store.read(search.page, query, limit)

    async def one(self, id: str) -> Record | None:
        """Return the record of that id."""
        return await self._store.read(search.one, id)

    async def count(self, query: Query) -> int:
        """Return how many records match."""
        return await self._store.read(search.count, query)

    async def stats(self, now_s: float) -> Stats:
        """Return how many records there are, at the Unix time ``now_s``.

        Raises:
            StoreError: when the database cannot be read.
        """
        return await self._store.read(figures.stats, now_s)

    async def forget(self, before_s: float, vacuum: bool = True) -> int:
        """Delete what was accepted before a Unix time, piece by piece: new records get their turn in between."""
        forgotten = 0
        while True:
            deleted = await self._store.write(writing.forget, before_s)
            forgotten += deleted
            if deleted < writing.FORGET_BATCH:
                break
        if forgotten:
            await self._store.write(writing.prune)
        while vacuum and await self._store.write(writing.vacuum):
            pass
        return forgotten


def open_store(store: str, state_folder: Path, reactor: Any, clock: IClock) -> LogStore:
    """Return the configured database; it is opened by its ``start``.

    Args:
        store: The setting: ``sqlite``, or a ``postgresql://`` URL.
        state_folder: Holds the file of SQLite.
        reactor: Hears from the database's threads.
        clock: Time.

    Raises:
        StoreError: for a URL that is none.
    """
    return LogStore(Store(store, state_folder, reactor, clock))
