"""How records and exchanges in progress are told to people and programs: one flat row each.

This module must not look anything up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner.pipeline.exchange import Exchange
from netrunner.times import stamp
from netrunner.values import Record

Row = dict[str, Any]


def row(record: Record) -> Row:
    """Return what the log API tells of a record."""
    first = record.timings.get("first_byte")
    return {
        "id": record.id,
        "timestamp": stamp(record.at_accept),
        "source_ip": record.source,
        "method": record.method,
        "path": record.path,
        "service_type": record.dialect,
        "original_model": record.model,
        "mapped_model": record.upstream_model,
        "duration_ms": round(record.duration_s * 1000, 3),
        "request_size": record.bytes_in,
        "response_size": record.bytes_out,
        "status_code": record.status,
        "error_message": record.error,
        "completed_at": stamp(record.at_accept + record.duration_s),
        "is_inflight": False,
        "outcome": record.outcome,
        "request_id": record.request_id,
        "provider": record.provider,
        "route": record.route,
        "streaming": record.streaming,
        "first_byte_ms": None if first is None else round(first * 1000, 3),
        "finish_reason": record.finish_reason,
        "usage": None if record.usage is None else msgspec.structs.asdict(record.usage),
        "token": record.token,
        "project": record.project,
        "cached": record.cached,
    }


def record_in_progress(exchange: Exchange) -> dict[str, Any]:
    """Return the record of an exchange that has not ended; what only its end tells is null."""
    told: dict[str, Any] = msgspec.to_builtins(exchange.record())
    return told | {"status": None, "outcome": None, "duration_s": None}


def row_in_progress(exchange: Exchange) -> Row:
    """Return the same of an exchange that has not ended; what is not known yet is null."""
    told = row(exchange.record())
    told.update(
        duration_ms=elapsed_ms(exchange),
        status_code=None,
        completed_at=None,
        is_inflight=True,
        outcome=None,
        response_size=exchange.bytes_out,
    )
    return told


def elapsed_ms(exchange: Exchange) -> float:
    """Return how long an exchange has taken so far."""
    return round(float(exchange.clock.seconds() - exchange.started) * 1000, 3)


def newest_first(here: Sequence[Row], elsewhere: Sequence[Row]) -> list[Row]:
    """Return the rows of this process, which are sorted, among those of others."""
    return sorted((*here, *elsewhere), key=_id, reverse=True) if elsewhere else list(here)


def _id(one: Row) -> str:
    return str(one["id"])
