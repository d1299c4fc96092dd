"""Server-Sent Events and NDJSON, read from bytes however they are cut, and written so that every client survives.

What is written follows the team's emission contract: one ``data: `` line of compact JSON per event, no ``id``,
no ``retry``, comments only as keepalives. What is read follows the WHATWG HTML standard, 9.2.6: LF, CRLF or CR,
a leading BOM, comments, several ``data`` lines. NDJSON is a document a line, written without blank ones.

This module must not know any dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner.errors import NetrunnerError

KEEPALIVE = b": keepalive\n\n"
"""A comment, ignored by every reader of OpenAI-like streams."""

DONE = b"data: [DONE]\n\n"

EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
"""What may end an event."""

_BOM = b"\xef\xbb\xbf"
_LINE_BREAKERS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
"""What some clients' line splitters take for the end of a line; JSON allows all three raw."""


class OversizedEvent(NetrunnerError):
    """An event longer than the reader's bound."""


class Event(msgspec.Struct, frozen=True):
    """One event of a stream: its data lines joined by LF, and the name it was given, if any."""

    data: bytes
    name: bytes | None = None


def after_id(sign: bytes) -> bytes:
    """Return a sign of life as it may follow an event that has an ``id``.

    To OpenAI's Python client, and those like it, a blank line behind a comment is an event without data by then.
    """
    return sign.removesuffix(b"\n") if sign == KEEPALIVE else sign


def compact(document: Any) -> bytes:
    """Return ``document`` as JSON on one line that no client's line splitter cuts."""
    return escaped(msgspec.json.encode(document))


def escaped(text: bytes) -> bytes:
    """Return JSON with everything escaped that a client's line splitter takes for the end of a line."""
    if not text.isascii():
        for raw, escape in _LINE_BREAKERS:
            text = text.replace(raw, escape)
    return text


def event(document: Any) -> bytes:
    """Return an unnamed event that carries ``document`` as compact JSON."""
    return b"data: " + compact(document) + b"\n\n"


def line(document: Any) -> bytes:
    """Return ``document`` as a line of NDJSON."""
    return compact(document) + b"\n"


class Reader:
    """Turns bytes into events, incrementally; the last event needs its blank line to count.

    Args:
        max_event_bytes: The most that one event may take, field names and line ends included.
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_held", "_held_bytes", "_max", "_name", "_size")

    def __init__(self, max_event_bytes: int = 1 << 24) -> None:
        self._max = max_event_bytes
        self._held: list[bytes] = []
        """What came of a line whose end has not come."""
        self._held_bytes = 0
        self._size = 0
        """Bytes of the lines of the event being read."""
        self._data: list[bytes] = []
        self._name: bytes | None = None
        self._begun = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that ``data`` completes.

        Raises:
            OversizedEvent: when an event is longer than ``max_event_bytes``; nothing may be fed after that.
        """
        if self._after_cr and data.startswith(b"\n"):
            data, self._after_cr = data[1:], False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n")
        if end < 0:
            self._hold(data)
            return []
        text = b"".join(self._held) + data[:end]
        self._held, self._held_bytes = [], 0
        if not self._begun:
            self._begun = True
            text = text.removeprefix(_BOM)
        events: list[Event] = []
        for line in text.split(b"\n"):
            if line:
                self._field(line, events)
            else:
                self._dispatch(events)
        self._hold(data[end + 1 :])
        return events

    def _hold(self, data: bytes) -> None:
        self._held_bytes += len(data)
        if self._size + self._held_bytes > self._max:
            raise OversizedEvent(f"an event of the stream is longer than {self._max} bytes")
        if data:
            self._held.append(data)

    def _field(self, line: bytes, events: list[Event]) -> None:
        self._size += len(line) + 1
        if self._size > self._max:
            raise OversizedEvent(f"an event of the stream is longer than {self._max} bytes")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name not in (b"", b"id", b"retry"):
            events += self.unknown(line)

    def unknown(self, line: bytes) -> Sequence[Event]:
        """Return the events that a line which is no field completes: none, unless a dialect knows such lines."""
        return ()

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            events.append(Event(b"\n".join(self._data), self._name))
            self._data = []
        self._name, self._size = None, 0


class LineReader:
    """Turns bytes into the lines of NDJSON, incrementally; blank ones are passed over.

    Args:
        max_line_bytes: The most that one line may take.
    """

    __slots__ = ("_begun", "_held", "_held_bytes", "_max")

    def __init__(self, max_line_bytes: int = 1 << 24) -> None:
        self._max = max_line_bytes
        self._held: list[bytes] = []
        """What came of a line whose end has not come."""
        self._held_bytes = 0
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their ends: LF, CRLF or CR.

        Raises:
            OversizedEvent: when a line is longer than ``max_line_bytes``; nothing may be fed after that.
        """
        if b"\r" in data:
            # A blank line between CR and LF is passed over like any other, so none has to be told from a line end.
            data = data.replace(b"\r", b"\n")
        end = data.rfind(b"\n")
        if end < 0:
            self._hold(data)
            return []
        text = b"".join(self._held) + data[:end]
        self._held, self._held_bytes = [], 0
        lines = self._lines(text)
        self._hold(data[end + 1 :])
        return lines

    def end(self) -> list[bytes]:
        """Return the last line, if there is one that nothing has ended."""
        text, self._held, self._held_bytes = b"".join(self._held), [], 0
        return self._lines(text)

    def _lines(self, text: bytes) -> list[bytes]:
        if not self._begun and text:
            self._begun = True
            text = text.removeprefix(_BOM)
        lines = [line for line in text.split(b"\n") if line and not line.isspace()]
        for line in lines:
            self._check(len(line))
        return lines

    def _hold(self, data: bytes) -> None:
        self._held_bytes += len(data)
        self._check(self._held_bytes)
        if data:
            self._held.append(data)

    def _check(self, size: int) -> None:
        if size > self._max:
            raise OversizedEvent(f"a line of the stream is longer than {self._max} bytes")
