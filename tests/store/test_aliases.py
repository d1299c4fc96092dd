"""Aliases in both databases: kept, replaced, forgotten, copied to a file."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from netrunner.errors import StoreError
from netrunner.store import aliases
from netrunner.store.database import Database
from netrunner.values import Alias

pytestmark = pytest.mark.integration

ONE = Alias("one", "org/m:tag", "https://llm.example/v1", 2.5)
TWO = Alias("two", "m", "http://127.0.0.1:9/x", 1.0)


def held(database: Database, path: Path) -> list[Alias]:
    database.write(aliases.copy, path)
    listed: list[Alias] = msgspec.json.decode(path.read_bytes(), type=list[Alias])
    return listed


def test_aliases_are_kept_in_the_order_they_were_registered_in(database: Database, folder: Path) -> None:
    path = folder / "aliases.json"
    assert held(database, path) == []
    assert database.write(aliases.put, ONE)
    assert database.write(aliases.put, TWO)
    assert held(database, path) == [TWO, ONE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.glob(".alias*")) == []


def test_one_of_the_same_name_takes_the_place_of_the_other(database: Database, folder: Path) -> None:
    newer = Alias("one", "n", "https://other.example", 3.0)
    for alias in (ONE, TWO, newer):
        database.write(aliases.put, alias)
    assert held(database, folder / "aliases.json") == [TWO, newer]


def test_one_that_is_forgotten_is_gone(database: Database, folder: Path) -> None:
    database.write(aliases.put, ONE)
    assert database.write(aliases.drop, "one") is True
    assert database.write(aliases.drop, "one") is False
    assert held(database, folder / "aliases.json") == []


def test_there_are_not_more_than_there_may_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "MAX_ALIASES", 1)
    assert database.write(aliases.put, ONE) is True
    assert database.write(aliases.put, TWO) is False
    assert database.write(aliases.put, ONE) is True


def test_a_file_that_cannot_be_written_is_told(database: Database, folder: Path) -> None:
    with pytest.raises(StoreError, match=r"aliases\.json cannot be written: No such file"):
        database.write(aliases.copy, folder / "missing" / "aliases.json")
