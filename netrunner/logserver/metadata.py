"""What is known of one stored message, and how it stands in its ``*_metadata.json``.

This module must not touch files.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from netrunner.http.headers import list_tokens
from netrunner.ids import short
from netrunner.logserver.message import Message, Type

LATEST_S = 4102444800.0
"""1 January 2100: no message was accepted after that."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """One message. Written first as incomplete, and replaced when the message has ended."""

    id: str
    """Of the exchange; its request and its response share it."""
    type: Type
    file: str
    """Name of the file with the exact bytes."""
    at_accept: float
    """Unix time at which the exchange began, as its sender says, or else when this came of it first."""
    at_began: float
    """Unix time at which this message began to come here."""
    at_head: float | None = None
    """Unix time at which its head was complete here."""
    at_end: float | None = None
    header_latency_s: float | None = None
    """Of a response: seconds from the accept to its head, as its sender says, or as seen here."""
    url: str | None = None
    """Whole URL at the proxy."""
    host: str | None = None
    method: str | None = None
    path: str | None = None
    """Without the query."""
    status: int | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    head_error: str | None = None
    """Why the head could not be read; the bytes are stored all the same."""
    bytes: int = 0
    decoded_bytes: int | None = None
    """Of the body without its content coding, when it has one that could be undone."""
    decode_error: str | None = None
    """Why the content coding could not be undone."""
    completed: bool = False
    error: str | None = None
    """Why the message is incomplete."""

    def with_head(self, message: Message) -> Metadata:
        """Return this with what the message's head tells."""
        if not message.complete_head:
            return msgspec.structs.replace(self, head_error=message.error)
        text = _text(message.target) if message.method is not None else None
        coding = b",".join(value for name, value in message.headers if name == b"content-encoding")
        return msgspec.structs.replace(
            self,
            url=_text(message.get(b"x-proxy-path")) or text,
            host=_text(message.get(b"host")),
            method=_text(message.method),
            path=text.partition("?")[0] if text is not None else None,
            status=message.status,
            content_type=_text(message.get(b"content-type")),
            content_encoding=_text(b", ".join(one for one in list_tokens(coding) if one != b"identity")) or None,
        )


def seconds(text: bytes | None, latest_s: float = LATEST_S) -> float | None:
    """Return what a sender says of a time or a duration, None if it is no number from 0 to ``latest_s``."""
    try:
        value = float(text or b"")
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= latest_s else None


def stem(id: str, type: Type, at_accept: float, number: int = 1) -> str:
    """Return the name of a message's files without their endings.

    The time is UTC. ``number`` tells apart what would have the same name otherwise: ids that end alike, in one
    millisecond, or an exchange that is sent again.
    """
    again = "" if number == 1 else f"-{number}"
    return f"{moment(at_accept)}_{short(id)}_{type}{again}"


def moment(at: float) -> str:
    """Return a Unix time as names begin with it: UTC, to the millisecond; earlier ones sort before later ones."""
    told = datetime.fromtimestamp(at, UTC)
    return f"{told:%Y-%m-%d_%H-%M-%S}.{told.microsecond // 1000:03}"


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace")
