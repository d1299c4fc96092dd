"""Patterns of names in which ``*`` stands for any characters; texts are searched from left to right once.

This module must not import anything of netrunner.
"""

from __future__ import annotations

from collections.abc import Iterable


class Globs:
    """A set of names, given one by one or by patterns. ``*`` stands for any characters, or for none.

    Args:
        patterns: Case matters, and no other character means anything but itself.
    """

    __slots__ = ("_names", "_pieces")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._names = frozenset(one for one in patterns if "*" not in one)
        self._pieces = tuple(one.split("*") for one in patterns if "*" in one)

    def __bool__(self) -> bool:
        return bool(self._names or self._pieces)

    def __contains__(self, text: str) -> bool:
        return text in self._names or any(_fits(pieces, text) for pieces in self._pieces)


def _fits(pieces: list[str], text: str) -> bool:
    """Return whether a text consists of the pieces, with anything between them."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        # The first place is always the best one: it leaves the most for those that follow.
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
