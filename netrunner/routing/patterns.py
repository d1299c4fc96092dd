"""Names by pattern: RE2, all patterns in one pass over the name, and what becomes of what their groups held.

A pattern stands between slashes, ``/gpt-(.*)/``. It matches from the start of a name, in its case, and need not reach
its end unless it says so (``$``). RE2 takes a time proportional to the name whatever the pattern is.

This module must not know what a name is good for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netrunner.redaction.grammar import compiled, options

if TYPE_CHECKING:
    import re2

MAX_NAME_CHARACTERS = 512
"""No name is longer, nor becomes longer by a pattern's groups."""
MAX_PATTERN_CHARACTERS = 1000
MAX_COMPILED_BYTES = 1 << 20
"""Memory of one compiled pattern."""
MAX_TOGETHER_BYTES = 32 << 20
"""Memory of all patterns of a set, and of what RE2 remembers of names it has seen."""
_REFERENCE = re.compile(r"\\(?:(\d{1,2})|g<(\w+)>|(.?))", re.DOTALL)


def inside(text: str) -> str | None:
    """Return the pattern that stands between slashes in ``text``; None for a plain name."""
    return text[1:-1] if len(text) > 2 and text[0] == "/" == text[-1] else None


def _compiled(pattern: str) -> re2.Regexp:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"a pattern of at most {MAX_PATTERN_CHARACTERS} characters")
    return compiled(pattern, utf8=True, max_bytes=MAX_COMPILED_BYTES)


class Patterns:
    """Patterns in their order.

    Args:
        patterns: As they stand between the slashes.

    Raises:
        ValueError: for the first that is none, with what was expected.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        import re2

        self._compiled = [_compiled(pattern) for pattern in patterns]
        together = options(MAX_TOGETHER_BYTES)
        together.never_capture = True
        self._set = re2.Set.MatchSet(together)
        for pattern in patterns:
            self._set.Add(pattern.encode())
        try:
            # Also finds out whether the memory is enough to match with, which ``Match`` could not tell.
            self._set.Compile()
        except re2.error:
            raise ValueError("patterns that take less memory together") from None

    def matching(self, name: str) -> list[int]:
        """Return the indexes of the patterns that match, in no order; of a name that is too long, none."""
        if len(name) > MAX_NAME_CHARACTERS:
            return []
        return self._set.Match(name.encode("utf-8", "replace")) or []

    def expand(self, index: int, name: str, template: Template) -> str:
        """Return what a template makes of a name that the pattern at ``index`` matches."""
        text = name.encode("utf-8", "replace")
        match = self._compiled[index].match(text)
        assert match is not None, "only of a pattern that matches"
        return template.expand(match, text)

    def numbers(self, index: int) -> dict[str, int]:
        """Return the groups of a pattern by what they can be called in a template."""
        one = self._compiled[index]
        numbers = {str(number): number for number in range(one.groups + 1)}
        return numbers | {name.decode(): number for name, number in one.groupindex.items()}


class Template:
    r"""A name with references to groups: ``\1``, ``\g<1>`` or ``\g<name>``; ``\\`` is one backslash.

    Args:
        text: As it is written.
        numbers: The groups there are, by what they are called.

    Raises:
        ValueError: with what was expected.
    """

    def __init__(self, text: str, numbers: dict[str, int]) -> None:
        parts: list[bytes | int] = []
        end = 0
        for found in _REFERENCE.finditer(text):
            parts.append(text[end : found.start()].encode())
            end = found.end()
            if found[3] == "\\":
                parts.append(b"\\")
                continue
            called = found[1].lstrip("0") or "0" if found[1] else found[2]
            if called not in numbers:
                what = f"no group {called!r}" if called else f"no meaning of {found[0]!r}"
                raise ValueError(f"a target that fits its pattern, which has {what}")
            parts.append(numbers[called])
        parts.append(text[end:].encode())
        self._parts = [part for part in parts if part != b""]
        constant = [part for part in self._parts if isinstance(part, bytes)]
        self.constant = b"".join(constant).decode() if len(constant) == len(self._parts) else None
        """The name it always gives; None if that depends on the match."""

    def expand(self, match: re2.Match, text: bytes) -> str:
        """Return the name that a match in ``text`` makes; a group that took no part in it is empty."""
        made = b""
        for part in self._parts:
            if isinstance(part, bytes):
                made += part
            else:
                start, end = match.span(part)
                made += text[start:end]
        return made.decode("utf-8", "replace")
