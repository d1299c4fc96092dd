"""What an error answer said, as it was recorded: one line in which whatever differs each time is left out.

This module must not read more than the beginning of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner.errors import Expired
from netrunner.interfaces import ICopies
from netrunner.summary import Failure
from netrunner.values import Copy, Record

MOST = 25
"""Ways to fail whose message is looked up: the most frequent ones."""
MAX_BYTES = 8192
"""Of an answer; one that is longer is no error's."""
MAX_CHARACTERS = 200
_VARYING = re.compile(r"\b(?=\w*\d)[\w-]*\w|\s+")
"""Numbers, and the words with numbers in them that ids are; and room."""


def messages(copies: ICopies, records: Sequence[Record], groups: Sequence[Failure]) -> dict[str, str | None]:
    """Return what the newest answer of each of the first groups said, by the id of its record."""
    by_id = {record.id: record for record in records}
    return {one.id: _message(copies, by_id[one.id].response_copy) for one in groups[:MOST]}


def _message(copies: ICopies, copy: Copy | None) -> str | None:
    """Return the message of an error answer; None where none was recorded, or it says nothing that is understood."""
    if copy is None or copy.bytes > MAX_BYTES:
        return None
    try:
        document = msgspec.json.decode(b"".join(copies.pieces(copy)))
    except (Expired, msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = told(document)
    return None if found is None else normalised(found)


def told(document: Any) -> str | None:
    """Return the text of an error, wherever the dialects put it."""
    while isinstance(document, dict):
        document = document.get("error", document.get("message"))
    return document if isinstance(document, str) else None


def normalised(text: str) -> str:
    """Return a message as all of its kind read: ids and numbers as ``#``, on one line, bounded."""
    plain = _VARYING.sub(lambda found: " " if found[0].isspace() else "#", text[: 4 * MAX_CHARACTERS]).strip()
    return plain if len(plain) <= MAX_CHARACTERS else f"{plain[:MAX_CHARACTERS]}..."
