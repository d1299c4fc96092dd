"""The limits of a configuration as rules that can be counted by.

Pure. This module must not count.
"""

from __future__ import annotations

import functools

import msgspec

from netrunner.settings import Limits

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
CONCURRENCY, MIN_GAP = "concurrency", "min_gap_s"
BUSY_S = 1.0
"""When to come again where nobody knows when one of those at once will be over."""
_NAMED = (
    ("requests_per_minute", False, MINUTE_S),
    ("requests_per_hour", False, HOUR_S),
    ("requests_per_day", False, DAY_S),
    ("tokens_per_minute", True, MINUTE_S),
    ("tokens_per_day", True, DAY_S),
)


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
    windows = [
        Window(what, tokens, limit, length_s)
        for what, tokens, length_s in _NAMED
        if (limit := getattr(limits, what)) is not None
    ]
    for one in limits.windows:
        for kind, tokens, limit in (("requests", False, one.requests), ("tokens", True, one.tokens)):
            if limit is not None:
                windows.append(Window(f"{kind}_per_{one.length_s:g}s", tokens, limit, one.length_s))
    return Rules(tuple(windows), limits.concurrency, limits.min_gap_s or 0.0)
