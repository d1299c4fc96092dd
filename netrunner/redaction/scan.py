"""Finding what is to be hidden in one text that arrives in pieces: spans of it, each as soon as it is certain.

A match is certain when no match that more bytes could still complete begins at or before it. Everything before the
first place where such a match may have begun is settled; the rest is held until the next bytes come. Where a match is
complete and only grows, it is hidden after ``MAX_HOLD_BYTES`` and goes on until it ends; where it is not even complete
by then, it is given up.

This module must not know where texts come from, nor which classes there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netrunner.redaction.grammar import Shape, compiled
from netrunner.redaction.patterns import Proof

MAX_HOLD_BYTES = 16384
"""So much of one text may wait for what completes a match; longer matches are found if they are complete by then."""
_HEAD_BYTES = 1024
_TAIL_BYTES = 128
"""What is kept of an overlong match to tell where it ends: enough for its beginning and for its last mark."""
_WORD_BYTES = 48
"""A text up to that is looked up among those that were searched before: models say the same words all the time."""
_WORDS = 16384
"""So many of these are known at a time."""
_UNDECIDED_BYTES = 4
"""A text of which more is undecided may be the beginning of a secret, and is not remembered."""

_CODE = re.compile(rb"\\u00(2[0-9A-Fa-f]|3[A-Fa-f]|40|5[B-Fb-f]|60|7[B-Eb-e])")
_CUT_ESCAPE = re.compile(rb"\\(?:u(?:0(?:0[0-9A-Fa-f]?)?)?)?\Z")
_BACKSLASH = 92
_ESCAPES = ((b"\\n", b"\n\n"), (b"\\r", b"\r\r"), (b"\\t", b"\t\t"), (b'\\"', b'""'), (b"\\/", b"//"))
_ESCAPED = dict(_ESCAPES)
_ESCAPE = re.compile(rb'\\[nrt"/]')
_FEW = 80
"""With fewer than one escape in so many bytes it is quicker to replace each than to look for every kind of them."""


def readable(text: bytes) -> bytes:
    """Return ``text`` as it is searched: of the same length, an escape of JSON being its character repeated.

    So a key that follows a line end or a quote in a JSON string stands apart from it, and a slash that somebody
    escaped is one. In what is no JSON hardly anything matches for it that would not otherwise.
    """
    escapes = text.count(b"\\")
    if not escapes:
        return text
    if escapes * _FEW < len(text):
        text = _ESCAPE.sub(lambda found: _ESCAPED[found[0]], text)
    else:
        for escape, characters in _ESCAPES:
            text = text.replace(escape, characters)
    if b"\\u00" in text:
        text = _CODE.sub(lambda found: 6 * bytes((int(found[1], 16),)), text)
    return text


@dataclass(frozen=True, slots=True)
class Span:
    """What is to be replaced, in bytes from the beginning of the text."""

    start: int
    end: int
    mark: bytes
    """What stands there instead; nothing where a match goes on that has its mark already."""


def replaced(text: bytes, spans: Iterable[Span], offset: int = 0) -> bytes:
    """Return ``text``, which begins ``offset`` bytes into what the spans count in, with marks for the spans."""
    parts: list[bytes] = []
    at = 0
    for span in sorted(spans, key=lambda span: span.start):
        start, end = span.start - offset, span.end - offset
        if end <= at and start < end:
            continue
        if start >= at:
            parts += (text[at:start], span.mark)
        at = max(at, end)
    parts.append(text[at:])
    return b"".join(parts)


class Rule:
    """One pattern with its mark.

    Args:
        name: Of its class, as the mark tells it.
        shape: The pattern.
        proof: What a match has to prove, if anything.
    """

    __slots__ = ("_begun", "_grouped", "_pattern", "_proof", "mark", "shape")

    def __init__(self, name: str, shape: Shape, proof: Proof | None = None) -> None:
        self.mark = b"[redacted:%s]" % name.encode()
        self.shape = shape
        self._pattern = compiled(shape.whole)
        self._grouped = self._pattern.groups > 0
        self._begun = compiled(f"(?:{shape.begun})", captures=False, longest=True)
        self._proof = proof

    def find(self, text: bytes, start: int) -> tuple[int, int, int] | None:
        """Return where what is hidden starts and ends, and where the match ends, of a match at ``start``."""
        found = self._pattern.match(text, start)
        if found is None:
            return None
        begin, end = found.span(1 if self._grouped else 0)
        while self._grouped and end - begin > 1 and text[end - 1] == _BACKSLASH:
            # It escapes what follows.
            end -= 1
        if self._proof is not None and not self._proof(text, begin, end):
            return None
        return begin, end, found.end()

    def lasts(self, text: bytes) -> int:
        """Return how many bytes of ``text`` are a match, or the beginning of one."""
        found = self._begun.match(text)
        return found.end() if found else 0


class Rules:
    """Patterns that are searched for together, in one pass.

    Raises:
        ValueError: when they are too large together.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        start = "|".join(f"(?:{rule.shape.start})" for rule in rules)
        begun = "|".join(f"(?:{rule.shape.begun})" for rule in rules)
        self._start = compiled(start, captures=False)
        self._begun = compiled(rf"(?:{begun})\z", captures=False)
        self._quiet: dict[tuple[bytes, int], int] = {}
        """Where the undecided part starts of short texts that hold nothing to be hidden."""

    def edge(self, text: bytes, at: int) -> int:
        """Return ``undecided`` of a short text in which no match starts from ``at`` on; -1 where one may."""
        edge = self._quiet.get((text, at))
        if edge is None:
            if self.next(text, at) < len(text):
                return -1
            edge = self.undecided(text, at)
            if len(text) - edge <= _UNDECIDED_BYTES:
                if len(self._quiet) >= _WORDS:
                    self._quiet.clear()
                self._quiet[text, at] = edge
        return edge

    def suspects(self, text: bytes) -> bool:
        """Return whether anything in ``text``, made ``readable``, looks like what is hidden."""
        return self._start.search(text) is not None

    def next(self, text: bytes, at: int) -> int:
        """Return where the next match from ``at`` on may start, or the length of the text."""
        found = self._start.search(text, at)
        return found.start() if found else len(text)

    def undecided(self, text: bytes, at: int) -> int:
        """Return where the first match may have begun, from ``at`` on, that more bytes could complete or change."""
        found = self._begun.search(text, at)
        return found.start() if found else len(text)

    def find(self, text: bytes, start: int) -> tuple[int, int, int, Rule] | None:
        """Return what ``Rule.find`` returns and the rule, of the first one that has a match at ``start``."""
        for rule in self._rules:
            found = rule.find(text, start)
            if found is not None:
                return *found, rule
        return None


