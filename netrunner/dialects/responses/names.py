"""Names that the Responses API bounds, and those it makes itself.

This module must not keep anything.
"""

from __future__ import annotations

import hashlib

MAX_CALL_ID_CHARACTERS = 64


def call_id(name: str) -> str:
    """Return the id of a call within the API's bound; of the same longer one always the same is made.

    A call and its result are written with what this returns, so they find each other whoever made the id.
    """
    if len(name) <= MAX_CALL_ID_CHARACTERS:
        return name
    return "call_" + hashlib.sha256(name.encode()).hexdigest()[: MAX_CALL_ID_CHARACTERS - 5]
