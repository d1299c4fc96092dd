"""What was said in an exchange, in neutral terms: for sinks that show conversations to people.

It is read from the journal's copies, so what that leaves out or hides is not seen here either.

This module must not keep anything.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import ExchangeError, Expired
from netrunner.events import TextDelta
from netrunner.interfaces import ICopies
from netrunner.values import Copy, Record

_ENDPOINT = re.compile(r"/(?:v1|v1beta|api)/(?P<below>.+)\Z|\A/(?P<bare>.+)\Z")


class Contents(NamedTuple):
    """What both sides said; None for what is not there, too large, or nothing that holds turns or text."""

    turns: list[dict[str, str]] | None = None
    """Role and text of each."""
    answer: str | None = None
    """The text of the first choice."""


def contents(record: Record, copies: ICopies, max_bytes: int) -> Contents:
    """Return what was said in an exchange.

    Args:
        record: Of the exchange.
        copies: The recorded messages.
        max_bytes: Of a message; a larger one is left out.
    """
    named = _ENDPOINT.search(record.path)
    if record.dialect is None or record.dialect not in SPOKEN or named is None:
        return Contents()
    dialect, endpoint = SPOKEN[record.dialect], named["below"] or named["bare"]
    asked = _copy(record.request_copy, copies, max_bytes)
    told = _copy(record.response_copy, copies, max_bytes) if record.status == 200 else None
    return Contents(
        None if asked is None else _turns(dialect, endpoint, asked),
        None if told is None else _answer(dialect, endpoint, record, told, max_bytes),
    )


def _copy(kept: Copy | None, copies: ICopies, max_bytes: int) -> bytes | None:
    if kept is None or not kept.complete or kept.bytes > max_bytes:
        return None
    try:
        return b"".join(copies.pieces(kept))
    except Expired:
        return None


def _turns(dialect: Any, endpoint: str, body: bytes) -> list[dict[str, str]] | None:
    try:
        view = dialect.view(dialect.envelope(endpoint, b"application/json", body, b""))
        return [{"role": turn.role, "content": turn.text} for turn in view.messages()] or None
    except ExchangeError:
        return None


def _answer(dialect: Any, endpoint: str, record: Record, body: bytes, max_bytes: int) -> str | None:
    if not dialect.has_events(record.method.encode(), endpoint):
        return None
    try:
        chunks = dialect.events(endpoint, record.streaming, max_bytes).feed(body, True)
    except ExchangeError:
        return None
    events = [event for chunk in chunks for event in chunk.events]
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == 0)
