"""Streams of events with what is hidden taken out of the texts that the events add up to.

A stream of events cuts a text wherever it likes, so a key may begin in one event and end in the next but ten. Events
that are one line of JSON, with ``data:`` before it or alone, are therefore read: the strings under ``TEXT_KEYS`` of one
place in the document (the same keys, the same ``index``) are pieces of one text. What is found in that text is taken
out of the pieces; the mark stands in the first of them. An event waits until its pieces are settled. Everything
else in a line is searched by itself.

This module must not look at patterns, and must not know a dialect beyond those keys.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from netrunner.redaction.plain import TextRedactor
from netrunner.redaction.scan import Rules, Scan, Span, readable, replaced

TEXT_KEYS = (
    "arguments", "content", "delta", "input", "output", "partial_json", "reasoning", "reasoning_content", "refusal",
    "response", "text", "thinking", "transcript",
)  # fmt: skip
"""Keys whose strings are pieces of a longer text."""
_PLACES = ("index", "output_index", "content_index", "summary_index")
"""Keys that tell one text from another where the keys are the same."""

MAX_LINE_BYTES = 262144
"""An event longer than that is searched as plain text."""
MAX_HELD_EVENT_BYTES = 1048576
"""So many bytes of events may wait; then what is there is settled as if the texts ended."""
MAX_IDLE_BYTES = 32768
"""A text that got no piece in so many bytes of events is taken to have ended."""
MAX_TEXTS = 256
"""So many texts a stream may have; the strings of further ones are searched by themselves."""
_MAX_DEPTH = 16
_EVENTS = re.compile(rb"[^\n]*+(?:\n\r?+)++|[^\n]++")
"""A line, with the empty ones after it."""

_PLAIN = re.compile(rb'[^"\\\n]*+')
"""A piece of a string that ends nothing and escapes nothing."""
_STRINGS = re.compile(rb'[{,][ \t]*+"(?:' + "|".join(TEXT_KEYS).encode() + rb')"[ \t]*+:[ \t]*+"((?:[^"\\]++|\\.)*+)"')


class _Line:
    """A line of a stream, and what is to be replaced in it."""

    __slots__ = ("raw", "spans", "waiting")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.spans: list[Span] = []
        self.waiting = 0
        """Pieces in it that are not settled."""


class _Strand:
    """One text of a stream, and the pieces of it that are not settled."""

    __slots__ = ("_end", "_fresh", "_pieces", "_scan", "touched")

    def __init__(self, rules: Rules) -> None:
        self.touched = 0
        """Bytes of the stream that had come when it got its last piece."""
        self._scan = Scan(rules)
        self._end = 0
        self._fresh: list[bytes] = []
        self._pieces: deque[tuple[int, int, int, _Line]] = deque()
        """Where each starts and ends in the text, and where it starts in which line."""

    @property
    def waits(self) -> bool:
        """Whether a piece of it is not settled."""
        return bool(self._pieces)

    def add(self, line: _Line, start: int, piece: bytes) -> None:
        """Take a piece of a line, which starts at ``start`` in it."""
        begin = self._end
        self._end = end = begin + len(piece)
        self._fresh.append(piece)
        self._pieces.append((begin, end, start, line))
        line.waiting += 1

    def look(self) -> None:
        """Search what has been added."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self._apply(self._scan.feed(fresh[0] if len(fresh) == 1 else b"".join(fresh)))

    def close(self) -> None:
        """Settle everything."""
        self.look()
        self._apply(self._scan.close())

    def _apply(self, spans: list[Span]) -> None:
        pieces, settled = self._pieces, self._scan.settled
        for span in spans:
            mark = span.mark
            for begin, end, at, line in pieces:
                if begin >= span.end:
                    break
                if end > span.start:
                    start, stop = max(begin, span.start), min(end, span.end)
                    line.spans.append(Span(at + start - begin, at + stop - begin, mark))
                    mark = b""
        while pieces and pieces[0][1] <= settled:
            pieces.popleft()[3].waiting -= 1


