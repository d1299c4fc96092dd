"""Recorded messages, read for showing: bounded, as text, as a document, as a conversation, as events.

This module must not change what was recorded, and must not write any markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from netrunner.errors import Expired
from netrunner.interfaces import ICopies
from netrunner.sse import OversizedEvent, Reader
from netrunner.values import Copy, Headers
from netrunner.web.dashboard.conversation import Piece, Turn, merged, pieces, turns

READ_BYTES = 2 << 20
"""So much of a body is read to find out what it says."""
SHOWN_CHARACTERS = 1 << 18
"""So much of it is shown as it is; the rest is for the download."""
SHOWN_EVENTS = 400
_DEEPEST = 24
"""A document with more levels is not written out: the white space alone would be more than the rest."""


class Event(msgspec.Struct, frozen=True):
    """One event of a stream."""

    name: str | None
    data: str
    said: str


class Shown(msgspec.Struct, frozen=True):
    """A message as it can be shown."""

    state: str
    """``whole``; ``part`` when only a part was kept or is shown; ``binary``; ``empty``; ``expired``; ``nothing`` when
    nothing was recorded."""
    start: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    kept: int = 0
    """Bytes that the download has."""
    complete: bool = True
    """Whether that is all there was."""
    text: str = ""
    pretty: str | None = None
    turns: tuple[Turn, ...] = ()
    said: tuple[Piece, ...] = ()
    events: tuple[Event, ...] | None = None
    """None if the message is no stream."""
    more_events: int = 0


def shown(copies: ICopies, copy: Copy | None) -> Shown:
    """Return what is recorded of one message; reads at most ``READ_BYTES`` of it."""
    if copy is None:
        return Shown("nothing")
    try:
        head = copies.head(copy)
        data, is_all = _read(copies.pieces(copy))
    except Expired:
        return Shown("expired")
    fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
    start = head.start.decode("latin-1")
    if not data:
        return Shown("empty", start, fields, copy.bytes, copy.complete)
    text = _text(data, is_all and copy.complete)
    if text is None:
        return Shown("binary", start, fields, copy.bytes, copy.complete)
    content = _content_type(head.headers)
    whole = is_all and copy.complete and len(text) <= SHOWN_CHARACTERS
    base = Shown("whole" if whole else "part", start, fields, copy.bytes, copy.complete, text[:SHOWN_CHARACTERS])
    if content == b"text/event-stream" or (content != b"application/json" and data.startswith((b"data:", b"event:"))):
        return _as_stream(base, _events(data))
    if content in (b"application/x-ndjson", b"application/jsonl"):
        return _as_stream(base, [(None, line) for line in data.splitlines() if line.strip()])
    return _as_document(base, data)


def _read(found: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the beginning of a body, and whether it is all of it."""
    parts, size = [], 0
    for piece in found:
        parts.append(piece)
        size += len(piece)
        if size > READ_BYTES:
            return b"".join(parts)[:READ_BYTES], False
    return b"".join(parts), True


def _text(data: bytes, is_all: bool) -> str | None:
    """Return the text of a body, None if it is none; one that was cut may end within a character."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if not is_all and error.start > len(data) - 4:
            return data[: error.start].decode()
        return None


def _content_type(headers: Headers) -> bytes:
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""


def _as_document(base: Shown, data: bytes) -> Shown:
    document = decoded(data)
    if not isinstance(document, dict | list):
        return base
    if _is_list_of_events(document):
        return _as_stream(base, [(None, bytes(one)) for one in msgspec.json.decode(data, type=list[msgspec.Raw])])
    return msgspec.structs.replace(
        base, pretty=_pretty(document, data), turns=turns(document), said=merged(pieces(document))
    )


def _is_list_of_events(document: Any) -> bool:
    """Return whether a document is a stream of Gemini's that was not asked for as events (no ``alt=sse``)."""
    return isinstance(document, list) and any(isinstance(one, dict) and "candidates" in one for one in document)


def _as_stream(base: Shown, found: list[tuple[str | None, bytes]]) -> Shown:
    events: list[Event] = []
    said: list[Piece] = []
    for name, data in found:
        here = list(pieces(decoded(data)))
        said += here
        if len(events) < SHOWN_EVENTS:
            words = "".join(text for _, text in here)
            events.append(Event(name, data.decode("utf-8", "replace"), words))
    return msgspec.structs.replace(base, events=tuple(events), more_events=len(found) - len(events), said=merged(said))


def _events(data: bytes) -> list[tuple[str | None, bytes]]:
    """Return the events of a stream, up to one that is longer than any should be."""
    reader = Reader(READ_BYTES)
    try:
        events = reader.feed(data)
    except OversizedEvent:
        return []
    return [(None if one.name is None else one.name.decode("utf-8", "replace"), one.data) for one in events]


def decoded(data: bytes) -> Any:
    """Return a JSON document, None for what is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _pretty(document: Any, data: bytes) -> str | None:
    """Return the document written out, its numbers as they came; None if that is too much to show."""
    if len(data) > SHOWN_CHARACTERS or _is_deeper(document, _DEEPEST):
        return None
    text = msgspec.json.format(data, indent=2).decode("utf-8", "replace")
    return text if len(text) <= 4 * SHOWN_CHARACTERS else None


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
