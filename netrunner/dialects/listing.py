"""The names in a provider's own list of its models.

This module must not know any dialect.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netrunner.dialects.answers import unreadable

MAX_NAME_CHARACTERS = 512


def names_in(body: bytes, within: str, called: str) -> list[str]:
    """Return the names that a JSON document lists, in its order; what is no name is passed over.

    Args:
        body: The document: an object with a list, or the list itself.
        within: The field with the list.
        called: The field of each of its objects that has the name.

    Raises:
        UpstreamError: ``upstream_invalid_response`` if there is no list.
    """
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable("is not JSON") from error
    rows = document.get(within) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise unreadable("lists no models")
    names = [row.get(called) for row in rows if isinstance(row, dict)]
    return [name for name in names if isinstance(name, str) and _is_name(name)]


def _is_name(name: str) -> bool:
    return bool(name.strip()) and name.isprintable() and len(name) <= MAX_NAME_CHARACTERS
