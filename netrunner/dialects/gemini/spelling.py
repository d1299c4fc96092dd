"""Keys in camelCase, as Gemini's documents have them; callers may write snake_case too, as Google's server allows.

Keys that belong to callers (arguments, schemas, labels) stay as they are.

This module must not know what a key means.
"""

from __future__ import annotations

import re
from typing import Any

from netrunner.errors import BadRequest

_FREE = frozenset(
    {
        "args",
        "labels",
        "parameters",
        "parametersJsonSchema",
        "partMetadata",
        "response",
        "responseJsonSchema",
        "responseSchema",
    }
)
"""Their values are the caller's own."""
_DEPTH = 16
"""No key of this dialect stands deeper."""
_LETTER = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def camel(key: str) -> str:
    """Return a key in camelCase."""
    return _LETTER.sub(lambda found: found[1].upper(), key) if "_" in key else key


def camelised(value: Any, depth: int = _DEPTH) -> Any:
    """Return a decoded document whose keys are in camelCase.

    Raises:
        BadRequest: ``duplicate_key`` for a key that stands there in both spellings.
    """
    if not depth or not isinstance(value, (list, dict)):
        return value
    if isinstance(value, list):
        return [camelised(one, depth - 1) for one in value]
    found: dict[str, Any] = {}
    for key, one in value.items():
        name = camel(key)
        if name in found:
            raise BadRequest(f"{name} is given more than once.", code="duplicate_key", param=name)
        found[name] = one if name in _FREE else camelised(one, depth - 1)
    return found
