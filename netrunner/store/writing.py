"""What is done to records in the database: added, each once; forgotten, a batch at a time.

Every function runs in the writer's thread, inside one transaction that nobody else writes beside.

This module must not commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, exists, insert, select
from sqlalchemy.exc import DBAPIError

from netrunner.query import fold, folded
from netrunner.store.tables import WORDS, documents, records, texts
from netrunner.values import Record

FORGET_BATCH = 2000
"""Records deleted in one transaction; others get their turn in between."""
_AT_ONCE = 500
"""Values named in one statement."""
_encode = msgspec.msgpack.Encoder().encode


def add(connection: Connection, new: Sequence[Record]) -> int:
    """Write the records that are not there yet; return how many that were."""
    by_id = {record.id: record for record in reversed(new)}
    for ids in _pieces(by_id):
        for known in connection.scalars(select(records.c.id).where(records.c.id.in_(ids))).all():
            del by_id[known]
    if not by_id:
        return 0
    narrow, whole = rows(connection, by_id.values())
    put(connection, records, narrow)
    put(connection, documents, whole)
    return len(by_id)


def put(connection: Connection, table: Table, new: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that are not there: by COPY where there is one, which costs two thirds of inserting them."""
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), new)
        return
    from psycopg import Error
    from psycopg.sql import SQL, Identifier

    # By the driver itself, in the transaction that is open: SQLAlchemy has no COPY.
    driver: Any = connection.connection.driver_connection
    names = [column.name for column in table.columns]
    statement = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table.name), SQL(", ").join(map(Identifier, names)))
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in new:
                copy.write_row([row[name] for name in names])
    except Error as error:
        if driver.closed:
            connection.invalidate(error)
        raise DBAPIError("COPY", None, error, connection_invalidated=driver.closed) from error


def rows(connection: Connection, new: Collection[Record]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of ``records`` and those of ``documents``; words that are new are written."""
    words = [{word: folded(record, word) for word in WORDS} for record in new]
    numbers = {word: _numbers(connection, word, {row[word] for row in words} - {None}) for word in WORDS}
    narrow = [_row(record, row, numbers) for record, row in zip(new, words, strict=True)]
    return narrow, [{"id": record.id, "record": _encode(record)} for record in new]


def _row(record: Record, words: dict[str, Any], numbers: dict[str, dict[str, int]]) -> dict[str, Any]:
    request_id = fold(record.request_id)
    return {
        "id": record.id,
        "request_id": None if request_id == record.id else request_id,
        "at": record.at_accept,
        "status": record.status,
        **{word: None if text is None else numbers[word][text] for word, text in words.items()},
    }


def _numbers(connection: Connection, field: str, wanted: set[Any]) -> dict[str, int]:
    """Return the numbers of ``wanted`` words, those of new ones too."""
    numbers = _known(connection, field, wanted)
    if missing := wanted - numbers.keys():
        connection.execute(insert(texts), [{"field": field, "folded": text} for text in sorted(missing)])
        numbers |= _known(connection, field, missing)
    return numbers


def _known(connection: Connection, field: str, wanted: Iterable[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for piece in _pieces(wanted):
        found = connection.execute(
            select(texts.c.folded, texts.c.id).where(texts.c.field == field, texts.c.folded.in_(piece))
        )
        numbers.update((text, number) for text, number in found)
    return numbers


def _pieces(values: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(list(values))
    while piece := list(islice(rest, _AT_ONCE)):
        yield piece


def forget(connection: Connection, before_s: float) -> int:
    """Delete up to ``FORGET_BATCH`` records accepted before a Unix time, the oldest first; return how many.

    One that returns less than that has deleted the last of them.
    """
    old = select(records.c.id).where(records.c.at < before_s).order_by(records.c.at).limit(FORGET_BATCH)
    ids = connection.scalars(old).all()
    for piece in _pieces(ids):
        connection.execute(delete(documents).where(documents.c.id.in_(piece)))
        connection.execute(delete(records).where(records.c.id.in_(piece)))
    return len(ids)


def prune(connection: Connection) -> None:
    """Delete the words that no record has any more."""
    for word in WORDS:
        used = exists().where(records.c[word] == texts.c.id)
        connection.execute(delete(texts).where(texts.c.field == word, ~used))


def vacuum(connection: Connection) -> bool:
    """Give some free space of the file back to the system; return whether there is more.

    PostgreSQL does that by itself.
    """
    if connection.dialect.name != "sqlite":
        return False
    # By the driver itself: each step gives one page back, in a row that has no columns.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA incremental_vacuum(1000)")
    cursor.fetchall()
    return bool(connection.exec_driver_sql("PRAGMA freelist_count").scalar())
