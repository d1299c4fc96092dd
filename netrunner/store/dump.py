"""All rows of a database as lines of JSON, a table at a time, and back into an empty one of any kind.

What is sealed stays sealed: rows go as they are. They are read in one transaction, so that they are of one moment
whoever writes meanwhile.

This module must not know which file the lines are in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, MetaData, Table, func, insert, select

from netrunner.errors import StoreError
from netrunner.store.tables import metadata

_AT_ONCE = 500
"""Rows of one statement."""
_encode = msgspec.json.Encoder().encode
Write = Callable[[str, Iterator[bytes]], None]
"""Takes the name of a table and its rows, a line each."""


def dump(connection: Connection, write: Write) -> dict[str, int]:
    """Hand every table to ``write``; return how many rows each had."""
    if connection.dialect.name == "postgresql":
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
    else:
        # The driver begins no transaction for what only reads.
        connection.exec_driver_sql("BEGIN")
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        counts[table.name] = 0
        write(table.name, _lines(connection, table, counts))
    return counts


def _lines(connection: Connection, table: Table, counts: dict[str, int]) -> Iterator[bytes]:
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(select(table).order_by(*table.primary_key))
    for row in rows.mappings():
        counts[table.name] += 1
        yield _encode(dict(row)) + b"\n"


def load(connection: Connection, read: Callable[[str], Iterable[bytes]]) -> dict[str, int]:
    """Put rows into a database that has their tables and nothing in them; return how many each got.

    Args:
        connection: In a transaction.
        read: Returns the lines of a table; none for one that the dump does not know.

    Raises:
        StoreError: when a line is none, or a row does not go there.
    """
    there = MetaData()
    there.reflect(connection, only=lambda name, _: name in metadata.tables)
    counts = {}
    for table in there.sorted_tables:
        counts[table.name] = 0
        for rows in _batches(_row(table, line) for line in read(table.name)):
            connection.execute(insert(table), rows)
            counts[table.name] += len(rows)
        _go_on_counting(connection, table)
    return counts


def _row(table: Table, line: bytes) -> dict[str, Any]:
    try:
        row: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        for name, value in row.items():
            if isinstance(table.c[name].type, LargeBinary) and value is not None:
                row[name] = base64.b64decode(value, validate=True)
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        raise StoreError(f"What should be a row of {table.name} is none.") from error
    return row


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers."""
    column = metadata.tables[table.name].autoincrement_column
    if connection.dialect.name == "postgresql" and column is not None:
        last = select(func.coalesce(func.max(table.c[column.name]), 1)).scalar_subquery()
        connection.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), last)))
