"""Anthropic's errors: the words for their kinds, the document, and what one inside an answer means.

This module must not know statuses of a connection.
"""

from __future__ import annotations

from netrunner import sse
from netrunner.dialects.answers import Document
from netrunner.errors import ExchangeError
from netrunner.events import StreamError

TYPES = {
    "bad_request": "invalid_request_error",
    "context_too_long": "invalid_request_error",
    "unsupported_parameter": "invalid_request_error",
    "auth": "authentication_error",
    "payment": "billing_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "rate_limit": "rate_limit_error",
    "overloaded": "overloaded_error",
    "upstream_error": "api_error",
    "timeout": "timeout_error",
}
"""The ``type`` of an error by its canonical kind."""

KINDS = {
    "invalid_request_error": "bad_request",
    "conflict_error": "bad_request",
    "authentication_error": "auth",
    "billing_error": "payment",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "overloaded_error": "overloaded",
    "api_error": "upstream_error",
    "timeout_error": "timeout",
}
"""The canonical kind of an error by its ``type``."""


def status(error: ExchangeError) -> int:
    """Return the HTTP status of an error: Anthropic has one of its own for what is overloaded."""
    return 529 if error.kind == "overloaded" and error.status == 503 else error.status


def document(error: ExchangeError) -> Document:
    """Return the document that tells an error: its type and message, all else is netrunner's."""
    told: Document = {"type": TYPES.get(error.kind, "api_error"), "message": error.message, "code": error.code}
    if error.param is not None:
        told["param"] = error.param
    return {"type": "error", "error": {**told, **error.whose()}}


def event(error: ExchangeError) -> bytes:
    """Return the event that tells an error inside a stream."""
    return named("error", document(error))


def named(name: str, native: Document) -> bytes:
    """Return an event of a stream; clients hear only those that are named."""
    return b"event: " + name.encode() + b"\ndata: " + sse.compact(native) + b"\n\n"


def stream_error(native: Document) -> StreamError:
    """Return the error that an answer tells instead of going on."""
    error = native.get("error")
    told = error if isinstance(error, dict) else {"message": error}
    code, message = told.get("type"), told.get("message")
    word = code if isinstance(code, str) and code else None
    return StreamError(
        kind=KINDS.get(word or "", "upstream_error"),
        message=message if isinstance(message, str) else "",
        code=word,
        native=native,
    )
