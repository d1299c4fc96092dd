"""Redaction as it is configured: names of classes and patterns in, redactors of bodies out.

This module must not import anything of netrunner but ``redaction``: the configuration checks with it what the journal
works with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from netrunner.redaction.grammar import MAX_PATTERN_CHARACTERS, shape
from netrunner.redaction.patterns import CLASSES, GROUPS
from netrunner.redaction.plain import TextRedactor
from netrunner.redaction.scan import Rule, Rules
from netrunner.redaction.strands import EventRedactor

MAX_ITEMS = 64
OWN = "pattern"
"""What stands for the class in the mark of a pattern of the configuration's own."""

BATCH_BYTES = 8192
"""So much of a stream of events is searched at once where nobody waits for it: twice to four times as quick."""
BATCH_S = 1.0
"""What was taken longer ago than that waits no further when more comes."""
_LINE_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/x-jsonlines")
_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?(?:data|event|id|retry)?:")
_EVENTS_BYTES = 9
"""So many bytes tell whether a body begins as an event stream does."""


def checked(item: str) -> str:
    """Return one item of ``journal.redact``.

    Raises:
        ValueError: with what was expected.
    """
    list(_rules(item))
    return item


def _standing() -> float:
    """Return the same time always, for who checks what can be compiled."""
    return 0.0


def compile_redaction(items: tuple[str, ...], seconds: Callable[[], float] = _standing) -> Redaction | None:
    """Return what redacts ``items``, names of classes or of groups of them, or RE2 patterns between slashes.

    Args:
        items: As they are configured.
        seconds: Monotonic time; where it stands still, what is taken waits for its bytes alone.

    Returns:
        None if there are none.

    Raises:
        ValueError: with what was expected instead of an item, or that they are too many or too large together.
    """
    if len(items) > MAX_ITEMS:
        raise ValueError(f"at most {MAX_ITEMS} classes and patterns")
    seen: set[str] = set()
    rules = []
    for item in items:
        for name, rule in _rules(item):
            if name not in seen:
                rules.append(rule)
        seen.update(GROUPS.get(item, (item,)))
    return Redaction(Rules(rules), seconds) if rules else None


def _rules(item: str) -> Iterator[tuple[str, Rule]]:
    """Yield the rules of an item, each beside the class or the pattern it belongs to."""
    if len(item) > 2 and item[0] == item[-1] == "/":
        if len(item) > MAX_PATTERN_CHARACTERS + 2:
            raise ValueError(f"an RE2 pattern of at most {MAX_PATTERN_CHARACTERS} characters")
        own = shape(item[1:-1])
        if not own.least:
            raise ValueError("an RE2 pattern that does not match the empty text")
        yield item, Rule(OWN, own)
        return
    names = GROUPS.get(item, (item,))
    for name in names:
        if name not in CLASSES:
            raise ValueError(f"/an RE2 pattern/ or one of {', '.join([*GROUPS, *CLASSES])}")
        for kind in CLASSES[name].kinds:
            yield name, Rule(name, shape(kind.pattern, captures=True), kind.proof)


class Redaction:
    """What is hidden, compiled once; shared by every body."""

    __slots__ = ("_rules", "_seconds")

    def __init__(self, rules: Rules, seconds: Callable[[], float]) -> None:
        self._rules, self._seconds = rules, seconds

    def stream(self, content_type: bytes | None = None) -> Redactor:
        """Return a redactor of one body.

        Args:
            content_type: Of the body; without one, or with one that says nothing of lines, its first bytes tell
                whether it is a stream of events.
        """
        return Redactor(self._rules, (content_type or b"").lower().startswith(_LINE_TYPES), self._seconds)


class Redactor:
    """One body, fed piece by piece. A match is replaced by ``[redacted:CLASS]``; every other byte stays as it is.

    Args:
        rules: What is hidden.
        events: Whether the body is known to be a stream of events, one on a line.
        seconds: Monotonic time.
    """

    __slots__ = ("_begun", "_body", "_rules", "_seconds", "_taken", "_taken_bytes", "_until")

    def __init__(self, rules: Rules, events: bool, seconds: Callable[[], float]) -> None:
        self._rules, self._seconds = rules, seconds
        self._taken: list[bytes] = []
        """What was taken and not looked at; all of it is, once there are ``BATCH_BYTES``, or at ``_until``."""
        self._taken_bytes = 0
        self._until = 0.0
        self._begun = b""
        self._body: TextRedactor | EventRedactor | None = EventRedactor(rules) if events else None

    def take(self, data: bytes) -> bytes:
        """Do as ``feed`` does, sooner or later: what comes in small pieces is looked at in larger ones."""
        now = self._seconds()
        if not self._taken:
            self._until = now + BATCH_S
        self._taken_bytes += len(data)
        if self._taken_bytes >= BATCH_BYTES or now >= self._until:
            return self.feed(data)
        self._taken.append(data)
        return b""

    def feed(self, data: bytes) -> bytes:
        """Return what of the body is certain with its next bytes; the rest waits, bounded."""
        if self._taken:
            data = b"".join((*self._taken, data))
            self._taken = []
        self._taken_bytes = 0
        if self._body is None:
            data = self._begun + data
            if len(data) < _EVENTS_BYTES:
                self._begun = data
                return b""
            self._body = EventRedactor(self._rules) if _EVENTS.match(data) else TextRedactor(self._rules)
        return self._body.feed(data)

    def close(self) -> bytes:
        """Return the rest of the body, which has ended. Called once."""
        if self._taken:
            return self.feed(b"") + self.close()
        if self._body is None:
            self._body = TextRedactor(self._rules)
            return self._body.feed(self._begun) + self._body.close()
        return self._body.close()
