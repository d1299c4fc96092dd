"""Answers by their keys, bounded in number and bytes; those that were not asked for the longest go first.

This module must not know what keys are made of.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from netrunner.values import Headers

ENTRY_BYTES = 1024
"""What an answer takes besides its body, about."""


class Kept(msgspec.Struct, frozen=True):
    """One answer."""

    id: str
    """Of the record of it."""
    status: int
    headers: Headers
    body: bytes
    began_s: float
    """When it was given, on the clock that tells how old it is."""
    ends_s: float
    """When it is too old."""


class Shelf:
    """Keeps answers.

    Args:
        max_bytes: Of all together, and of those that are being heard.
        max_entries: How many.
    """

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0
        """What is kept and what is claimed."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now_s: float) -> Kept | None:
        """Return the answer of a key, unless it is too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        if now_s >= found.ends_s:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def claim(self, size: int) -> bool:
        """Make room for so many bytes of an answer to come, and hold it; return whether there is any."""
        while self.bytes + size > self._max_bytes and self._kept:
            self._drop(next(iter(self._kept)))
        if self.bytes + size > self._max_bytes:
            return False
        self.bytes += size
        return True

    def give_back(self, size: int) -> None:
        """Hold room for so many bytes no longer."""
        self.bytes -= size

    def put(self, key: bytes, answer: Kept) -> None:
        """Keep an answer; the room for its body, and ``ENTRY_BYTES``, was claimed."""
        if key in self._kept:
            self._drop(key)
        while len(self._kept) >= self._max_entries:
            self._drop(next(iter(self._kept)))
        self._kept[key] = answer

    def clear(self) -> int:
        """Forget all; return how many there were."""
        count = len(self._kept)
        for key in list(self._kept):
            self._drop(key)
        return count

    def _drop(self, key: bytes) -> None:
        self.bytes -= len(self._kept.pop(key).body) + ENTRY_BYTES
