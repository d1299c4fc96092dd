"""Aliases in the database, and the copy of them that lies beside it in the state folder.

Every function runs in the writer's thread, inside one transaction that nobody else writes beside.

This module must not commit.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from netrunner.errors import StoreError
from netrunner.news.topics import ALIASES
from netrunner.store.notices import announce
from netrunner.store.tables import aliases
from netrunner.values import Alias

MAX_ALIASES = 10_000
_encode = msgspec.json.Encoder().encode


def put(connection: Connection, alias: Alias) -> bool:
    """Write an alias down, in the place of one of the same name; return False if there are too many."""
    connection.execute(delete(aliases).where(aliases.c.name == alias.name))
    if (connection.scalar(select(func.count()).select_from(aliases)) or 0) >= MAX_ALIASES:
        return False
    connection.execute(insert(aliases), [msgspec.structs.asdict(alias)])
    announce(connection, ALIASES)
    return True


def drop(connection: Connection, name: str) -> bool:
    """Forget an alias; return whether there was one."""
    announce(connection, ALIASES)
    return connection.execute(delete(aliases).where(aliases.c.name == name)).rowcount > 0


def copy(connection: Connection, path: Path) -> None:
    """Write what is in the database to a file, whole or not at all.

    Raises:
        StoreError: when the file cannot be written.
    """
    rows = connection.execute(select(aliases).order_by(aliases.c.at_registered, aliases.c.name))
    data = _encode([Alias(**row) for row in rows.mappings()])
    new = path.with_name(f".{path.name}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except OSError as error:
        raise StoreError(f"The file {path} cannot be written: {error.strerror}.") from error
