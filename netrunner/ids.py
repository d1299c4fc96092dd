"""Identifiers: UUIDv7 (RFC 9562, 5.7), sortable by the time they were made.

This module must not import anything of netrunner.
"""

from __future__ import annotations

from collections.abc import Callable


def uuid7(wall_s: float, randbits: Callable[[int], int]) -> str:
    """Return a UUIDv7 in its usual text form.

    Args:
        wall_s: Unix time in seconds.
        randbits: Gives a random integer of so many bits.
    """
    tail = randbits(74)
    value = (int(wall_s * 1000) & 0xFFFFFFFFFFFF) << 80 | 0x7000 << 64 | (tail >> 62) << 64 | 0x8 << 60 | tail & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
