"""A tap that also counts the texts of a stream passing by, for providers that tell no counts.

Only strings in the fields where a dialect's pieces have their texts are looked at, found by their names.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.dialects.estimate import BYTES, tokens_of
from netrunner.dialects.interfaces import ITap
from netrunner.dialects.taps import HELD_BYTES
from netrunner.values import Usage

LOOK_BYTES = 4096
"""So many bytes are looked at together: nobody asks how many there are before the end."""
_FIELDS = {
    "responses": b"delta",
    "anthropic": b"text|thinking|partial_json",
    "gemini": b"text",
    "ollama": b"content|thinking|response",
}
_OPENAI = b"content|reasoning_content|reasoning|text|arguments"
_TEXTS = {
    name: re.compile(rb'"(?:' + fields + rb')"[ \t]*+:[ \t]*+"((?:[^"\\]++|\\.)*+)"')
    for name, fields in {**_FIELDS, "openai": _OPENAI}.items()
}


def counts(dialect: str) -> bool:
    """Return whether the texts of a dialect's streams can be found."""
    return dialect in _TEXTS


@implementer(ITap)
class CountingTap:
    """Learns what another tap does, and counts.

    Args:
        tap: The other, of a stream.
        dialect: The name of the stream's, one that ``counts``.
        told: Called at the end if the provider has told its counts.
    """

    __slots__ = ("_due", "_find", "_held", "_held_bytes", "_made", "_tap", "_told", "usage")

    def __init__(self, tap: ITap, dialect: str, told: Callable[[], None]) -> None:
        self._tap: Any = tap
        self._find = _TEXTS[dialect].finditer
        self._told = told
        self._held: list[bytes] = []
        """What came and was not looked at, the beginning of a line before it."""
        self._held_bytes = 0
        self._due = LOOK_BYTES
        self._made = 0.0
        self.usage: Usage | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what the other tap knows."""
        return getattr(self._tap, name)

    @property
    def made(self) -> float:
        """As of ``ITap``, of all that has come."""
        self._look()
        return self._made

    def feed(self, data: bytes) -> None:
        """See the next bytes."""
        self._tap.feed(data)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= self._due:
            self._look()

    def close(self) -> None:
        """The stream ended; what the provider has told itself holds."""
        self._tap.close()
        self._look(last=True)
        self.usage = self._tap.usage
        if self.usage is not None:
            self._told()

    def _look(self, last: bool = False) -> None:
        """Count what is there in whole lines, or in all there is."""
        data = b"".join(self._held)
        end = len(data) if last else data.rfind(b"\n") + 1
        if len(data) - end > HELD_BYTES:
            end = len(data)
        for found in self._find(data, 0, end):
            self._made += _tokens(found[1])
        self._held = [data[end:]]
        self._held_bytes = len(data) - end
        self._due = self._held_bytes + LOOK_BYTES


def _tokens(text: bytes) -> float:
    """Return about how many tokens a JSON string takes, its quotes left out."""
    if text.isascii() and b"\\" not in text:
        return len(text) / BYTES
    try:
        return tokens_of(msgspec.json.decode(b'"%b"' % text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return len(text) / BYTES
