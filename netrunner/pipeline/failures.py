"""Errors that providers tell inside of answers, as what ends an attempt or an answer.

This module must not know dialects.
"""

from __future__ import annotations

from netrunner import sse
from netrunner.errors import Fault, UpstreamError, UpstreamRejected
from netrunner.events import Event, Finish, FinishKind, StreamError

_STATUSES = {
    "bad_request": 400,
    "context_too_long": 400,
    "unsupported_parameter": 400,
    "payment": 402,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "overloaded": 503,
    "timeout": 504,
}
"""Of an error inside an answer, by its canonical kind; every other is a 502."""
_RETRYABLE = frozenset({"rate_limit", "overloaded", "timeout", "upstream_error"})
_CALLERS_FAULT = frozenset({"bad_request", "context_too_long", "unsupported_parameter", "too_large"})


def error_of(event: Event) -> UpstreamError | None:
    """Return the error that an event tells, if it tells one: an answer that failed is never told as a stop."""
    if isinstance(event, Finish) and event.kind is FinishKind.ERROR:
        reason = event.reason or "no reason given"
        return UpstreamError(f"The provider broke the answer off: {reason}.", code="upstream_failed")
    return failed(event) if isinstance(event, StreamError) else None


def failed(event: StreamError) -> UpstreamRejected:
    """Return what an error inside an answer means."""
    kind = event.kind if event.kind in _STATUSES else "upstream_error"
    status = event.status if event.status is not None and 400 <= event.status <= 599 else None
    return UpstreamRejected(
        event.message or "The provider reported an error.",
        kind=kind,
        fault=Fault.CALLER if kind in _CALLERS_FAULT else Fault.UPSTREAM,
        retryable=kind in _RETRYABLE,
        code=event.code,
        status=status or _STATUSES.get(kind, 502),
        retry_after_s=event.retry_after_s,
    )


def told_in(events: bytes) -> bytes:
    """Return what the event with an error among ``events`` holds."""
    told = sse.Reader().feed(events + b"\n\n")
    return next((event.data for event in told if b'"error"' in event.data), b"")


def status_of(code: str) -> int:
    """Return the status of an error inside an answer, by its code: the code itself where that is one."""
    return int(code) if code.isdecimal() and 400 <= int(code[:4]) <= 599 else 502
