"""Figures about the records in the database.

This module must not write, and must not return more rows than it is asked for.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select

from netrunner.figures import DAY_S, Stats
from netrunner.store.tables import records, texts


def stats(connection: Connection, now_s: float) -> Stats:
    """Return how many records there are, at the Unix time ``now_s``."""
    spoken = select(texts.c.folded, texts.c.id).where(texts.c.field == "dialect").order_by(texts.c.folded)
    return Stats(
        total=_count(connection),
        recent=_count(connection, records.c.at >= now_s - DAY_S),
        by_dialect={
            dialect: _count(connection, records.c.dialect == number)
            for dialect, number in connection.execute(spoken).all()
        },
    )


def _count(connection: Connection, *which: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(records).where(*which)) or 0
