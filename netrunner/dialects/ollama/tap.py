"""What an Ollama answer says about itself while its bytes pass by untouched: counts, finish, error, end.

Only the last line tells any of it, and is told from others by a word. Memory is bounded: of a line or document beyond
``WHOLE_BYTES`` the end is kept, where the counts stand; a completion's last line may repeat its whole context.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.dialects import taps
from netrunner.dialects.interfaces import ITap
from netrunner.dialects.taps import HELD_BYTES, WHOLE_BYTES, Tap
from netrunner.values import Usage

_MATTERS = re.compile(rb'"done"[ \t]*+:[ \t]*+true|"error"')
_LATE = re.compile(rb'"(prompt_eval_count|eval_count|total_duration)"[ \t\r\n]*+:[ \t\r\n]*+(\d{1,15})')


class _Told(msgspec.Struct):
    done: Any = None
    done_reason: Any = None
    error: Any = None
    code: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None


_told = msgspec.json.Decoder(_Told)


class _Reading(Tap):
    """Reads one document; the later word on anything holds."""

    __slots__ = ()

    def _read(self, payload: bytes) -> bool:
        try:
            told = _told.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if told.error:
            self.error = told.code if isinstance(told.code, str) and told.code else "provider_error"
        self.complete = self.complete or told.done is True
        if isinstance(told.done_reason, str):
            self.finish_reason = told.done_reason
        self._counted(_count(told.prompt_eval_count), _count(told.eval_count))
        return True

    def _read_end(self, text: bytes) -> None:
        late = {name: int(number) for name, number in _LATE.findall(text)}
        self.complete = self.complete or b"total_duration" in late
        self._counted(late.get(b"prompt_eval_count"), late.get(b"eval_count"))

    def _counted(self, read: int | None, made: int | None) -> None:
        if read is not None or made is not None:
            self.usage = Usage(input_total=read or 0, output_total=made or 0)


def _count(found: Any) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


@implementer(ITap)
class StreamTap(_Reading):
    """Reads a stream of lines; ``began`` tells whether a whole one has come."""

    __slots__ = ("_cut", "_held", "_size", "began")

    def __init__(self) -> None:
        super().__init__()
        self.began = False
        self._held: list[bytes] = []
        """What came of a line whose end has not come."""
        self._size = 0
        self._cut = False
        """The beginning of the held line was let go."""

    def feed(self, data: bytes) -> None:
        """See the next bytes of the stream."""
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        first, last = data.find(b"\n"), data.rfind(b"\n")
        if first < 0:
            self._hold(data)
            return
        self._hold(data[:first])
        self._look(self._taken())
        self._look(data[first:last])
        self._hold(data[last + 1 :])

    def close(self) -> None:
        """The stream ended; its last line may have no end."""
        self._look(self._taken())

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > WHOLE_BYTES:
            self._held = [b"".join(self._held)[-HELD_BYTES:]]
            self._size, self._cut = len(self._held[0]), True

    def _taken(self) -> bytes:
        """Return what is held, of which nothing is kept."""
        text = b"".join(self._held)
        self._held, self._size = [], 0
        return text

    def _look(self, text: bytes) -> None:
        """Look at whole lines."""
        if self._cut:
            self._cut = False
            self.began = True
            self._read_end(text)
        elif text and not text.isspace():
            self.began = True
            if _MATTERS.search(text) is not None:
                for line in text.split(b"\n"):
                    self._read(line)


class AnswerTap(_Reading, taps.AnswerTap):
    """Reads an answer that comes as one document."""

    __slots__ = ()
