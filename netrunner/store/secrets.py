"""What is sealed in a database: its own secrets, and the sealing anew of everything under another master key.

Every function runs in a thread of the database, inside one transaction of the caller's.

This module must not commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from netrunner.errors import StoreError
from netrunner.store.sealing import KEY_BYTES, Keyring
from netrunner.store.tables import keys, secrets

PEPPER = "pepper"
"""What tokens are digested with."""
BATCH = 500
"""Rows sealed anew in one transaction."""


def pepper(connection: Connection, keyring: Keyring) -> bytes | None:
    """Return what tokens are digested with; None where nobody has made it yet.

    Raises:
        StoreError: when it was sealed by a key that is not at hand.
    """
    found = connection.execute(select(secrets).where(secrets.c.id == PEPPER)).first()
    return None if found is None else keyring.open(found.sealed, found.sealed_by, PEPPER)


def made_pepper(connection: Connection, keyring: Keyring, random: Callable[[int], bytes]) -> bytes:
    """Return what tokens are digested with, made now if need be; wants a transaction that writes."""
    there = pepper(connection, keyring)
    if there is not None:
        return there
    made = random(KEY_BYTES)
    sealed = keyring.seal(made, PEPPER)
    connection.execute(insert(secrets).values(id=PEPPER, sealed_by=keyring.current.id, sealed=sealed))
    return made


def reseal(connection: Connection, keyring: Keyring) -> int:
    """Seal up to ``BATCH`` secrets by the current master key that are sealed by another; return how many.

    One that returns 0 has found nothing left to do: who was interrupted goes on where he was.
    """
    done = 0
    for table in (secrets, keys):
        other = select(table.c.id, table.c.sealed_by, table.c.sealed).where(table.c.sealed_by != keyring.current.id)
        rows = [
            {"row": id, "by": keyring.current.id, "anew": keyring.reseal(sealed, sealed_by, id)}
            for id, sealed_by, sealed in connection.execute(other.limit(BATCH - done)).all()
        ]
        if rows:
            values: dict[str, Any] = {"sealed_by": bindparam("by"), "sealed": bindparam("anew")}
            connection.execute(update(table).where(table.c.id == bindparam("row")).values(values), rows)
        done += len(rows)
    return done


def seal_plain(connection: Connection, keyring: Keyring) -> int:
    """Seal up to ``BATCH`` provider keys that lie there as they are; return how many."""
    plain = select(keys.c.id, keys.c.sealed).where(keys.c.sealed_by.is_(None)).limit(BATCH)
    rows = connection.execute(plain).all()
    for id, secret in rows:
        values = {"sealed_by": keyring.current.id, "sealed": keyring.seal(secret, id)}
        connection.execute(update(keys).where(keys.c.id == id).values(**values))
    return len(rows)


def check(connection: Connection, keyring: Keyring) -> list[str]:
    """Return what is wrong with sealed secrets: a sentence for each that cannot be opened."""
    wrong = []
    for table in (secrets, keys):
        for id, sealed_by, sealed in connection.execute(select(table.c.id, table.c.sealed_by, table.c.sealed)):
            if sealed_by is not None:
                try:
                    keyring.open(sealed, sealed_by, id)
                except StoreError as error:
                    wrong.append(str(error))
    return wrong


def status(connection: Connection) -> dict[str | None, int]:
    """Return how many secrets each master key has sealed, by its id; None for those that lie there as they are."""
    counts: dict[str | None, int] = {}
    for table in (secrets, keys):
        for id, count in connection.execute(select(table.c.sealed_by, func.count()).group_by(table.c.sealed_by)):
            counts[id] = counts.get(id, 0) + count
    return counts
