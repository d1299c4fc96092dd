"""A histogram of bounded memory whose percentiles are as good as exact.

Values fall into buckets that double, each cut into ``PARTS`` of equal width, so that a percentile is never below the
true one and at most 1/``PARTS`` above it.

Pure. This module must not know what is counted.
"""

from __future__ import annotations

import math

PARTS = 256
"""Of each doubling; a power of two."""
SHOWN_PARTS = 8
"""Of each doubling where buckets are shown."""
_NOTHING = -(1 << 62)
"""The bucket of zero and of what is below it."""


class Histogram:
    """Counts values, and knows their number, sum, least and most exactly."""

    __slots__ = ("_buckets", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, value: float) -> None:
        """Count one value, a finite number."""
        bucket = _bucket(value, PARTS)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)

    @property
    def mean(self) -> float | None:
        """The arithmetic mean; None without a value."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Return what at least ``share`` (0 to 1) of the values do not exceed (nearest rank); None without a value."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_top(bucket, PARTS), self.largest)
        return self.largest

    def buckets(self) -> list[tuple[float, int]]:
        """Return the upper bounds, ascending, and the counts of buckets wide enough to be looked at; no empty ones."""
        shown: dict[float, int] = {}
        for bucket in sorted(self._buckets):
            top = _top(bucket, PARTS)
            if bucket != _NOTHING:
                top = _top(bucket // (PARTS // SHOWN_PARTS), SHOWN_PARTS)
            shown[top] = shown.get(top, 0) + self._buckets[bucket]
        return list(shown.items())


def _bucket(value: float, parts: int) -> int:
    if value <= 0:
        return _NOTHING
    mantissa, exponent = math.frexp(value)
    # Upper bounds belong to their bucket: a value that is one must not be told as the next.
    return exponent * parts + math.ceil((mantissa - 0.5) * 2 * parts) - 1


def _top(bucket: int, parts: int) -> float:
    if bucket == _NOTHING:
        return 0.0
    exponent, part = divmod(bucket, parts)
    return math.ldexp(0.5 + (part + 1) / (2 * parts), exponent)
