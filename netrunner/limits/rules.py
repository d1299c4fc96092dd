"""The limits of a configuration as rules that can be counted by.

Pure. This module must not count.
"""

from __future__ import annotations

import functools

import msgspec

from netrunner.settings import Limits

CONCURRENCY, MIN_GAP = "concurrency", "min_gap_s"
BUSY_S = 1.0
"""When to come again where nobody knows when one of those at once will be over."""


class Window(msgspec.Struct, frozen=True):
    """At most ``limit`` requests or tokens from its first admitted request until ``length_s`` seconds later."""

    what: str
    tokens: bool
    limit: int
    length_s: float

    def needs(self, tokens: int) -> int:
        """Return how much has to be left for a request that is expected to take ``tokens``.

        One that is larger than the window needs all of it, so that it is let in at all.
        """
        return max(1, min(tokens, self.limit)) if self.tokens else 1


class Rules(msgspec.Struct, frozen=True):
    """Everything that ``Limits`` say."""

    windows: tuple[Window, ...]
    concurrency: int | None
    gap_s: float
    """0 for none."""


@functools.lru_cache(maxsize=4096)
def rules(limits: Limits) -> Rules:
    """Return the rules that ``limits`` stand for."""
    windows = tuple(Window(what, kind == "tokens", limit, length_s) for what, kind, length_s, limit in limits.lengths())
    return Rules(windows, limits.concurrency, limits.min_gap_s or 0.0)
