"""One database, as a thread uses it: connected, of the right version, and with transactions that wait their turn.

SQLite by default: write-ahead log, so that nobody who reads waits for the writer or the other way round, and space
that is given back page by page. PostgreSQL by URL, through psycopg. Whatever goes wrong becomes a ``StoreError``
that names no statement and no value.

This module must not run on the reactor's thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from netrunner.errors import StoreError
from netrunner.store.tables import REVISION

P = ParamSpec("P")
T = TypeVar("T")

FILE = "netrunner.sqlite3"
"""Name of the SQLite database in the state folder."""
CONNECTIONS = 3
"""One for each thread."""
BUSY_S = 1
BUSY_TRIES = 10
"""How long a writer waits for another process: so many times as long; then it fails, and may be asked again.

SQLite waits for one such time (``busy_timeout``), so that closing the database never takes longer.
"""
WRITERS_LOCK = 0x6E657472756E
"""The advisory lock of PostgreSQL that whoever writes holds; SQLite locks by itself."""
_PRAGMAS = (
    "PRAGMA busy_timeout=1000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    # Every word has a page of its index that is written to next: these have room, and are not copied back each time.
    "PRAGMA cache_size=-8000",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA journal_size_limit=67108864",
)
NEWER = 3
"""Status of the process that was to migrate a database of a newer version."""
POSTGRESQL = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "netrunner",
    "options": f"-c lock_timeout={BUSY_S * BUSY_TRIES * 1000}",
}


def locate(store: str, state_folder: Path) -> URL:
    """Return where the database is.

    Args:
        store: The setting: ``sqlite``, ``sqlite:PATH``, or a ``postgresql://`` URL.
        state_folder: Holds the file of SQLite.

    Raises:
        StoreError: for a URL that is none.
    """
    if store.startswith("sqlite:"):
        return URL.create("sqlite", database=store.removeprefix("sqlite:"))
    if store == "sqlite":
        return URL.create("sqlite", database=str(state_folder / FILE))
    try:
        return make_url(store).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        # Without its cause, which quotes a part that may be the password's.
        raise StoreError("The setting store is no URL of a database.") from None


def connect(url: URL) -> Engine:
    """Return an engine for the database at ``url``; connects when it is first used.

    Raises:
        StoreError: when there is no driver for it, or no place for its file.
    """
    try:
        if url.drivername == "sqlite":
            os.close(os.open(str(url.database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=0)
            event.listen(engine, "connect", _prepare)
            return engine
        return create_engine(url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True, connect_args=POSTGRESQL)
    except OSError as error:
        raise StoreError(f"The database {url.database} cannot be opened: {error.strerror}.") from error
    except ImportError as error:
        raise StoreError("PostgreSQL needs psycopg: pip install 'netrunner[postgres]'.") from error


def _prepare(connection: Any, _: object) -> None:
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # Only of an empty file, and before the write-ahead log, which writes the first page.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for pragma in _PRAGMAS:
        connection.execute(pragma)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Turn every error of a database into a ``StoreError``."""
    try:
        yield
    except DBAPIError as error:
        # The driver's own first line: what comes after it, and SQLAlchemy's own words, would show values.
        told = str(error.orig).strip().partition("\n")[0].rstrip(".")
        raise StoreError(f"The database does not do what it is asked: {told}.") from error
    except SQLAlchemyError as error:
        raise StoreError(f"The database cannot be used: {type(error).__name__}.") from error
    except msgspec.MsgspecError as error:
        raise StoreError("A record in the database cannot be read.") from error


class Database:
    """Reads and writes; opens by itself when it is first asked, and again after it could not.

    Args:
        url: Where it is.
        migrate: Brings a database that is not of ``REVISION`` there, or raises ``StoreError``.
        seconds: Monotonic time.
    """

    RETRY_S = 5.0
    """So long whoever asks is told what was wrong the last time."""

    def __init__(self, url: URL, migrate: Callable[[URL], None], seconds: Callable[[], float]) -> None:
        self.url = url
        self._migrate = migrate
        self._seconds = seconds
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._refusal: StoreError | None = None
        self._refused_at = 0.0
        self._closing = False

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work(connection, ...)`` returns; it must not write.

        Raises:
            StoreError: when the database cannot be read.
        """
        engine = self._opened()
        with plainly(), engine.connect() as connection:
            return work(connection, *args, **kwargs)

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work(connection, ...)`` returns, once everything it wrote is committed; or nothing of it is.

        Raises:
            StoreError: when the database takes nothing, or somebody else writes for too long.
        """
        engine = self._opened()
        with plainly(), engine.connect() as connection:
            self._take_turn(connection)
            result = work(connection, *args, **kwargs)
            connection.commit()
            return result

    def give_up(self) -> None:
        """Begin nothing more; whoever waits for his turn fails within ``BUSY_S``. May be called from any thread."""
        self._closing = True

    def close(self) -> None:
        """Let go of every connection, when nobody uses one any more."""
        self._closing = True
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> Engine:
        if self._closing:
            raise StoreError("The database is closed.")
        with self._lock:
            if self._engine is not None:
                return self._engine
            if self._refusal is not None and self._seconds() - self._refused_at < self.RETRY_S:
                raise type(self._refusal)(str(self._refusal)) from self._refusal
            try:
                self._engine = self._open()
            except StoreError as error:
                self._refusal, self._refused_at = error, self._seconds()
                raise
            return self._engine

    def _open(self) -> Engine:
        engine = connect(self.url)
        try:
            with plainly():
                found = revision(engine)
            if found != REVISION:
                self._migrate(self.url)
        except StoreError:
            engine.dispose()
            raise
        return engine

    def _take_turn(self, connection: Connection) -> None:
        """Begin a transaction that nobody else writes beside."""
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITERS_LOCK})
            return
        for _ in range(BUSY_TRIES):
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig):
                    raise
                if self._closing:
                    raise StoreError("The database is closed.") from error
        raise StoreError(f"Somebody else has been writing to the database for {BUSY_S * BUSY_TRIES} s.")


def revision(engine: Engine) -> str | None:
    """Return the migration that a database is of; None for an empty one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found
