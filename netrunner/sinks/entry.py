"""A record as other programs read it: the JSON document of the sinks ``jsonl``, ``http_batch`` and ``cloudwatch``.

Its names are those that readers of such logs know (``status_code``, ``endpoint``, ``metadata``), its times are UTC in
ISO 8601, its durations milliseconds. docs/records.md tells every field.

This module must not write anything anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from netrunner.linefile import one_line
from netrunner.times import stamp
from netrunner.values import Attempt, Record, Trace, Usage


class Metadata(msgspec.Struct, gc=False):
    """What the answer told of itself."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    """The sum of both; None when one is not known."""
    model: str | None
    """As the provider knows it, else as the client named it."""
    created: int | None
    """Unix time in seconds at which the answer began; None when there was none."""


class Entry(msgspec.Struct, gc=False):
    """One record, as a JSON document."""

    timestamp: str
    """When the request's headers were complete: UTC, ISO 8601, to the millisecond."""
    token: str | None
    project_id: str | None
    endpoint: str
    """The path, without its query."""
    method: str
    status_code: int
    duration_ms: float
    metadata: Metadata
    id: str
    """Unique; tells a record that comes twice."""
    request_id: str
    correlation_id: str | None
    outcome: str
    error: str | None
    source: str
    route: str
    dialect: str | None
    streaming: bool
    model: str | None
    provider: str | None
    upstream: str | None
    upstream_model: str | None
    finish_reason: str | None
    usage: Usage | None
    attempts: list[Attempt]
    timings_s: dict[str, float]
    bytes_in: int
    bytes_out: int
    request_sha256: str | None
    response_sha256: str | None
    dropped: list[str]
    resolved: list[str]
    trace: Trace | None
    cached: str | None


_ENCODER = msgspec.json.Encoder()


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds, to the microsecond."""
    return int(seconds * 1e6 + 0.5) / 1000  # four times as quick as round(), and this is asked for each record


def entry(record: Record) -> Entry:
    """Return the document of ``record``."""
    return Entry(
        stamp(record.at_accept),
        record.token,
        record.project,
        record.path,
        record.method,
        record.status,
        milliseconds(record.duration_s),
        _metadata(record),
        record.id,
        record.request_id,
        record.correlation_id,
        record.outcome,
        record.error,
        record.source,
        record.route,
        record.dialect,
        record.streaming,
        record.model,
        record.provider,
        record.upstream,
        record.upstream_model,
        record.finish_reason,
        record.usage,
        record.attempts,
        record.timings,
        record.bytes_in,
        record.bytes_out,
        record.request_sha256,
        record.response_sha256,
        record.dropped,
        record.resolved,
        record.trace,
        record.cached,
    )


def _metadata(record: Record) -> Metadata:
    usage = record.usage
    prompt = completion = total = None
    if usage is not None:
        prompt, completion = usage.input_total, usage.output_total
        if prompt is not None and completion is not None:
            total = prompt + completion
    first_byte = record.timings.get("first_byte")
    created = None if first_byte is None else int(record.at_accept + first_byte)
    return Metadata(prompt, completion, total, record.upstream_model or record.model, created)


def documents(records: Iterable[Record]) -> list[bytes]:
    """Return the documents of records, each on one line without its end."""
    return [one_line(_ENCODER.encode(entry(record))) for record in records]


def lines(records: Iterable[Record]) -> bytes:
    """Return the documents of records as JSON lines."""
    return one_line(_ENCODER.encode_lines(map(entry, records)))
