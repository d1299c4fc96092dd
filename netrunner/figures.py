"""Figures about many records: how many there are, and how long answers took for their tokens.

Pure. This module must not know where records are kept.
"""

from __future__ import annotations

import msgspec

from netrunner.values import Record

DAY_S = 86400.0
_BYTES_PER_TOKEN = 4


class Stats(msgspec.Struct, frozen=True):
    """How many records there are."""

    total: int
    recent: int
    """Accepted within the last 24 hours."""
    by_dialect: dict[str, int]
    """What callers spoke, in lower case; those of whom that is unknown are in the total only."""


class Point(msgspec.Struct, frozen=True):
    """What one answer cost: tokens, and the time for them."""

    id: str
    at: float
    """Unix time of the accept."""
    dialect: str | None
    model: str | None
    upstream_model: str | None
    status: int
    duration_s: float
    input_tokens: int
    output_tokens: int
    estimated: bool
    """Whether nobody counted, and a token is taken for four bytes."""


def point(record: Record) -> Point:
    """Return what a record says about tokens and time; what nobody counted is estimated from bytes."""
    usage = record.usage
    spent = None if usage is None else usage.input_total
    made = None if usage is None else usage.output_total
    return Point(
        id=record.id,
        at=record.at_accept,
        dialect=record.dialect,
        model=record.model,
        upstream_model=record.upstream_model,
        status=record.status,
        duration_s=record.duration_s,
        input_tokens=record.bytes_in // _BYTES_PER_TOKEN if spent is None else spent,
        output_tokens=record.bytes_out // _BYTES_PER_TOKEN if made is None else made,
        estimated=spent is None or made is None,
    )


def is_failure(record: Record) -> bool:
    """Return whether an exchange failed: an error, as a status or in the answer; a client that left is none."""
    return record.outcome not in ("client_gone", "cancelled") and (record.status >= 400 or record.error is not None)
