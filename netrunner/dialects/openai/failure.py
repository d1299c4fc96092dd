"""What a provider's error inside an answer means: one with status 200, or in the middle of a stream.

This module must not know how answers are read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netrunner.dialects.openai.api import rejected
from netrunner.events import StreamError

_STATUSES = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "invalid_image": 400,
    "invalid_prompt": 400,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "rate_limit_reached": 429,
    "too_many_requests": 429,
    "overloaded": 503,
    "overloaded_error": 503,
    "server_is_overloaded": 503,
    "timeout": 504,
}
"""What a code or type would have been as an answer of its own; anything else is 502."""


def found_in(document: Any) -> Any:
    """Return the error that a decoded answer holds, or None; Gemini's compatible API wraps its own in a list."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    error, groq = document.get("error"), document.get("x_groq")
    if not error and isinstance(groq, dict):
        error = groq.get("error")
    if not error and document.get("object") == "error":
        error = document
    if isinstance(error, list) and error:
        error = error[0]
    return error or None


def failure(error: Any) -> StreamError:
    """Return the event for an error, whatever its shape."""
    status = _status(error) if isinstance(error, dict) else 502
    told = rejected(status, [], msgspec.json.encode({"error": error}))
    return StreamError(
        kind=told.kind,
        message=told.message if told.message.strip() else "The provider reported an error.",
        code=told.code,
        status=status,
        retry_after_s=told.retry_after_s,
    )


def _status(error: dict[str, Any]) -> int:
    for field in ("status", "status_code", "code"):
        number = error.get(field)
        if isinstance(number, str) and number.isascii() and number.isdigit():
            number = int(number[:9])
        if isinstance(number, int) and 400 <= number < 600:
            return number
    for field in ("code", "type"):
        word = error.get(field)
        if isinstance(word, str) and word in _STATUSES:
            return _STATUSES[word]
    return 502
