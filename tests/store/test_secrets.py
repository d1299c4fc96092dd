"""Secrets of a database: its pepper, rotation of the master key, keys that lie there as they are."""

from __future__ import annotations

import os
import secrets as chance
import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from netrunner.errors import StoreError
from netrunner.settings import Secret
from netrunner.store import projects, secrets
from netrunner.store.database import Database
from netrunner.store.master import FILE, keyring, renew
from netrunner.store.projects import KeyRow, ProjectRow
from netrunner.store.sealing import Keyring, MasterKey
from netrunner.store.tables import keys

pytestmark = pytest.mark.integration

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
BEFORE = Keyring([OLD], chance.token_bytes)
MEANWHILE = Keyring([NEW, OLD], chance.token_bytes)
AFTER = Keyring([NEW], chance.token_bytes)


def with_keys(connection: Connection, count: int) -> None:
    projects.add(connection, ProjectRow("p", "team", True, 0.0, 0.0))
    rows = [
        KeyRow(f"{n:05}", "p", "openai", "***", OLD.id, BEFORE.seal(b"key %d" % n, f"{n:05}")) for n in range(count)
    ]
    projects.put_keys(connection, "p", ["openai"], rows)


def opened(connection: Connection, keyring: Keyring) -> list[bytes]:
    return [keyring.open(row.sealed, row.sealed_by or "", row.id) for row in projects.keys_of(connection, ["p"])]


def test_the_pepper_is_made_once(database: Database) -> None:
    assert database.read(secrets.pepper, BEFORE) is None
    first = database.write(secrets.made_pepper, BEFORE, chance.token_bytes)
    assert database.write(secrets.made_pepper, BEFORE, chance.token_bytes) == first
    assert database.read(secrets.pepper, BEFORE) == first


def test_a_wrong_master_key_is_noticed_before_anything_is_written(database: Database) -> None:
    database.write(secrets.made_pepper, BEFORE, chance.token_bytes)
    with pytest.raises(StoreError, match=OLD.id):
        database.write(secrets.made_pepper, AFTER, chance.token_bytes)


def test_a_rotation_goes_on_where_it_was_interrupted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "BATCH", 4)
    pepper = database.write(secrets.made_pepper, BEFORE, chance.token_bytes)
    database.write(with_keys, 9)
    assert database.write(secrets.reseal, MEANWHILE) == 4
    assert database.read(secrets.status) == {OLD.id: 6, NEW.id: 4}
    assert database.read(opened, MEANWHILE) == [b"key %d" % n for n in range(9)]
    rest = [database.write(secrets.reseal, MEANWHILE) for _ in range(3)]
    assert rest == [4, 2, 0]
    assert database.read(secrets.status) == {NEW.id: 10}
    assert database.read(opened, AFTER) == [b"key %d" % n for n in range(9)]
    assert database.read(secrets.pepper, AFTER) == pepper


def test_rows_that_were_swapped_are_found(database: Database) -> None:
    database.write(with_keys, 3)

    def swap(connection: Connection) -> None:
        first, second = (row.sealed for row in projects.keys_of(connection, ["p"])[:2])
        connection.execute(update(keys).where(keys.c.id == "00000").values(sealed=second))
        connection.execute(update(keys).where(keys.c.id == "00001").values(sealed=first))

    assert database.read(secrets.check, BEFORE) == []
    database.write(swap)
    assert len(database.read(secrets.check, BEFORE)) == 2


def test_keys_that_lie_there_as_they_are_get_sealed_once(database: Database) -> None:
    def put(connection: Connection) -> None:
        projects.add(connection, ProjectRow("p", "team", True, 0.0, 0.0))
        plain = {"project": "p", "provider": "openai", "masked": "***", "sealed_by": None}
        connection.execute(insert(keys), [{"id": "a", "sealed": b"plain", **plain}])

    database.write(put)
    assert database.read(secrets.status) == {None: 1}
    assert database.write(secrets.seal_plain, BEFORE) == 1
    assert database.write(secrets.seal_plain, BEFORE) == 0
    assert database.read(opened, BEFORE) == [b"plain"]
    assert b"plain" not in (database.read(lambda one: one.scalar(select(keys.c.sealed))) or b"")


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = keyring(None, (), tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert keyring(None, (), tmp_path).current.id == first.current.id
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keyring(None, (), tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        keyring(None, (), tmp_path)


def test_a_renewed_key_file_opens_what_the_old_key_sealed(tmp_path: Path) -> None:
    before = keyring(None, (), tmp_path)
    sealed = before.seal(b"key", "row")
    renew(tmp_path)
    after = keyring(None, (), tmp_path)
    assert after.current.id != before.current.id
    assert after.open(sealed, before.current.id, "row") == b"key"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_key_file_is_on_the_disk_before_anything_is_sealed_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: kinds.append(stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    keyring(None, (), tmp_path)
    renew(tmp_path)
    # The file, then the folder that names it; each time.
    assert kinds == [False, True, False, True]


def test_a_master_key_of_the_configuration_takes_the_place_of_the_file(tmp_path: Path) -> None:
    key = Secret("bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4=")
    assert keyring(key, (), tmp_path).current.id == NEW.id
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="base64 of 32 bytes"):
        keyring(Secret("no key at all"), (), tmp_path)
