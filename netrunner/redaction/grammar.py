"""RE2 patterns taken apart: the least a match takes, and the pattern of everything a match may begin with.

RE2 tells whether a text matches, not whether more text could make it match. A stream needs the second as well:
what may still become a match has to wait for the next bytes. So a pattern is read into a ``Shape``, which holds
the pattern itself and that of its beginnings. Texts are bytes: a character beyond ASCII is the bytes of its UTF-8.

This module must not match anything, but for asking RE2 whether a pattern is valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re2

MAX_PATTERN_CHARACTERS = 400
"""Of one pattern in a configuration; what is derived of it nests as deep as it is long, and RE2 takes 1,000 levels."""
MAX_COMPILED_BYTES = 16 << 20
"""Memory of one compiled pattern, and of what RE2 remembers while it searches."""
START_BYTES = 12
"""So much of a match is enough to look closer."""
_MAX_DEPTH = 40
_REPEAT = re.compile(r"\{([0-9]{1,4})(,?)([0-9]{0,4})\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_NAMED = re.compile(r"\(\?P?<\w+>")
_ESCAPE = re.compile(r"\\(?:x\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shape:
    """A pattern, or a part of one."""

    whole: str
    start: str
    """Matches wherever ``whole`` does, but is content with about ``START_BYTES`` of it."""
    loose: str
    """The same without counting: ``{20,40}`` is ``+``. So it is as small as it is written."""
    begun: str
    """Matches every beginning of what ``loose`` matches, nothing and all of it included."""
    least: int
    """Bytes of the shortest match."""
    single: bool = False
    """Whether it takes one byte, neither more nor less."""


_NOTHING = Shape("", "", "", "", 0)


def shape(pattern: str, captures: bool = False) -> Shape:
    """Read an RE2 pattern.

    Args:
        pattern: As RE2 has it; ``^`` and ``$`` are the ends of a line.
        captures: Whether groups capture in ``whole`` as they do in the pattern.

    Raises:
        ValueError: with what is wrong with it, or what of RE2 a stream of bytes has no room for.
    """
    compiled(pattern)
    return _Parser(pattern, captures).read()


def options(max_bytes: int = MAX_COMPILED_BYTES) -> re2.Options:
    """Return how all patterns from a configuration are compiled: quietly, within ``max_bytes`` of memory."""
    import re2  # 2.4 MiB, and few configurations have a pattern

    chosen = re2.Options()
    chosen.log_errors = False
    chosen.max_mem = max_bytes
    return chosen


def compiled(
    pattern: str,
    *,
    captures: bool = True,
    longest: bool = False,
    utf8: bool = False,
    max_bytes: int = MAX_COMPILED_BYTES,
) -> re2.Regexp:
    """Return a pattern compiled as all are here: over bytes, quiet, within ``max_bytes``.

    Args:
        pattern: As RE2 has it.
        captures: Whether groups are told.
        longest: Whether the longest match wins instead of the first alternative.
        utf8: Whether texts are UTF-8, of which a dot takes a character and not a byte.
        max_bytes: Of memory.

    Raises:
        ValueError: for a pattern that RE2 does not take, with its reason.
    """
    import re2

    chosen = options(max_bytes)
    chosen.encoding = re2.Options.Encoding.UTF8 if utf8 else re2.Options.Encoding.LATIN1
    chosen.never_capture = not captures
    chosen.longest_match = longest
    try:
        return re2.compile(pattern.encode(), chosen)
    except re2.error as error:
        detail = error.args[0] if error.args else "it is not valid"
        text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(f"an RE2 pattern: {text}") from None


def _one(text: str) -> Shape:
    return Shape(text, text, text, f"{text}?", 1, single=True)


def _none(text: str) -> Shape:
    """Return what takes no byte; the end of what has come so far need not be such a place."""
    return Shape(text, text, text, "", 0)


def _sequence(shapes: Sequence[Shape]) -> Shape:
    if len(shapes) == 1:
        return shapes[0]
    begun = ""
    for part in reversed(shapes):
        begun = f"(?:{part.loose}{begun})?" if part.single else f"(?:{part.begun}|{part.loose}{begun})"
    whole = "".join(part.whole for part in shapes)
    loose = "".join(part.loose for part in shapes)
    return Shape(whole, _start(shapes), loose, begun, sum(part.least for part in shapes))


def _start(shapes: Sequence[Shape]) -> str:
    """Return the start of a sequence. Only the last part of it may be less than whole: nothing follows it."""
    text, least = "", 0
    for part in shapes[:-1]:
        least += part.least
        if least >= START_BYTES:
            return text + part.start
        text += part.whole
    return text + shapes[-1].start if shapes else ""


def _choice(shapes: Sequence[Shape], group: str) -> Shape:
    whole, start, loose, begun = (
        "|".join(getattr(part, kind) for part in shapes) for kind in ("whole", "start", "loose", "begun")
    )
    return Shape(f"{group}{whole})", f"(?:{start})", f"(?:{loose})", f"(?:{begun})", min(part.least for part in shapes))


def _repeated(part: Shape, low: int, high: int | None, suffix: str) -> Shape:
    if high == 0:
        return _NOTHING
    whole, loose = (text if part.single else f"(?:{text})" for text in (part.whole, part.loose))
    start = f"{whole}{{{START_BYTES}}}" if part.single and low > START_BYTES else whole + suffix
    if high == 1:
        return Shape(whole + suffix, start, loose if low else f"{loose}?", part.begun, low * part.least)
    begun = f"{loose}*" if part.single else f"{loose}*{part.begun}"
    return Shape(whole + suffix, start, loose + ("+" if low else "*"), begun, low * part.least)


class _Parser:
    """Reads what RE2 has found valid; recursion is bounded by ``_MAX_DEPTH``."""

    def __init__(self, pattern: str, captures: bool) -> None:
        self._pattern = pattern
        self._captures = captures
        self._at = 0
        self._depth = 0

    def read(self) -> Shape:
        return self._alternatives("(?:", "")

    def _alternatives(self, group: str, flags: str) -> Shape:
        """Read up to the group's end; ``flags`` hold until then, or until others are set."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"an RE2 pattern nested at most {_MAX_DEPTH} deep")
        branches: list[Shape] = []
        parts: list[Shape] = []
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            if self._pattern[self._at] == "|":
                self._at += 1
                branches.append(_sequence(parts))
                parts = []
            elif (found := _FLAGS.match(self._pattern, self._at)) and found[3] == ")":
                self._at = found.end()
                flags = _changed(flags, found)
            elif self._pattern.startswith("\\Q", self._at):
                parts += self._quoted(flags)
            else:
                parts.append(self._quantified(self._atom(flags)))
        self._at += 1
        self._depth -= 1
        return _choice([*branches, _sequence(parts)], group)

    def _atom(self, flags: str) -> Shape:
        character = self._pattern[self._at]
        if character == "(":
            return self._group(flags)
        if character == "[":
            return self._flagged(self._class(), flags)
        if character == "\\":
            return self._escape(flags)
        self._at += 1
        if character in "^$":
            return _none(f"(?m:{character})")
        if character == ".":
            return _one("(?s:.)" if "s" in flags else ".")
        return self._literal(character, flags)

    def _group(self, flags: str) -> Shape:
        group = "(" if self._captures else "(?:"
        if found := _FLAGS.match(self._pattern, self._at):
            flags = _changed(flags, found)
            self._at = found.end()
            return self._alternatives("(?:", flags)
        named = _NAMED.match(self._pattern, self._at)
        self._at = named.end() if named else self._at + 1
        return self._alternatives(group, flags)

    def _class(self) -> str:
        start = self._at
        self._at += 2 if self._pattern.startswith("[^", start) else 1
        if self._pattern[self._at] == "]":
            self._at += 1
        while self._pattern[self._at] != "]":
            if self._pattern[self._at] == "\\":
                self._refuse_property()
                self._at += 2
            elif self._pattern.startswith("[:", self._at) and (end := self._pattern.find(":]", self._at)) > 0:
                self._at = end + 2
            else:
                self._at += 1
        self._at += 1
        text = self._pattern[start : self._at]
        if not text.isascii():
            raise ValueError("ASCII characters in brackets; others are written (?:é|ü)")
        return text

    def _escape(self, flags: str) -> Shape:
        self._refuse_property()
        found = _ESCAPE.match(self._pattern, self._at)
        assert found is not None  # RE2 refuses a backslash at the end
        self._at = found.end()
        text = found[0]
        if text in ("\\A", "\\z"):
            raise ValueError("an RE2 pattern without \\A and \\z: a body is seen in pieces")
        if text in ("\\b", "\\B"):
            return _none(text)
        return self._flagged(text, flags)

    def _quoted(self, flags: str) -> list[Shape]:
        end = self._pattern.find("\\E", self._at)
        text = self._pattern[self._at + 2 : end if end >= 0 else None]
        self._at = end + 2 if end >= 0 else len(self._pattern)
        parts = [self._literal(character, flags) for character in text]
        return [*parts[:-1], self._quantified(parts[-1])] if parts else []

    def _literal(self, character: str, flags: str) -> Shape:
        if character.isascii():
            return self._flagged(re.escape(character), flags)
        whole = _sequence([_one(f"\\x{byte:02x}") for byte in character.encode()])
        return Shape(f"(?:{whole.whole})", whole.start, whole.loose, whole.begun, whole.least)

    def _flagged(self, text: str, flags: str) -> Shape:
        return _one(f"(?i:{text})" if "i" in flags else text)

    def _quantified(self, part: Shape) -> Shape:
        rest = self._pattern[self._at : self._at + 1]
        if rest and rest in "*+?":
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[rest]
            suffix = rest
        elif found := _REPEAT.match(self._pattern, self._at):
            low = int(found[1])
            high = int(found[3]) if found[3] else None if found[2] else low
            suffix = found[0]
        else:
            return part
        self._at += len(suffix)
        if self._pattern.startswith("?", self._at):
            self._at += 1
            suffix += "?"
        return _repeated(part, low, high, suffix)

    def _refuse_property(self) -> None:
        if self._pattern[self._at + 1 : self._at + 2] in ("p", "P"):
            raise ValueError("an RE2 pattern without \\p classes: a body is bytes")


def _changed(flags: str, found: re.Match[str]) -> str:
    """Return the flags after ``(?flags)``; ``m`` holds always."""
    if "U" in found[0]:
        raise ValueError("an RE2 pattern without the flag U")
    return "".join(sorted((set(flags) | set(found[1])) - set(found[2] or "")))
