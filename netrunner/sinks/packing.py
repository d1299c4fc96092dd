"""Log events as CloudWatch Logs takes them: cut to size, in order of time, packed into batches within every limit.

The limits are those of ``PutLogEvents`` (Amazon CloudWatch Logs API reference). A record too large for one event
becomes several whose messages are ``{"id", "part", "parts", "text"}``: the ``text`` of all parts, put together in
order, is the record's own document.

This module must not send anything; it knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

EVENT_OVERHEAD_BYTES = 26
"""Counted for each event besides its message in UTF-8."""
MAX_EVENT_BYTES = 262144
MAX_BATCH_BYTES = 1048576
MAX_BATCH_EVENTS = 10000
MAX_SPAN_MS = 24 * 3600 * 1000
"""Between the first and the last event of a batch."""
MAX_AGE_MS = 14 * 24 * 3600 * 1000
MAX_AHEAD_MS = 2 * 3600 * 1000

_MAX_MESSAGE_BYTES = MAX_EVENT_BYTES - EVENT_OVERHEAD_BYTES
_TEXT_BYTES = (_MAX_MESSAGE_BYTES - 256) // 2
"""Of a document in one part: as JSON inside of JSON it grows to twice its size at the most, and ids are short."""


class Event(NamedTuple):
    """One log event."""

    at_ms: int
    """Unix time in milliseconds."""
    id: str
    """Of the record."""
    message: bytes
    """JSON in UTF-8."""
    last: bool
    """Whether the record is complete with it."""

    @property
    def size(self) -> int:
        """Bytes that it counts for in a batch."""
        return len(self.message) + EVENT_OVERHEAD_BYTES


def events(at_s: float, id: str, document: bytes) -> list[Event]:
    """Return the events of one record: one, or as many parts as it takes.

    Args:
        at_s: Unix time of the record.
        id: Of the record.
        document: JSON in UTF-8.
    """
    at_ms = int(at_s * 1000)
    if len(document) <= _MAX_MESSAGE_BYTES:
        return [Event(at_ms, id, document, True)]
    texts = list(_texts(document))
    return [
        Event(
            at_ms,
            id,
            msgspec.json.encode({"id": id, "part": number, "parts": len(texts), "text": text}),
            number == len(texts),
        )
        for number, text in enumerate(texts, 1)
    ]


def _texts(document: bytes) -> Iterator[str]:
    """Cut a document between characters."""
    start = 0
    while start < len(document):
        end = start + _TEXT_BYTES
        while end < len(document) and document[end] & 0xC0 == 0x80:
            end -= 1
        yield document[start:end].decode()
        start = end


def in_time(event: Event, now_s: float) -> str | None:
    """Return why an event cannot be sent at the Unix time ``now_s``, None if it can."""
    age_ms = now_s * 1000 - event.at_ms
    if age_ms > MAX_AGE_MS:
        return "too old"
    return "too new" if -age_ms > MAX_AHEAD_MS else None


def batches(unordered: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield batches of events in order of time; those of one time stay in the order they came in."""
    batch: list[Event] = []
    size = 0
    for event in sorted(unordered, key=lambda event: event.at_ms):
        full = len(batch) == MAX_BATCH_EVENTS or size + event.size > MAX_BATCH_BYTES
        if batch and (full or event.at_ms - batch[0].at_ms > MAX_SPAN_MS):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch
