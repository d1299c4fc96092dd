"""The spans of one record in OTLP: one of the exchange, one of each attempt, by OpenTelemetry's GenAI conventions.

The exchange is a server's span and carries what the model did: tokens, finish reason, time to the first token. An
attempt is a client's below it, and carries where it went and what came of it; so nothing is counted twice by who sums
over spans.

This module must not put a body, a query or a credential into a span; it is loaded by who exports them only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from netrunner import __version__
from netrunner.values import Attempt, Outcome, Record, Trace
from netrunner.values import Span as Place

Value = str | int | float | bool | Sequence[str] | None
_OPERATIONS = (
    (re.compile(r"/(chat/completions|messages|responses|api/chat)/?$"), "chat"),
    (re.compile(r":(streamG|g)enerateContent$"), "generate_content"),
    (re.compile(r"/(completions|api/generate)/?$"), "text_completion"),
    (re.compile(r"(/(embeddings|api/embed)/?|:(batchE|e)mbedContents?)$"), "embeddings"),
)
"""By the path; the first that matches counts."""
_PROVIDERS = {"gemini": "gcp.gemini", "responses": "openai"}
"""The conventions' name of who speaks a dialect, where it is not the dialect's own."""
_FAULTS = frozenset(
    one.value for one in (Outcome.UPSTREAM_FAILED, Outcome.UPSTREAM_TRUNCATED, Outcome.SHUT_DOWN, Outcome.INTERRUPTED)
)
"""Outcomes that are errors of a server; what a caller did wrong is none (OpenTelemetry, HTTP spans)."""
_SAMPLED, _REMOTE_KNOWN, _REMOTE = 0x01, 0x100, 0x200
"""Flags of a span (OTLP, ``SpanFlags``)."""


def export(records: Iterable[Record], service: str) -> bytes:
    """Return the body of one export.

    Args:
        records: Each with a ``trace``.
        service: ``service.name`` of the resource.
    """
    whole = ExportTraceServiceRequest()
    of_resource = whole.resource_spans.add()
    _put(of_resource.resource.attributes, {"service.name": service, "service.version": __version__})
    scoped = of_resource.scope_spans.add()
    scoped.scope.name, scoped.scope.version = "netrunner", __version__
    for record in records:
        if record.trace is not None:
            _add(scoped.spans, record, record.trace)
    data: bytes = whole.SerializeToString()
    return data


def _add(spans: Any, record: Record, trace: Trace) -> None:
    """Add the spans of one record."""
    operation = next((name for pattern, name in _OPERATIONS if pattern.search(record.path)), None)
    _exchange(spans, record, trace, operation)
    for number, (attempt, place) in enumerate(zip(record.attempts, trace.attempts, strict=False)):
        _attempt(spans, record, trace, operation, number, attempt, place)


def _exchange(spans: Any, record: Record, trace: Trace, operation: str | None) -> None:
    usage = record.usage
    first = _first_token_s(record)
    last = record.attempts[-1] if record.attempts else None
    attributes: dict[str, Value] = {
        "http.request.method": record.method,
        "url.path": record.path,
        "client.address": record.source,
        "http.response.status_code": record.status,
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": None if last is None else _provider(last),
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.upstream_model if last is not None and last.error is None else None,
        "gen_ai.request.stream": record.streaming,
        "gen_ai.response.finish_reasons": None if record.finish_reason is None else [record.finish_reason],
        "gen_ai.response.time_to_first_chunk": first,
        "gen_ai.usage.input_tokens": None if usage is None else usage.input_total,
        "gen_ai.usage.output_tokens": None if usage is None else usage.output_total,
        "gen_ai.usage.cache_read.input_tokens": None if usage is None else usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": None if usage is None else usage.cache_write,
        "gen_ai.usage.reasoning.output_tokens": None if usage is None else usage.reasoning,
        "error.type": _error_type(record),
        "netrunner.id": record.id,
        "netrunner.request_id": record.request_id,
        "netrunner.outcome": record.outcome,
        "netrunner.project": record.project,
    }
    failed = record.status >= 500 or record.outcome in _FAULTS
    span = spans.add(
        trace_id=bytes.fromhex(trace.id),
        span_id=bytes.fromhex(trace.span),
        parent_span_id=bytes.fromhex(trace.parent or ""),
        trace_state=trace.state or "",
        flags=_SAMPLED | _REMOTE_KNOWN | (_REMOTE if trace.parent else 0),
        name=_name(operation, record.model, record),
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=_nanoseconds(record, 0.0),
        end_time_unix_nano=_nanoseconds(record, record.duration_s),
    )
    _put(span.attributes, attributes)
    if first is not None:
        span.events.add(name="gen_ai.first_token", time_unix_nano=_nanoseconds(record, first))
    if failed:
        span.status.code = Status.STATUS_CODE_ERROR


def _attempt(
    spans: Any, record: Record, trace: Trace, operation: str | None, number: int, attempt: Attempt, place: Place
) -> None:
    upstream = urlsplit(place.upstream)
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _provider(attempt),
        "gen_ai.request.model": attempt.model or None,
        "gen_ai.request.stream": record.streaming,
        "gen_ai.response.id": attempt.request_id,
        "server.address": upstream.hostname,
        "server.port": upstream.port,
        "http.response.status_code": attempt.status,
        "http.request.resend_count": number or None,
        "error.type": attempt.error,
        "netrunner.provider": attempt.provider,
        "netrunner.connection_reused": attempt.reused,
    }
    # What ended with the exchange may have no end: its process died before it.
    ended_s = max(place.began_s, record.duration_s) if place.ended_s is None else place.ended_s
    span = spans.add(
        trace_id=bytes.fromhex(trace.id),
        span_id=bytes.fromhex(place.id),
        parent_span_id=bytes.fromhex(trace.span),
        trace_state=trace.state or "",
        flags=_SAMPLED | _REMOTE_KNOWN,
        name=_name(operation, attempt.model, record),
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=_nanoseconds(record, place.began_s),
        end_time_unix_nano=_nanoseconds(record, ended_s),
    )
    _put(span.attributes, attributes)
    if attempt.error is not None:
        span.status.code = Status.STATUS_CODE_ERROR


def _name(operation: str | None, model: str | None, record: Record) -> str:
    """Return ``chat MODEL``, or the method and the route of what is no operation of a model."""
    if operation is None:
        return f"{record.method} {record.route}"
    return f"{operation} {model}" if model else operation


def _provider(attempt: Attempt) -> str | None:
    return None if attempt.dialect is None else _PROVIDERS.get(attempt.dialect, attempt.dialect)


def _first_token_s(record: Record) -> float | None:
    """Return when a stream's first event went to the client."""
    if not record.streaming:
        return None
    # A stream may have been begun while its caller waited, before there was an event.
    reached = [record.timings[mark] for mark in ("first_byte", "committed") if mark in record.timings]
    return max(reached, default=None)


def _error_type(record: Record) -> str | None:
    return record.error or (None if record.outcome == Outcome.DONE.value else record.outcome)


def _nanoseconds(record: Record, after_s: float) -> int:
    return int((record.at_accept + after_s) * 1e6) * 1000


def _put(attributes: Any, values: dict[str, Value]) -> None:
    """Add those that have a value, in place: a message that is put into another is copied, and there are many."""
    for name, value in values.items():
        if value is None:
            continue
        one = attributes.add()
        one.key = name
        match value:
            case str():
                one.value.string_value = value
            case bool():
                one.value.bool_value = value
            case int():
                one.value.int_value = value
            case float():
                one.value.double_value = value
            case _:
                for text in value:
                    one.value.array_value.values.add().string_value = text
