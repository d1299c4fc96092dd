"""The audit: one row for every change of who may call, and for every attempt at one; never a secret in it.

Every function runs in a thread of the database, inside one transaction of the caller's.

This module must not commit, nor change what was written.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select

from netrunner.store.tables import audit


class Entry(msgspec.Struct, frozen=True):
    """Who did what, when, from where, and what came of it."""

    id: str
    at: float
    """Unix time."""
    actor: str
    action: str
    """Such as ``token.create``."""
    outcome: str
    """``done``, or the code of what it was refused with."""
    project: str | None = None
    token: str | None = None
    """The token's id."""
    request_id: str | None = None
    address: str | None = None
    details: str = "{}"
    """JSON: what was asked for, secrets masked."""


class Filters(msgspec.Struct, frozen=True):
    """Which entries are meant: those that match all of it."""

    actor: str | None = None
    action: str | None = None
    """A whole action, or what stands before its dot."""
    outcome: str | None = None
    project: str | None = None
    token: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    before: str | None = None
    """Older than the entry of this id."""


def add(connection: Connection, entry: Entry) -> None:
    """Write an entry."""
    connection.execute(insert(audit).values(**msgspec.structs.asdict(entry)))


def page(connection: Connection, filters: Filters, limit: int) -> list[Entry]:
    """Return up to ``limit`` entries, newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    for name in ("actor", "outcome", "project", "token"):
        if (wanted := getattr(filters, name)) is not None:
            query = query.where(audit.c[name] == wanted)
    action = filters.action
    if action is not None:
        same = audit.c.action == action if "." in action else audit.c.action.startswith(f"{action}.", autoescape=True)
        query = query.where(same)
    if filters.since_s is not None:
        query = query.where(audit.c.at >= filters.since_s)
    if filters.until_s is not None:
        query = query.where(audit.c.at < filters.until_s)
    if filters.before is not None:
        query = query.where(audit.c.id < filters.before)
    return [Entry(**row._mapping) for row in connection.execute(query)]
