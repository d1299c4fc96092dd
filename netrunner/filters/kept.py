"""Answers by their keys: in memory, bounded in number and bytes, or where all processes find them.

This module must not know what keys are made of.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from netrunner.interfaces import IClock
from netrunner.shared import ISharedStore
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
    """Keeps answers in memory; those that were not asked for the longest go first.

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


class SharedShelf:
    """Keeps answers where all processes find them; their times are those of the wall there.

    Args:
        store: Where that is.
        clock: Tells both kinds of time.
    """

    def __init__(self, store: ISharedStore, clock: IClock) -> None:
        self.store = store
        self._clock = clock

    async def get(self, key: bytes) -> Kept | None:
        """Return the answer of a key, unless it is too old; what cannot be read is none."""
        value = await self.store.get(key)
        if value is None:
            return None
        try:
            found = _decode(value)
        except msgspec.DecodeError:
            return None
        # Clocks of machines differ a little: nothing is younger than it is new.
        shift_s = self._clock.seconds() - self._clock.wall()
        began_s = min(found.began_s + shift_s, self._clock.seconds())
        ends_s = found.ends_s + shift_s
        if ends_s <= self._clock.seconds():
            return None
        return msgspec.structs.replace(found, began_s=began_s, ends_s=ends_s)

    def put(self, key: bytes, answer: Kept) -> None:
        """Keep an answer; nobody waits for that."""
        shift_s = self._clock.wall() - self._clock.seconds()
        kept = msgspec.structs.replace(answer, began_s=answer.began_s + shift_s, ends_s=answer.ends_s + shift_s)
        left_s = answer.ends_s - self._clock.seconds()
        if left_s > 0:
            self.store.put(key, _encode(kept), left_s)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode
