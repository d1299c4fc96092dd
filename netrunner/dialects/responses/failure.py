"""What an error means that a provider tells inside an answer: in an ``error`` event, or as what became of a response.

This module must not know how answers are read.
"""

from __future__ import annotations

import msgspec

from netrunner.dialects.answers import Document
from netrunner.dialects.openai.api import rejected
from netrunner.events import StreamError

_STATUSES = {
    "context_length_exceeded": 400,
    "invalid_image": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded": 503,
    "overloaded_error": 503,
    "server_is_overloaded": 503,
    "timeout": 504,
}
"""What a code or type would have been as an answer of its own; anything else is 502."""


def failure(error: object) -> StreamError:
    """Return the event for an error, whatever its shape: flat, an object, or words."""
    told: Document = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
    words = [told.get(field) for field in ("code", "type")]
    status = next((_STATUSES[word] for word in words if isinstance(word, str) and word in _STATUSES), 502)
    read = rejected(status, [], msgspec.json.encode({"error": told}))
    return StreamError(
        kind=read.kind,
        message=read.message if told.get("message") else "The provider reported an error.",
        code=read.code,
        status=read.status,
        retry_after_s=read.retry_after_s,
    )
