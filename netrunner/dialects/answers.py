"""What reading any provider's answer takes: documents, their fields, and the error for what cannot be read.

This module must not know any dialect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from netrunner.errors import UpstreamError
from netrunner.events import Event, UsageSeen
from netrunner.values import Usage

TRUNCATED = "upstream_truncated"
"""The code of an answer that ended before it was complete."""
MAX_BLOCKS = 1024
"""Most blocks of one answer; each is remembered until its end."""

Document = dict[str, Any]
_NUMBERS = frozenset({int, float})


def unreadable(what: str) -> UpstreamError:
    """Return the error for an answer that ``what``: a clause such as ``is not JSON``."""
    return UpstreamError(f"The provider's answer {what}.", code="upstream_invalid_response")


def truncated() -> UpstreamError:
    """Return the error for an answer that ended without saying that it is complete."""
    return UpstreamError("The provider's answer ended early.", code=TRUNCATED)


def too_large() -> UpstreamError:
    """Return the error for an answer, or an event of one, beyond its bound."""
    return UpstreamError("The provider's answer is too large to be translated.", code="answer_too_large")


def document(data: bytes) -> Document:
    """Return a JSON object decoded.

    Raises:
        UpstreamError: ``upstream_invalid_response`` if it is none.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable("is not JSON") from error
    if not isinstance(found, dict):
        raise unreadable("is no JSON object")
    return found


def text(holder: Document, field: str) -> str | None:
    """Return a text; None when it is absent or null. Here as below, anything else raises ``UpstreamError``."""
    found = holder.get(field)
    if found is not None and not isinstance(found, str):
        raise unreadable(f"has a {field} that is no text")
    return found


def obj(holder: Document, field: str) -> Document:
    """Return an object; an empty one when it is absent or null."""
    found = holder.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise unreadable(f"has a {field} that is no object")
    return found


def objects(holder: Document, field: str) -> list[Document]:
    """Return a list of objects; an empty one when it is absent or null."""
    found = holder.get(field)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise unreadable(f"has a {field} that is no list of objects")
    return found


def vectors(found: object) -> list[list[float]]:
    """Return a list of vectors: lists of numbers."""
    if not isinstance(found, list) or not all(
        isinstance(one, list) and _NUMBERS.issuperset(map(type, one)) for one in found
    ):
        raise unreadable("has no vectors of numbers")
    return found


def count(holder: Document, field: str) -> int | None:
    """Return a count of tokens; None for whatever is none: usage never breaks an answer."""
    found = holder.get(field)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < 1 << 53:
        return None
    return int(found)


def merged(before: Usage | None, now: Usage) -> Usage:
    """Return counts of which, field by field, the last that is known holds."""
    if before is None:
        return now
    told = {name: value for name in now.__struct_fields__ if (value := getattr(now, name)) is not None}
    return msgspec.structs.replace(before, **told)


def last_usage(before: Usage | None, events: Iterable[Event]) -> Usage | None:
    """Return the counts known after ``events``."""
    for event in events:
        if isinstance(event, UsageSeen):
            before = merged(before, event.usage)
    return before
