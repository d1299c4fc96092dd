"""Tokens: added, found by what is kept of them, changed, counted, cleaned up.

Every function runs in a thread of the database, inside one transaction of the caller's.

This module must not commit, nor see a token itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, case, delete, func, insert, select, update

from netrunner.store.tables import tokens

CLEAN_BATCH = 2000
"""Tokens deleted in one transaction."""
_SHOWN = [column for column in tokens.c if column.name != "digest"]


class TokenRow(msgspec.Struct, frozen=True):
    """A token as it is kept, but for its digest; times are Unix times, ``limits`` and ``metadata`` are JSON."""

    id: str
    project: str
    masked: str
    name: str | None
    active: bool
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    max_requests: int | None = None
    taken: int = 0
    request_count: int = 0
    last_used_at: float | None = None
    tokens_used: int = 0
    cost_used: float = 0.0
    limits: str = "{}"
    metadata: str = "{}"


class Used(msgspec.Struct):
    """What became of a token since that was last written down."""

    requests: int = 0
    last_at: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    returned: int = 0
    """Requests that were taken and not spent."""


def add(connection: Connection, token: TokenRow, digest: bytes) -> None:
    """Write a new token."""
    connection.execute(insert(tokens).values(digest=digest, **msgspec.structs.asdict(token)))


def one(connection: Connection, id: str) -> TokenRow | None:
    """Return the token of that id."""
    return _first(connection, tokens.c.id == id)


def by_digest(connection: Connection, digest: bytes) -> TokenRow | None:
    """Return the token of which that is kept."""
    return _first(connection, tokens.c.digest == digest)


def _first(connection: Connection, condition: Any) -> TokenRow | None:
    found = connection.execute(select(*_SHOWN).where(condition)).first()
    return None if found is None else TokenRow(**found._mapping)


def page(
    connection: Connection,
    limit: int,
    after: str | None = None,
    project: str | None = None,
    active: bool | None = None,
    now_s: float = 0.0,
    named: str | None = None,
) -> list[TokenRow]:
    """Return up to ``limit`` tokens, newest first.

    Args:
        connection: What to ask.
        limit: At most so many.
        after: Those older than the token of this id.
        project: Only those of this project.
        active: Only those that were neither revoked nor are expired at ``now_s``, or only the others.
        now_s: Unix time.
        named: Only those whose name or mask holds this, whatever its case.
    """
    query = select(*_SHOWN).order_by(tokens.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tokens.c.id < after)
    if project is not None:
        query = query.where(tokens.c.project == project)
    if active is not None:
        valid = tokens.c.active.is_(True) & (tokens.c.expires_at > now_s)
        query = query.where(valid if active else ~valid)
    if named is not None:
        texts = (tokens.c.name, tokens.c.masked)
        holds = [func.lower(text).contains(named.lower(), autoescape=True) for text in texts]
        query = query.where(holds[0] | holds[1])
    return [TokenRow(**row._mapping) for row in connection.execute(query)]


def counts(connection: Connection, projects: Sequence[str], now_s: float) -> dict[str, tuple[int, int]]:
    """Return how many tokens each project has, and how many of them are valid at a Unix time."""
    valid = tokens.c.active.is_(True) & (tokens.c.expires_at > now_s)
    query = (
        select(tokens.c.project, func.count(), func.sum(case((valid, 1), else_=0)))
        .where(tokens.c.project.in_(projects))
        .group_by(tokens.c.project)
    )
    return {project: (int(all), int(active)) for project, all, active in connection.execute(query)}


def change(connection: Connection, id: str, values: dict[str, Any]) -> None:
    """Write columns of a token anew."""
    connection.execute(update(tokens).where(tokens.c.id == id).values(**values))


def revoke_all(connection: Connection, project: str, at: float) -> int:
    """Revoke every token of a project; return how many were not before."""
    revoking = update(tokens).where(tokens.c.project == project, tokens.c.active.is_(True))
    return connection.execute(revoking.values(active=False, revoked_at=at)).rowcount


def remove(connection: Connection, id: str) -> None:
    """Delete a token."""
    connection.execute(delete(tokens).where(tokens.c.id == id))


def take(connection: Connection, id: str, share: int) -> tuple[int, int]:
    """Take a part of what is left of a token's ``max_requests``, for one process to spend.

    Args:
        connection: What to ask.
        id: The token's.
        share: Of what is left so many parts are made, and one of them is taken, or one request.

    Returns:
        How much was taken, and what is left now for others to take.
    """
    found = connection.execute(select(tokens.c.max_requests, tokens.c.taken).where(tokens.c.id == id)).first()
    if found is None or found.max_requests is None:
        return 0, 0
    left = found.max_requests - found.taken
    part = max(1, left // share) if left > 0 else 0
    if part:
        connection.execute(update(tokens).where(tokens.c.id == id).values(taken=tokens.c.taken + part))
    return part, max(0, left - part)


def use(connection: Connection, used: dict[str, Used]) -> None:
    """Write down what became of tokens."""
    for id, one in used.items():
        last = case(
            (tokens.c.last_used_at.is_(None) | (tokens.c.last_used_at < one.last_at), one.last_at),
            else_=tokens.c.last_used_at,
        )
        connection.execute(
            update(tokens)
            .where(tokens.c.id == id)
            .values(
                request_count=tokens.c.request_count + one.requests,
                last_used_at=last if one.requests else tokens.c.last_used_at,
                tokens_used=tokens.c.tokens_used + one.tokens,
                cost_used=tokens.c.cost_used + one.cost,
                taken=tokens.c.taken - one.returned,
            )
        )


def clean(connection: Connection, before_s: float) -> int:
    """Delete up to ``CLEAN_BATCH`` tokens that expired before a Unix time; return how many."""
    old = select(tokens.c.id).where(tokens.c.expires_at < before_s).limit(CLEAN_BATCH)
    return connection.execute(delete(tokens).where(tokens.c.id.in_(old.scalar_subquery()))).rowcount
