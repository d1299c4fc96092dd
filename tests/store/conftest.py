"""Both databases, each empty and of the latest migration; and records to put in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from netrunner.store.database import Database, locate
from netrunner.store.migrate import migrate
from netrunner.store.tables import metadata
from netrunner.values import Record
from tests.support.postgres import Postgres
from tests.support.records import record_maker

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for everybody."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=KINDS)
def setting(request: pytest.FixtureRequest) -> str:
    """The setting ``store`` of an empty database without tables."""
    if request.param == "sqlite":
        return "sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="module", params=KINDS)
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    setting = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    with opened(setting, tmp_path_factory.mktemp("store")) as database:
        yield database


@contextlib.contextmanager
def opened(setting: str, folder: Path) -> Iterator[Database]:
    """Migrate a database and open it."""
    url = locate(setting, folder)
    migrate(url.render_as_string(hide_password=False))
    database = Database(url, refuse_to_migrate, lambda: 0.0)
    yield database
    database.close()


def refuse_to_migrate(url: object) -> None:
    raise AssertionError(f"{url} is of the latest migration")


@pytest.fixture
def database(migrated: Database) -> Database:
    """A database with empty tables, for use in this thread."""
    empty(migrated)
    return migrated


def empty(database: Database) -> None:
    database.write(lambda connection: [connection.execute(delete(table)) for table in reversed(metadata.sorted_tables)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path


@pytest.fixture
def record() -> Callable[..., Record]:
    """Return a maker of records: each a second younger than the one before, with an id of its own."""
    return record_maker()
