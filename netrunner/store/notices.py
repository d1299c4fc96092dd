"""Notices of changes in PostgreSQL: ``NOTIFY`` in the transaction of a change, ``LISTEN`` on a connection of its own.

SQLite has nothing of the kind. What a process of another machine is told is a topic and an id, nothing else.

This module must not commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from netrunner.errors import StoreError
from netrunner.store.database import POSTGRESQL

_CHANNEL = "netrunner"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str]).decode


def announce(connection: Connection, topic: str, id: str = "") -> None:
    """Tell every process that listens, when the transaction is committed, that something of a topic has changed."""
    if connection.dialect.name == "postgresql":
        told = {"channel": _CHANNEL, "told": _encode((topic, id)).decode()}
        connection.execute(text("SELECT pg_notify(:channel, :told)"), told)


def listen(connection: Connection) -> Any:
    """Return a connection of the driver's own that hears from now on; whoever has it closes it.

    Args:
        connection: One to the same database.

    Raises:
        StoreError: when there can be no more connections.
    """
    dialect = connection.dialect
    arguments, options = dialect.create_connect_args(connection.engine.url)
    raw: Any = None
    try:
        raw = dialect.connect(*arguments, **options, **POSTGRESQL)
        raw.autocommit = True
        raw.execute(f"LISTEN {_CHANNEL}")
    except dialect.loaded_dbapi.Error as error:
        if raw is not None:
            raw.close()
        raise StoreError(f"There is no connection for notices: {type(error).__name__}.") from error
    return raw


def noticed(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield topic and id of the notices that have come, without waiting.

    Raises:
        StoreError: when the connection is lost.
    """
    import psycopg

    try:
        raw.pgconn.consume_input()
    except psycopg.Error as error:
        raise StoreError("The connection for notices was lost.") from error
    while (notice := raw.pgconn.notifies()) is not None:
        try:
            yield _decode(notice.extra)
        except msgspec.MsgspecError:
            # Of a later version, or somebody else's.
            continue
