"""PostgreSQL goes away under load: nothing is lost, nothing is there twice, and the store finds it again by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from twisted.internet import reactor as the_reactor  # noqa: TID251 - threads answer to a real one
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

import pytest_twisted
from netrunner.errors import StoreError
from netrunner.query import Query
from netrunner.store.logs import open_store
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from tests.support.postgres import Postgres
from tests.support.records import Cursor

pytestmark = pytest.mark.integration


@pytest_twisted.ensureDeferred
async def test_restarts_of_postgresql_lose_nothing_and_double_nothing(
    postgres: Postgres, folder: Path, record: Callable[..., Record]
) -> None:
    store = open_store(postgres.database(), folder, the_reactor, FakeClock())
    await store.start()
    cursor = Cursor(store, the_reactor)
    made = [[record() for _ in range(5)] for _ in range(60)]

    async def load() -> None:
        for batch in made:
            await cursor.add(batch)

    loading = Deferred.fromCoroutine(load())
    for _ in range(3):
        await deferToThread(postgres.restart)
    await loading
    kept = (await store.page(Query(), 1000)).records
    await store.stop()
    assert [one.id for one in kept] == [one.id for batch in reversed(made) for one in reversed(batch)]


@pytest_twisted.ensureDeferred
async def test_a_batch_whose_connection_is_cut_is_added_whole_or_not_at_all(
    postgres: Postgres, folder: Path, record: Callable[..., Record]
) -> None:
    url = postgres.database()
    store = open_store(url, folder, the_reactor, FakeClock())
    await store.start()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    made = [record() for _ in range(3)]
    with engine.connect() as other:
        # The writer hangs in the middle of its transaction, and is cut off there.
        other.execute(text("LOCK TABLE documents"))
        adding = Deferred.fromCoroutine(store.add(made))
        hanging = text("SELECT pid FROM pg_locks WHERE NOT granted")
        pids: list[int] = []
        while not pids:
            pids = await deferToThread(lambda: list(other.scalars(hanging)))
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pids[0]})
        with pytest.raises(StoreError, match="connection"):
            await adding
        other.rollback()
    engine.dispose()
    assert await store.count(Query()) == 0
    await store.add(made)
    assert (await store.page(Query(), 10)).records == made[::-1]
    await store.stop()
