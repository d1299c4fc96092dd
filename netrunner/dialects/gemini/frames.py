"""The documents of an answer, however it is framed: events, one document, or a list that comes piece by piece.

Google tells an error in the middle of a stream of events as plain JSON over several lines; it is found there as well.

This module must not know what the documents mean.
"""

from __future__ import annotations

import re
from typing import Literal

from netrunner import sse
from netrunner.dialects.answers import too_large, unreadable

_BOM = b"\xef\xbb\xbf"
_PLAIN = re.compile(rb'(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""What stands before the next brace, with whole strings; before a string that has not ended, otherwise."""
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n]*+,?[ \t\r\n]*+")

_Form = Literal["events", "document", "list"]
_FORMS: dict[bytes, _Form] = {b"{": "document", b"[": "list"}
"""By the first byte; anything else is no JSON."""


class Elements:
    """Cuts JSON objects out of bytes: those of a list, or such as follow one another.

    Args:
        max_bytes: The most that one of them may take.
    """

    __slots__ = ("_at", "_depth", "_held", "_in_text", "_max", "closed", "listed")

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._held = bytearray()
        self._at = 0
        """How far what is held has been looked at."""
        self._depth = 0
        self._in_text = False
        self.listed = False
        """Whether they stand in a list."""
        self.closed = False
        """Whether that list has ended."""

    @property
    def at_rest(self) -> bool:
        """Whether nothing has been begun that has not ended."""
        return not self._held and self.listed == self.closed

    def feed(self, data: bytes) -> list[bytes]:
        """Return the objects that ``data`` completes.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for what is no JSON object, ``answer_too_large`` for one beyond
                the bound.
        """
        held = self._held
        held += data
        found: list[bytes] = []
        while self._depth or self._begins():
            end = self._end()
            if not end:
                break
            found.append(bytes(held[:end]))
            del held[:end]
            self._at = 0
        if len(held) > self._max or any(len(one) > self._max for one in found):
            raise too_large()
        return found

    def _begins(self) -> bool:
        """Skip what stands between two objects; return whether one begins now."""
        held = self._held
        space = _BETWEEN.match(held)
        del held[: space.end() if space else 0]
        while held.startswith((b"[", b"]")):
            opens = held.startswith(b"[")
            if self.closed or opens == self.listed:
                raise unreadable("is not JSON")
            self.listed, self.closed = True, not opens
            del held[: len(held) - len(held[1:].lstrip())]
        if held and (self.closed or not held.startswith(b"{")):
            raise unreadable("is not JSON")
        return bool(held)

    def _end(self) -> int:
        """Return where the object that is held ends; 0 if that has not come."""
        held = self._held
        while self._at < len(held):
            if self._in_text:
                text = _STRING.match(held, self._at)
                self._at = text.end() if text else self._at
                if held[self._at : self._at + 1] != b'"':
                    return 0
                self._in_text = False
                self._at += 1
                continue
            plain = _PLAIN.match(held, self._at)
            self._at = plain.end() if plain else self._at
            mark = held[self._at : self._at + 1]
            self._at += len(mark)
            if mark == b'"':
                self._in_text = True
            elif mark == b"{":
                self._depth += 1
            elif mark:
                self._depth -= 1
                if not self._depth:
                    return self._at
        return 0


class _Lines(sse.Reader):
    """Events, and beside them lines that are no fields, such as those of an error."""

    __slots__ = ("stray",)

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self.stray = Elements(max_event_bytes)

    def unknown(self, line: bytes) -> list[sse.Event]:
        """Return what a line that is no field completes; an object that begins is read to its end."""
        if self.stray.at_rest and line.lstrip()[:1] not in (b"{", b"["):
            return []
        return [sse.Event(one) for one in self.stray.feed(line + b"\n")]


class Frames:
    """Finds the documents of one answer.

    Args:
        max_bytes: The most that one document may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self.form: _Form | None = None
        """How they are framed; None before that can be told."""
        self._max = max_bytes
        self._begun = b""
        self._lines: _Lines | None = None
        self._elements: Elements | None = None

    def feed(self, data: bytes, last: bool) -> list[bytes]:
        """Return the documents that the next bytes complete.

        Raises:
            UpstreamError: for what cannot be read.
        """
        if self.form is None:
            data = (self._begun + data).lstrip(b" \t\r\n")
            if len(data) < 3 and _BOM.startswith(data) and not last:
                self._begun = data
                return []
            data = data.removeprefix(_BOM).lstrip(b" \t\r\n")
            self._begun = b""
            if data:
                self.form = _FORMS.get(data[:1], "events")
        if self.form == "events":
            return self._events(data, last)
        if self._elements is None:
            self._elements = Elements(self._max)
        return self._elements.feed(data)

    @property
    def cut(self) -> bool:
        """Whether what came ends amid a document, or a list without its end."""
        elements = self._elements if self._lines is None else self._lines.stray
        return bool(self._begun) or not (elements is None or elements.at_rest)

    def _events(self, data: bytes, last: bool) -> list[bytes]:
        if self._lines is None:
            self._lines = _Lines(self._max)
        lines = self._lines
        try:
            found = [one.data for one in lines.feed(data)]
            if last:
                # The last event may lack its blank line.
                found += [one.data for one in lines.feed(b"\n\n")]
        except sse.OversizedEvent as error:
            raise too_large() from error
        return found
