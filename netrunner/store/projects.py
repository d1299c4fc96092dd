"""Projects and their sealed provider keys: added, found, changed, deleted.

Every function runs in a thread of the database, inside one transaction of the caller's.

This module must not commit, nor open what is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from netrunner.store.tables import keys, projects


class ProjectRow(msgspec.Struct, frozen=True):
    """A project as it is kept; times are Unix times, ``limits`` is JSON."""

    id: str
    name: str
    active: bool
    created_at: float
    changed_at: float
    limits: str = "{}"
    tokens_used: int = 0
    cost_used: float = 0.0
    """In US dollars."""


class KeyRow(msgspec.Struct, frozen=True):
    """A provider key of a project; its id is what it is sealed for."""

    id: str
    project: str
    provider: str
    masked: str
    sealed_by: str | None
    sealed: bytes


def add(connection: Connection, project: ProjectRow) -> None:
    """Write a new project."""
    connection.execute(insert(projects).values(**msgspec.structs.asdict(project)))


def one(connection: Connection, id: str) -> ProjectRow | None:
    """Return the project of that id."""
    found = connection.execute(select(projects).where(projects.c.id == id)).first()
    return None if found is None else ProjectRow(**found._mapping)


def page(
    connection: Connection, limit: int, after: str | None = None, active: bool | None = None, named: str | None = None
) -> list[ProjectRow]:
    """Return up to ``limit`` projects, newest first.

    Args:
        connection: What to ask.
        limit: At most so many.
        after: Those older than the project of this id.
        active: Only those that are, or are not.
        named: Only those whose name holds this, whatever its case.
    """
    query = select(projects).order_by(projects.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(projects.c.id < after)
    if active is not None:
        query = query.where(projects.c.active == active)
    if named is not None:
        query = query.where(func.lower(projects.c.name).contains(named.lower(), autoescape=True))
    return [ProjectRow(**row._mapping) for row in connection.execute(query)]


def change(connection: Connection, id: str, values: dict[str, Any]) -> None:
    """Write columns of a project anew."""
    connection.execute(update(projects).where(projects.c.id == id).values(**values))


def remove(connection: Connection, id: str) -> None:
    """Delete a project, with its keys and tokens."""
    connection.execute(delete(projects).where(projects.c.id == id))


def spend(connection: Connection, spent: Sequence[tuple[str, int, float]]) -> None:
    """Add to what projects have used: id, tokens, US dollars."""
    for id, tokens, cost in spent:
        connection.execute(
            update(projects)
            .where(projects.c.id == id)
            .values(tokens_used=projects.c.tokens_used + tokens, cost_used=projects.c.cost_used + cost)
        )


def keys_of(connection: Connection, ids: Sequence[str]) -> list[KeyRow]:
    """Return the keys of some projects, those of each in the order in which they were added."""
    found = connection.execute(select(keys).where(keys.c.project.in_(ids)).order_by(keys.c.project, keys.c.id))
    return [KeyRow(**row._mapping) for row in found]


def put_keys(connection: Connection, project: str, providers: Sequence[str], new: Sequence[KeyRow]) -> None:
    """Put ``new`` keys in the place of all that a project had for ``providers``."""
    connection.execute(delete(keys).where(keys.c.project == project, keys.c.provider.in_(providers)))
    if new:
        connection.execute(insert(keys), [msgspec.structs.asdict(one) for one in new])
