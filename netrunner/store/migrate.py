"""``python -m netrunner.store.migrate``: brings a database to the latest migration.

A process of its own, so that the daemon never loads Alembic. The URL comes on standard input, where no list of
processes shows its password. One migrates at a time; who comes second finds nothing left to do.

This module must not be imported by the daemon.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, make_url, text

from netrunner.errors import NewerDatabase, StoreError
from netrunner.process.limits import forbid_dumps
from netrunner.store.database import NEWER, connect, plainly, revision

MIGRATIONS_LOCK = 0x6E657472756D
"""The advisory lock of PostgreSQL that whoever migrates holds."""
MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(url: str, to: str = "head") -> None:
    """Bring the database at ``url`` to a migration, the latest unless told; with what is there already nothing happens.

    Raises:
        NewerDatabase: when it or ``to`` is of a newer version than this code.
        StoreError: when it cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = connect(make_url(url))
    try:
        with plainly(), _alone(engine) as connection:
            for one in (revision(engine), None if to == "head" else to):
                _refuse_newer(ScriptDirectory.from_config(config), one)
            if connection.dialect.name == "sqlite":
                # The driver would leave every statement that makes a table on its own.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            connection.commit()
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Hold the one lock there is for migrations of this database."""
    with contextlib.ExitStack() as held:
        if engine.dialect.name == "sqlite":
            lock = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        connection = held.enter_context(engine.connect())
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATIONS_LOCK})
        yield connection


def _refuse_newer(known: ScriptDirectory, found: str | None) -> None:
    if found is not None and found not in {script.revision for script in known.walk_revisions()}:
        raise NewerDatabase(
            f"The database is of a newer netrunner (migration {found}, this one knows {known.get_current_head()}): "
            "start that one, or name another database."
        )


def main() -> int:
    """Migrate what standard input names; return 1 with one sentence on standard error when that is not possible.

    Returns ``NEWER`` where that is so because the database is of a newer version.
    """
    forbid_dumps()
    try:
        migrate(sys.stdin.readline().strip())
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return NEWER if isinstance(error, NewerDatabase) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
