"""The store as the daemon uses it: threads, opening, closing, and a database that does not play along."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from twisted.internet import reactor as the_reactor  # noqa: TID251 - threads answer to a real one
from twisted.internet.defer import Deferred, FirstError
from zope.interface.verify import verifyObject

import pytest_twisted
from netrunner.errors import StoreError
from netrunner.figures import Stats
from netrunner.interfaces import ILogStore
from netrunner.query import Query
from netrunner.store import database as database_module
from netrunner.store import writing
from netrunner.store.database import FILE, Database, locate
from netrunner.store.logs import LogStore, open_store
from netrunner.store.migrate import migrate
from netrunner.store.threads import REMEMBERED_S, Store
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from tests.support.logs import WarningLog

pytestmark = pytest.mark.integration

Make = Callable[..., Record]
EVERYTHING = Query()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(setting: str, folder: Path, clock: FakeClock) -> Iterator[LogStore]:
    migrate(locate(setting, folder).render_as_string(hide_password=False))
    made = open_store(setting, folder, the_reactor, clock)
    yield made
    pytest_twisted.blockon(made.stop())


@pytest.fixture
def migrated_folder(folder: Path) -> Path:
    """A state folder with an empty SQLite database."""
    migrate(locate("sqlite", folder).render_as_string())
    return folder


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The reasons of warnings logged meanwhile."""
    with WarningLog() as log:
        yield log.reasons


def test_the_store_is_what_the_interface_says(folder: Path, clock: FakeClock) -> None:
    assert verifyObject(ILogStore, open_store("sqlite", folder, the_reactor, clock))


@pytest_twisted.ensureDeferred
async def test_a_new_database_is_migrated_and_keeps_records_over_a_restart(
    setting: str, folder: Path, clock: FakeClock, record: Make, warnings: list[str]
) -> None:
    first = open_store(setting, folder, the_reactor, clock)
    await first.start()
    kept = [record(), record()]
    await first.add(kept)
    await first.stop()
    second = open_store(setting, folder, the_reactor, clock)
    await second.start()
    assert (await second.page(EVERYTHING, 10)).records == kept[::-1]
    assert await second.one(kept[0].id) == kept[0]
    assert await second.count(EVERYTHING) == 2
    await second.stop()
    assert warnings == []


@pytest_twisted.ensureDeferred
async def test_adding_at_once_loses_nothing(store: LogStore, record: Make) -> None:
    await store.start()
    made = [[record(model=f"m{n}") for _ in range(5)] for n in range(20)]
    for adding in [Deferred.fromCoroutine(store.add(batch)) for batch in made]:
        await adding
    assert await store.count(EVERYTHING) == 100


