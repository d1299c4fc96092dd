"""The store at full size: another writer that holds SQLite for 30 s (row 26), 20 restarts of PostgreSQL (row 27)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic

import pytest
from twisted.internet import reactor as the_reactor  # noqa: TID251 - threads answer to a real one
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.query import Query, parse
from netrunner.store.database import FILE
from netrunner.store.logs import LogStore, open_store
from netrunner.values import Record
from tests.support.crowd import Figures
from tests.support.postgres import Postgres
from tests.support.records import Cursor, record_maker

pytestmark = [pytest.mark.integration, pytest.mark.torture]

HELD_S = 30.0
RATE = 200
"""Records a second meanwhile."""
RESTARTS = 20


class Load:
    """Adds ``RATE`` records a second in batches, until it is told to end, and then what is left."""

    def __init__(self, store: LogStore) -> None:
        self.made: list[Record] = []
        self.cursor = Cursor(store, the_reactor)
        self._make = record_maker()
        self._waiting: list[Record] = []
        self._ending = False

    async def run(self) -> None:
        """Add until the end."""
        arriving = LoopingCall(self._arrive)
        arriving.start(0.05)
        while not self._ending or self._waiting:
            batch, self._waiting = self._waiting, []
            if batch:
                await self.cursor.add(batch)
            await deferLater(the_reactor, 0.01)
            if self._ending and arriving.running:
                arriving.stop()

    def end(self) -> None:
        """Let nothing more arrive."""
        self._ending = True

    def _arrive(self) -> None:
        batch = [self._make() for _ in range(RATE // 20)]
        self.made += batch
        self._waiting += batch


class Lag:
    """How late the reactor comes to what it should do every 5 ms."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._last = monotonic()
        self._looking = LoopingCall(self._look)

    def __enter__(self) -> Lag:
        self._looking.start(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._looking.stop()

    def _look(self) -> None:
        now = monotonic()
        self.worst_s = max(self.worst_s, now - self._last - 0.005)
        self._last = now


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


async def kept(store: LogStore) -> list[str]:
    """Return the ids of everything in the store, page by page."""
    ids: list[str] = []
    before = None
    while page := (await store.page(Query(before=before), 1000)).records:
        ids += [one.id for one in page]
        before = ids[-1]
    return ids


def newest_first(made: Sequence[Record]) -> list[str]:
    return [one.id for one in reversed(made)]


@pytest_twisted.ensureDeferred
async def test_another_writer_that_holds_sqlite_for_long_costs_nothing(tmp_path: Path, figures: Figures) -> None:
    store = open_store("sqlite", tmp_path, the_reactor, SystemClock(the_reactor))
    await store.start()
    load = Load(store)
    loading = Deferred.fromCoroutine(load.run())
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until, pages = monotonic() + HELD_S, 0
    with Lag() as lag:
        while monotonic() < until:
            await store.page(Query(terms=parse("gpt status:200")), 100)
            await store.stats(0.0)
            await deferLater(the_reactor, 0.05)
            pages += 1
    other.execute("COMMIT")
    other.close()
    load.end()
    await loading
    ids = await kept(store)
    await store.stop()
    figures.add("records written meanwhile", f"{len(load.made)}, {len(ids)} kept")
    figures.add("adds that failed and were asked again", f"{len(load.cursor.refusals)}")
    figures.add("pages and figures read meanwhile", f"{pages}")
    figures.add("the reactor's longest lag", f"{lag.worst_s * 1000:.0f} ms")
    assert ids == newest_first(load.made)
    assert len(load.made) >= HELD_S * RATE / 2
    assert not [refusal for refusal in load.cursor.refusals if "locked" in refusal]
    assert pages > HELD_S


@pytest_twisted.ensureDeferred
async def test_restarts_of_postgresql_under_load_cost_nothing(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    store = open_store(postgres.database(), tmp_path, the_reactor, SystemClock(the_reactor))
    await store.start()
    load = Load(store)
    loading = Deferred.fromCoroutine(load.run())
    slowest_s = 0.0
    for _ in range(RESTARTS):
        await deferToThread(postgres.restart)
        began, taken = monotonic(), load.cursor.taken
        while load.cursor.taken == taken:
            await deferLater(the_reactor, 0.01)
        slowest_s = max(slowest_s, monotonic() - began)
    load.end()
    await loading
    ids = await kept(store)
    await store.stop()
    figures.add("records written meanwhile", f"{len(load.made)}, {len(ids)} kept, {len(set(ids))} different")
    figures.add("adds that failed and were asked again", f"{len(load.cursor.refusals)}")
    figures.add("from the restart to the next record taken", f"{slowest_s:.2f} s at the most")
    assert ids == newest_first(load.made)
    assert slowest_s <= 5.0
