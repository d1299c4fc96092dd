"""How a moment is written down wherever programs read it.

Pure. This module must not ask what time it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def stamp(at: float) -> str:
    """Return a Unix time as ISO 8601 in UTC; what is finer than a millisecond is cut off."""
    at_ms = int(at * 1000)
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03}Z"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()[:19]