@pytest_twisted.ensureDeferred
async def test_records_are_forgotten_while_others_are_added(
    store: LogStore, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FORGET_BATCH", 10)
    await store.start()
    await store.add([record(at_accept=float(second)) for second in range(60)])
    forgetting = Deferred.fromCoroutine(store.forget(50.0))
    await store.add([record(at_accept=100.0)])
    assert not forgetting.called
    assert await forgetting == 50
    assert await store.count(EVERYTHING) == 11


@pytest_twisted.ensureDeferred
async def test_space_is_given_back_when_that_is_wanted(migrated_folder: Path, clock: FakeClock, record: Make) -> None:
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()

    async def size(vacuum: bool) -> int:
        await store.add([record(at_accept=1.0, correlation_id="x" * 1000) for _ in range(2000)])
        await store.forget(2.0, vacuum)
        with sqlite3.connect(migrated_folder / FILE) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.close()
        return int(pages)

    full = await size(False)
    assert full > 500
    assert await size(True) < full / 5
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_figures_are_of_all_records_and_of_the_last_day(store: LogStore, record: Make) -> None:
    await store.start()
    now_s = 1_000_000.0
    await store.add(
        [
            record(at_accept=now_s - 86_401, dialect="openai"),
            record(at_accept=now_s - 86_400, dialect="openai"),
            record(at_accept=now_s, dialect="ollama"),
            record(at_accept=now_s, dialect=None),
        ]
    )
    assert await store.stats(now_s) == Stats(4, 3, {"ollama": 1, "openai": 2})


@pytest_twisted.ensureDeferred
async def test_what_is_asked_of_a_closed_store_fails(store: LogStore, record: Make) -> None:
    with pytest.raises(StoreError, match="closed"):
        await store.add([record()])
    await store.start()
    await store.stop()
    with pytest.raises(StoreError, match="closed"):
        await store.page(EVERYTHING, 1)


@pytest_twisted.ensureDeferred
async def test_a_database_that_cannot_be_opened_is_a_warning_and_is_tried_again(
    folder: Path, clock: FakeClock, record: Make, warnings: list[str]
) -> None:
    missing = folder / "missing"
    store = open_store("sqlite", missing, the_reactor, clock)
    await store.start()
    assert len(warnings) == 1
    assert "cannot be opened" in warnings[0]
    missing.mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        await store.add([record()])
    clock.advance(Database.RETRY_S)
    await store.add([record()])
    assert await store.count(EVERYTHING) == 1
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_database_is_available_when_it_does_what_it_is_asked_or_nobody_asks_any_more(
    folder: Path, clock: FakeClock, record: Make, warnings: list[str]
) -> None:
    missing = folder / "missing"
    database = Store("sqlite", missing, the_reactor, clock)
    store = LogStore(database)
    await store.start()
    assert not available(database)
    missing.mkdir()
    clock.advance(Database.RETRY_S)
    assert await store.count(EVERYTHING) == 0
    assert not available(database)  # Nothing was written since.
    await store.add([record()])
    assert available(database)
    with pytest.raises(StoreError):
        await database.read(_refuse)
    assert not available(database)
    clock.advance(REMEMBERED_S)
    assert available(database)
    await store.stop()


def available(database: Store) -> bool:
    return database.available


def _refuse(connection: Connection) -> None:
    raise StoreError("no")


@pytest_twisted.ensureDeferred
async def test_what_others_keep_waiting_too_long_fails_and_is_never_done(
    migrated_folder: Path, clock: FakeClock
) -> None:
    store = Store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    let_go = threading.Event()
    begun: Deferred[None] = Deferred()
    done: list[str] = []
    reactor: Any = the_reactor

    def block(connection: Connection) -> None:
        reactor.callFromThread(begun.callback, None)
        let_go.wait()

    def note(connection: Connection, what: str) -> str:
        done.append(what)
        return what

    blocking = Deferred.fromCoroutine(store.write(block))
    await begun
    waiting = Deferred.fromCoroutine(store.write_soon(10.0, note, "late"))
    clock.advance(10.0)
    with pytest.raises(StoreError, match=r"busy for 10 s"):
        await waiting
    let_go.set()
    await blocking
    assert await store.write_soon(10.0, note, "in time") == "in time"
    assert (done, clock.calls) == (["in time"], [])
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_database_of_a_newer_version_is_left_alone(
    migrated_folder: Path, clock: FakeClock, warnings: list[str]
) -> None:
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    await store.stop()
    with sqlite3.connect(migrated_folder / FILE) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    with pytest.raises(StoreError, match="newer netrunner"):
        await store.count(EVERYTHING)
    await store.stop()
    assert len(warnings) == 1
    assert "newer netrunner" in warnings[0]


@pytest_twisted.ensureDeferred
async def test_a_password_in_the_url_is_in_no_message(folder: Path, clock: FakeClock, warnings: list[str]) -> None:
    store = open_store("postgresql://u:canary@127.0.0.1:1/db", folder, the_reactor, clock)
    await store.start()
    await store.stop()
    assert len(warnings) == 1
    assert "canary" not in warnings[0]


@pytest_twisted.ensureDeferred
async def test_postgresql_without_its_driver_is_told_what_is_missing(
    folder: Path, clock: FakeClock, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    store = open_store("postgresql://u@127.0.0.1:1/db", folder, the_reactor, clock)
    await store.start()
    await store.stop()
    assert warnings == ["PostgreSQL needs psycopg: pip install 'netrunner[postgres]'."]


def test_a_url_that_is_none_is_refused_at_once(folder: Path, clock: FakeClock) -> None:
    with pytest.raises(StoreError, match="no URL of a database"):
        open_store("postgresql://u@host:port/db", folder, the_reactor, clock)


@pytest_twisted.ensureDeferred
async def test_a_writer_waits_for_another_process_and_loses_nothing(
    migrated_folder: Path, clock: FakeClock, record: Make
) -> None:
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    other = sqlite3.connect(migrated_folder / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    adding = Deferred.fromCoroutine(store.add([record()]))
    assert (await store.page(EVERYTHING, 10)).records == []
    assert not adding.called
    other.execute("COMMIT")
    await adding
    assert await store.count(EVERYTHING) == 1
    other.close()
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_writer_that_waits_too_long_fails_whole_and_can_be_asked_again(
    migrated_folder: Path, clock: FakeClock, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TRIES", 1)
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    made = [record(), record()]
    other = sqlite3.connect(migrated_folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="Somebody else has been writing"):
        await store.add(made)
    other.execute("ROLLBACK")
    other.close()
    assert await store.count(EVERYTHING) == 0
    await store.add(made)
    await store.add(made)
    assert await store.count(EVERYTHING) == 2
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_store_that_waits_for_its_turn_can_be_stopped(
    migrated_folder: Path, clock: FakeClock, record: Make
) -> None:
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    other = sqlite3.connect(migrated_folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    adding = Deferred.fromCoroutine(store.add([record()]))
    await store.stop()
    with pytest.raises(StoreError, match="closed"):
        await adding
    other.close()


@pytest_twisted.ensureDeferred
async def test_a_stop_that_takes_too_long_is_given_up_and_leaves_no_failure_behind(
    migrated_folder: Path, clock: FakeClock, record: Make
) -> None:
    store = open_store("sqlite", migrated_folder, the_reactor, clock)
    await store.start()
    other = sqlite3.connect(migrated_folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    adding = Deferred.fromCoroutine(store.add([record()]))
    stopping = store.stop()
    stopping.cancel()
    with pytest.raises(FirstError):
        await stopping
    # Nobody has waited for who still works: that would have been here.
    assert not adding.called
    with pytest.raises(StoreError, match="closed"):
        await adding
    other.close()
    await store.stop()


def test_neither_the_database_nor_what_patterns_need_is_loaded_before_it_is_wanted() -> None:
    script = (
        "import sys, netrunner.service, netrunner.tap, netrunner.plugins.builtin, netrunner.store, netrunner.query\n"
        "assert not {'sqlalchemy', 'alembic', 'psycopg', 're2'} & set(sys.modules)\n"
        "import netrunner.store.logs\n"
        "assert not {'alembic', 'psycopg'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
