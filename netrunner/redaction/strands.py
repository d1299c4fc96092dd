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
from netrunner.redaction.scan import Rules, Scan, readable, replaced
from netrunner.redaction.strand import Line, Strand

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
MAX_RUN_BYTES = 8192
"""So many bytes of events that repeat each other are looked at, and wait, as one."""
_FEW_BYTES = 1024
"""In less than that events are told from each other one by one."""
_MAX_LEAD_BYTES = 256
_MAX_DEPTH = 16
_EVENTS = re.compile(rb"[^\n]*+(?:\n\r?+)++|[^\n]++")
"""A line, with the empty ones after it."""

_PIECE = re.compile(rb'(?:[^"\\\n]++|\\.)*+')
"""A piece of a string that does not end it."""
_STRINGS = re.compile(rb'[{,][ \t]*+"(?:' + "|".join(TEXT_KEYS).encode() + rb')"[ \t]*+:[ \t]*+"((?:[^"\\]++|\\.)*+)"')


class EventRedactor:
    """A body that is a stream of events, each on a line of its own."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_last",
        "_lead",
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
        self._lines: deque[Line] = deque()
        self._held_bytes = 0
        self._seen = 0
        """Bytes of whole lines that came."""
        self._strands: dict[tuple[Any, ...], Strand] = {}
        self._last: tuple[bytes, bytes, Strand | None] = b"", b"", None
        """What stood around the one piece of the event read last, which most events repeat, and whose piece it was."""
        self._lead = b""
        """The line before the one to be read, if nothing stands in it that is looked at: ``event: delta``."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes settle."""
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

    def _add(self, raw: bytes) -> Line:
        line = Line(raw)
        self._lines.append(line)
        self._held_bytes += len(raw)
        return line

    def _look(self, data: bytes) -> None:
        """Take whole lines."""
        self._seen += len(data)
        touched: dict[Strand, None] = {}
        at = 0
        while at < len(data):
            end = self._repeated(data, at, touched)
            if end == at:
                found = _EVENTS.match(data, at)
                assert found is not None  # there is a byte, and the pattern takes any
                end = found.end()
                self._read(found[0], touched)
            at = end
        for strand in touched:
            strand.touched = self._seen
            strand.look()

    def _repeated(self, data: bytes, at: int, touched: dict[Strand, None]) -> int:
        """Take what from ``at`` on repeats the event read last with other pieces of its text; return where that ends.

        So go most streams from their second event to the last but one, and only their words are looked at.
        """
        before, after, strand = self._last
        if strand is None or not data.startswith(before, at):
            return at
        begin, head, tail, until = at, len(before), after.find(b"\n"), at + MAX_RUN_BYTES
        pieces = _between(data[at + head : until], after + before) if len(data) - at > _FEW_BYTES else []
        at += sum(map(len, pieces)) + len(pieces) * (head + len(after))
        while at < until and data.startswith(before, at):
            start = at + head
            end = data.find(b"\n", start) - tail
            if end < start or not data.startswith(after, end) or _PIECE.fullmatch(data, start, end) is None:
                break
            pieces.append(data[start:end])
            at = end + len(after)
        if pieces:
            strand.add(self._add(data[begin:at]), head, pieces, head + len(after))
            touched[strand] = None
            self._lead = b""
        return at

    def _read(self, raw: bytes, touched: dict[Strand, None]) -> None:
        """Take a line apart."""
        line = self._add(raw)
        pieces = self._pieces(raw)
        for strand, start, end in pieces:
            strand.add(line, start, (raw[start:end],))
            touched[strand] = None
        self._search(line, pieces)
        lead, self._lead = self._lead, b""
        if line.spans:
            return
        if len(pieces) == 1 and raw.endswith(b"\n"):
            strand, start, end = pieces[0]
            self._last = lead + raw[:start], raw[end:], strand
        elif not pieces and len(raw) <= _MAX_LEAD_BYTES:
            self._lead = raw

    def _pieces(self, raw: bytes) -> list[tuple[Strand, int, int]]:
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
                known = self._strands[place] = Strand(self._rules)
            pieces.append((known, start, end))
        return pieces

    def _search(self, line: Line, pieces: list[tuple[Strand, int, int]]) -> None:
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


def _between(data: bytes, seam: bytes) -> list[bytes]:
    """Return the pieces of strings that a seam follows, one and all; none if any of them may end its string."""
    pieces = data.split(seam)[:-1]
    joined = b'"'.join(pieces) + b'"'
    plain = joined.count(b'"') == len(pieces) and b'\\"' not in joined and b"\n" not in joined
    return pieces if plain else []


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