class Scan:
    """One text and what is to be replaced in it. A text that has ended may be followed by another."""

    __slots__ = ("_before", "_escape", "_growing", "_rules", "_text", "settled")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._text = b""
        """What is undecided, readable, and before it ``_before`` bytes (0 or 1) of what is settled, for context."""
        self._before = 0
        self._escape = b""
        """The beginning of an escape, as it came."""
        self._growing: tuple[Rule, bytes] | None = None
        """The overlong match that has not ended, and its first bytes."""
        self.settled = 0
        """Bytes of the text about which nothing more will be said."""

    def feed(self, data: bytes) -> list[Span]:
        """Return the spans that the next bytes of the text make certain."""
        data = self._escape + data
        self._escape = b""
        if b"\\" in data[-5:] and (cut := _CUT_ESCAPE.search(data)):
            data, self._escape = data[: cut.start()], data[cut.start() :]
        text = self._text + readable(data)
        if len(text) <= _WORD_BYTES and self._growing is None:
            edge = self._rules.edge(text, self._before)
            if edge >= 0:
                self._hold(text, edge)
                return []
        return self._settle(text, last=False)

    def close(self) -> list[Span]:
        """Return the spans that are certain since the text has ended."""
        text, self._escape = self._text + self._escape, b""
        spans = self._settle(text, last=True)
        self._text, self._before, self._growing = b"", 0, None
        return spans

    def _settle(self, text: bytes, last: bool) -> list[Span]:
        rules, spans = self._rules, list[Span]()
        offset = self.settled - self._before
        at = self._before
        if self._growing is not None:
            at = self._grow(text, at, offset, spans)
        edge = len(text) if last else rules.undecided(text, at)
        at = self._matches(text, at, edge, offset, spans)
        if not last:
            edge = rules.undecided(text, at) if at > edge else edge
            if len(text) - edge > MAX_HOLD_BYTES:
                edge = self._give_up(text, edge, offset, spans)
        self._hold(text, edge)
        return spans

    def _hold(self, text: bytes, edge: int) -> None:
        """Settle what lies before ``edge``, and keep the rest with a byte of context."""
        self.settled += edge - self._before
        self._before = 1 if edge else 0
        self._text = text[edge - self._before :]

    def _matches(self, text: bytes, at: int, edge: int, offset: int, spans: list[Span]) -> int:
        """Add the spans of the matches that start before ``edge``; return where the last of them ends."""
        rules = self._rules
        while (start := rules.next(text, at)) < edge:
            found = rules.find(text, start)
            if found is None:
                at = start + 1
                continue
            begin, end, at, rule = found
            spans.append(Span(offset + begin, offset + end, rule.mark))
            if at > edge:
                edge = rules.undecided(text, at)
        return at

    def _give_up(self, text: bytes, edge: int, offset: int, spans: list[Span]) -> int:
        """Settle what has waited too long; return where the undecided part starts then."""
        found = self._rules.find(text, edge)
        if found is not None and found[2] == len(text):
            begin, end, _, rule = found
            spans.append(Span(offset + begin, offset + end, rule.mark))
            self._growing = rule, text[edge : edge + _HEAD_BYTES]
            return len(text)
        kept = self._rules.undecided(text, max(edge, len(text) - MAX_HOLD_BYTES))
        at = self._matches(text, edge, kept, offset, spans)
        return self._rules.undecided(text, at) if at > kept else kept

    def _grow(self, text: bytes, at: int, offset: int, spans: list[Span]) -> int:
        """Hide what an overlong match goes on with; return where it ends."""
        assert self._growing is not None
        rule, head = self._growing
        end = at + max(0, rule.lasts(head + text[at:]) - len(head))
        if end > at:
            spans.append(Span(offset + at, offset + end, b""))
        if end < len(text):
            self._growing = None
        else:
            self._growing = rule, head[:_HEAD_BYTES] + (head[_HEAD_BYTES:] + text[at:])[-_TAIL_BYTES:]
        return end
