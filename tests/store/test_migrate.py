"""Migrations: from nothing to the tables, by one process at a time, never of a newer version."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from netrunner.errors import StoreError
from netrunner.store import tables
from netrunner.store.database import FILE, NEWER, Database, connect, locate, revision
from netrunner.store.migrate import MIGRATIONS, migrate
from tests.support.daemon import PATIENCE_S

pytestmark = pytest.mark.integration


def url_of(setting: str, folder: Path) -> str:
    return locate(setting, folder).render_as_string(hide_password=False)


def start(url: str) -> subprocess.Popen[str]:
    """Start the process that the daemon starts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "netrunner.store.migrate"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(f"{url}\n")
    process.stdin.flush()
    return process


def test_the_tables_are_those_that_the_migrations_make(setting: str, folder: Path) -> None:
    url = url_of(setting, folder)
    migrate(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_the_revision_that_is_asked_for_is_the_latest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == tables.REVISION


def test_migrating_again_changes_nothing(setting: str, folder: Path) -> None:
    url = url_of(setting, folder)
    migrate(url)
    migrate(url)
    engine = connect(locate(setting, folder))
    assert revision(engine) == tables.REVISION
    engine.dispose()


def test_several_processes_that_migrate_at_once_do_no_harm(setting: str, folder: Path) -> None:
    url = url_of(setting, folder)
    running = [start(url) for _ in range(3)]
    told = [process.communicate(timeout=PATIENCE_S * 2)[1] for process in running]
    assert [(process.returncode, text) for process, text in zip(running, told, strict=True)] == [(0, "")] * 3


def test_a_migration_waits_for_the_one_that_has_the_lock(folder: Path) -> None:
    path = folder / f"{FILE}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    process = start(url_of("sqlite", folder))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.0)
    os.close(lock)
    assert process.communicate(timeout=PATIENCE_S)[1] == ""
    assert process.returncode == 0


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(setting: str, folder: Path) -> None:
    url = url_of(setting, folder)
    migrate(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"newer netrunner \(migration 9999, this one knows 0003\)"):
        migrate(url)
    process = start(url)
    assert "newer netrunner" in process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == NEWER


def test_the_file_of_sqlite_is_its_owners_alone_and_gives_space_back(folder: Path) -> None:
    migrate(url_of("sqlite", folder))
    for name in (FILE, f"{FILE}.lock"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    database = Database(locate("sqlite", folder), lambda url: None, lambda: 0.0)
    pragmas = ("auto_vacuum", "journal_mode", "synchronous", "foreign_keys")
    asked = database.read(lambda connection: [connection.scalar(text(f"PRAGMA {name}")) for name in pragmas])
    assert asked == [2, "wal", 1, 1]
    database.close()
