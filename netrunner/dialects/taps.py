"""What taps share: an answer passing by is cut into what a dialect reads, and of what is too long the end is kept.

Memory is bounded: an event of a stream by ``HELD_BYTES``, a whole answer by ``WHOLE_BYTES``; usage and finish reason
stand at the end.

This module must not hold back or change a byte, must not raise whatever it is fed, and must not know any dialect.
"""

from __future__ import annotations

import abc

from zope.interface import implementer

from netrunner.dialects.interfaces import ITap
from netrunner.values import Usage

HELD_BYTES = 65536
WHOLE_BYTES = 1 << 20


class Tap(abc.ABC):
    """What every tap knows; a dialect's says how one document is read, and the end of one."""

    __slots__ = ("complete", "error", "finish_reason", "made", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: str | None = None
        self.complete = False
        self.made = 0.0

    @abc.abstractmethod
    def _read(self, payload: bytes) -> bool:
        """Learn from one JSON document; return whether it was one."""

    @abc.abstractmethod
    def _read_end(self, text: bytes) -> None:
        """Learn from the end of a document whose beginning was let go."""


@implementer(ITap)
class StreamTap(Tap):
    """Reads a stream of events.

    ``began`` tells whether a whole event has come: comments are no events, nor is the mark of the end. ``named`` tells
    whether the first had an ``id``.
    """

    __slots__ = ("_after_cr", "_cut", "_held", "_held_bytes", "began", "named")

    def __init__(self) -> None:
        super().__init__()
        self.began = self.named = False
        self._held: list[bytes] = []
        """What came of an event whose end has not come."""
        self._held_bytes = 0
        self._cut = False
        """The beginning of the held event was let go."""
        self._after_cr = False

    def feed(self, data: bytes) -> None:
        """See the next bytes of the stream."""
        if b"\r" in data or self._after_cr:
            data = self._line_feeds(data)
        if self._held:
            if b"\n" not in data:
                self._hold(data)
                return
            data = b"".join(self._held) + data
            self._held, self._held_bytes = [], 0
        if data.endswith(b"\n\n"):
            self._look(data)
            return
        end = data.rfind(b"\n\n")
        if end >= 0:
            self._look(data[:end])
            data = data[end + 2 :]
        self._hold(data)

    def close(self) -> None:
        """The stream ended; providers without a mark for that have at least said why they finished."""
        if self._held:
            self._look(b"".join(self._held))
            self._held = []
        if self.finish_reason is not None:
            self.complete = True

    def _line_feeds(self, data: bytes) -> bytes:
        """Return ``data`` with LF for CRLF and CR, a CRLF over two reads included."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > 2 * HELD_BYTES:
            self._held = [b"".join(self._held)[-HELD_BYTES:]]
            self._held_bytes, self._cut = HELD_BYTES, True

    def _look(self, events: bytes) -> None:
        """Look at whole events."""
        if self._cut:
            self._cut = False
            self._read_end(events.split(b"\n\n", 1)[0])
        if not self.began:
            self.began = self._says(events)
            self.named = events.startswith(b"id:") or b"\nid:" in events
        if self._matters(events):
            for text in events.split(b"\n\n"):
                if self._matters(text):
                    self._event(text)

    def _event(self, text: bytes) -> None:
        """Learn from one event that may tell something."""
        payload = data_of(text)
        if payload:
            self._read(payload)

    def _says(self, events: bytes) -> bool:
        """Return whether anything of an answer is among whole events."""
        return b"data:" in events

    @staticmethod
    @abc.abstractmethod
    def _matters(text: bytes) -> bool:
        """Return whether ``text`` may hold an event that tells something."""


def data_of(event: bytes) -> bytes:
    """Return the data of one event, whose lines end with LF."""
    return b"\n".join([line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")])


@implementer(ITap)
class AnswerTap(Tap):
    """Reads an answer that comes as one document."""

    __slots__ = ("_cut", "_pieces", "_size")

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0
        self._cut = False

    def feed(self, data: bytes) -> None:
        """See the next bytes of the answer."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > WHOLE_BYTES:
            self._pieces = [b"".join(self._pieces)[-HELD_BYTES:]]
            self._size, self._cut = len(self._pieces[0]), True

    def close(self) -> None:
        """The answer ended; what it says is known now."""
        text = b"".join(self._pieces)
        self._pieces = []
        if self._cut:
            self._read_end(text)
            self.complete = text.rstrip().endswith(b"}")
        else:
            self.complete = self._read(text)