class EventRedactor:
    """A body that is a stream of events, each on a line of its own."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_last",
        "_lines",
        "_long",
        "_rest",
        "_rest_bytes",
        "_rules",
        "_seen",
        "_strands",
    )

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._rest: list[bytes] = []
        """What came of a line whose end has not come."""
        self._rest_bytes = 0
        self._long: TextRedactor | None = None
        """Searches the line being read, if that is too long to be read as an event."""
        self._lines: deque[_Line] = deque()
        self._held_bytes = 0
        self._seen = 0
        """Bytes of whole lines that came."""
        self._strands: dict[tuple[Any, ...], _Strand] = {}
        self._last: tuple[bytes, bytes, _Strand | None] = b"", b"", None
        """What stood around the one piece of the event read last, which most events repeat, and whose piece it was."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes settle."""
        if not self._rest and self._long is None and (strand := self._repeated(data)) is not None:
            # So are most streams, if their events come one by one.
            self._seen += len(data)
            strand.touched = self._seen
            strand.look()
            return self._settled()
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return self._settled()
        if self._long is not None:
            first = data.find(b"\n") + 1
            self._add(self._long.feed(data[:first]) + self._long.close())
            self._long = None
            data, end = data[first:], end - first
        if self._rest:
            data = b"".join(self._rest) + data
            end += self._rest_bytes
            self._rest, self._rest_bytes = [], 0
        if end == len(data):
            self._look(data)
        else:
            self._look(data[:end])
            self._hold(data[end:])
        return self._settled()

    def close(self) -> bytes:
        """Return the rest."""
        if self._long is not None:
            self._add(self._long.close())
            self._long = None
        self._look(b"".join(self._rest))
        self._rest, self._rest_bytes = [], 0
        self._settle(0)
        return self._settled()

    def _hold(self, data: bytes) -> None:
        if self._long is None:
            if data:
                self._rest.append(data)
                self._rest_bytes += len(data)
            if self._rest_bytes <= MAX_LINE_BYTES:
                return
            self._long = TextRedactor(self._rules)
            data = b"".join(self._rest)
            self._rest, self._rest_bytes = [], 0
        self._add(self._long.feed(data))

    def _add(self, raw: bytes) -> _Line:
        line = _Line(raw)
        self._lines.append(line)
        self._held_bytes += len(raw)
        return line

    def _look(self, data: bytes) -> None:
        """Take whole lines."""
        self._seen += len(data)
        touched: dict[_Strand, None] = {}
        for raw in _EVENTS.findall(data):
            strand = self._repeated(raw)
            if strand is not None:
                touched[strand] = None
            else:
                self._read(raw, touched)
        for strand in touched:
            strand.touched = self._seen
            strand.look()

    def _repeated(self, raw: bytes) -> _Strand | None:
        """Take a line that is the event read last with another piece of its text; return that text, None if not."""
        before, after, strand = self._last
        if strand is None or not (raw.startswith(before) and raw.endswith(after)):
            return None
        start, end = len(before), len(raw) - len(after)
        if end < start or _PLAIN.fullmatch(raw, start, end) is None:
            return None
        strand.add(self._add(raw), start, raw[start:end])
        return strand

    def _read(self, raw: bytes, touched: dict[_Strand, None]) -> None:
        """Take a line apart."""
        line = self._add(raw)
        pieces = self._pieces(raw)
        for strand, start, end in pieces:
            strand.add(line, start, raw[start:end])
            touched[strand] = None
        self._search(line, pieces)
        if len(pieces) == 1 and not line.spans:
            strand, start, end = pieces[0]
            self._last = raw[:start], raw[end:], strand

    def _pieces(self, raw: bytes) -> list[tuple[_Strand, int, int]]:
        """Return where in a line pieces of texts start and end, and of which."""
        spans = [found.span(1) for found in _STRINGS.finditer(raw)]
        if not spans:
            return []
        places = _places(raw)
        if len(places) != len(spans):
            return []
        pieces = []
        for place, (start, end) in zip(places, spans, strict=True):
            known = self._strands.get(place)
            if known is None:
                if len(self._strands) >= MAX_TEXTS:
                    continue
                known = self._strands[place] = _Strand(self._rules)
            pieces.append((known, start, end))
        return pieces

    def _search(self, line: _Line, pieces: list[tuple[_Strand, int, int]]) -> None:
        """Search a line for what lies outside its pieces; what lies in one is found in the text it belongs to."""
        if not self._rules.suspects(readable(line.raw)):
            return
        scan = Scan(self._rules)
        for span in scan.feed(line.raw) + scan.close():
            if not any(span.start < end and start < span.end for _, start, end in pieces):
                line.spans.append(span)

    def _settle(self, idle_bytes: int) -> None:
        """Settle the texts that have got nothing in the last ``idle_bytes`` of the stream; all of them for 0."""
        for strand in self._strands.values():
            if strand.waits and self._seen - strand.touched >= idle_bytes:
                strand.close()

    def _settled(self) -> bytes:
        lines, parts = self._lines, list[bytes]()
        if self._held_bytes > MAX_IDLE_BYTES and lines[0].waiting:
            self._settle(0 if self._held_bytes > MAX_HELD_EVENT_BYTES else MAX_IDLE_BYTES)
        while lines and not lines[0].waiting:
            line = lines.popleft()
            self._held_bytes -= len(line.raw)
            parts.append(replaced(line.raw, line.spans) if line.spans else line.raw)
        return b"".join(parts)


def _places(raw: bytes) -> list[tuple[Any, ...]]:
    """Return, in their order, the place of every string under one of the keys in a line of JSON, none if it is none."""
    start = raw.find(b"{")
    before = raw[:start].strip()
    if start < 0 or before not in (b"", b"data:", b"\xef\xbb\xbfdata:"):
        return []
    try:
        document = msgspec.json.decode(raw[start:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    kind = document.get("type")
    return list(_strings(document, (kind if isinstance(kind, str) else None,), 0))


def _strings(node: Any, place: tuple[Any, ...], depth: int) -> Iterator[tuple[Any, ...]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, list):
        for number, item in enumerate(node):
            numbered = isinstance(item, dict) and isinstance(item.get("index"), int)
            yield from _strings(item, place if numbered else (*place, number), depth + 1)
    elif isinstance(node, dict):
        place += tuple(value for key in _PLACES if isinstance(value := node.get(key), int))
        for key, value in node.items():
            if isinstance(value, str):
                if key in TEXT_KEYS:
                    yield (*place, key)
            elif isinstance(value, dict | list):
                yield from _strings(value, (*place, key), depth + 1)
