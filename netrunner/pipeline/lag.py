"""How late the reactor comes: a coarse probe, a few times a second.

This module must not do anything about it.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IDelayedCall

from netrunner.interfaces import IClock

INTERVAL_S = 0.25
KEPT_S = 60.0


class Lag:
    """Asks to be called every ``INTERVAL_S`` seconds, and keeps how late that was, for ``KEPT_S``.

    Args:
        clock: Calls.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._due = 0.0
        self._seen: deque[float] = deque(maxlen=int(KEPT_S / INTERVAL_S))
        self.field = b", lag;dur=0.000"
        """The last one, as ``Server-Timing`` tells it after the stages."""

    def start(self) -> None:
        """Begin to probe; idempotent."""
        if self._call is None:
            self._again()

    def stop(self) -> None:
        """Probe no more; idempotent."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _again(self) -> None:
        self._due = self._clock.seconds() + INTERVAL_S
        self._call = self._clock.callLater(INTERVAL_S, self._probe)

    def _probe(self) -> None:
        late = max(0.0, self._clock.seconds() - self._due)
        self._seen.append(late)
        self.field = b", lag;dur=%.3f" % (late * 1e3)
        self._again()

    def late_s(self) -> float:
        """Return the seconds by which a probe is late that has yet to come, 0.0 while none is; for any thread."""
        return max(0.0, self._clock.seconds() - self._due) if self._call is not None else 0.0

    @property
    def last_s(self) -> float:
        """Seconds, of the last probe."""
        return self._seen[-1] if self._seen else 0.0

    @property
    def max_s(self) -> float:
        """Seconds, the most of those kept."""
        return max(self._seen, default=0.0)

    @property
    def p99_s(self) -> float:
        """Seconds that 99 of 100 of those kept did not exceed."""
        seen = sorted(self._seen)
        return seen[-1 - len(seen) // 100] if seen else 0.0
