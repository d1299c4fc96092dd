"""Which records somebody wants to see.

Pure: a ``Query`` is made from what a caller typed, and read by whoever has records: the store as SQL, the journal by
``matches``.

This module must not know where records are kept.
"""

from __future__ import annotations

import msgspec


class Term(msgspec.Struct, frozen=True):
    """One condition: ``text`` occurs in a field, whatever the case."""

    field: str | None
    """Name as it is typed (``host``, ``provider``, ``model``); None for a bare word, which any of them may hold."""
    text: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """All of these have to hold."""

    terms: tuple[Term, ...] = ()
    dialect: str | None = None
    """``service_type`` of the log API: what the caller spoke."""
    outcome: str | None = None
    failed: bool | None = None
    """Whether the status was 400 or more."""
    since_s: float | None = None
    until_s: float | None = None
    """Unix times of the accept; from, and before."""
    before: str | None = None
    """Id of a record: only older ones, for the next page."""
