"""Deadlines, swept from one coarse clock instead of one delayed call each.

A connection owns its deadline as an attribute and is looked at a few times a second, so moving it costs an
assignment. A deadline is therefore met up to one interval late, never early.

This module must not know what it watches.
"""

from __future__ import annotations

import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from netrunner.interfaces import IClock

NEVER = math.inf


class Watched(Protocol):
    """What can be swept."""

    deadline: float
    """Monotonic seconds, ``NEVER`` for none."""

    def deadline_passed(self) -> None:
        """Called by each sweep that finds ``deadline`` in the past; moves it or ends."""


class Sweep:
    """Looks at everything watched every ``interval_s`` seconds while running."""

    def __init__(self, clock: IClock, interval_s: float = 0.25) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._watched: set[Watched] = set()
        self._call: IDelayedCall | None = None
        self.now = clock.seconds()
        """Monotonic seconds of the last sweep: precise enough for deadlines, free to read."""

    def wall(self) -> float:
        """Return Unix time in seconds."""
        return float(self._clock.wall())

    def start(self) -> None:
        """Begin to sweep; idempotent."""
        if self._call is None:
            self.now = self._clock.seconds()
            self._call = self._clock.callLater(self._interval_s, self._sweep)

    def stop(self) -> None:
        """Sweep no more; idempotent."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def watch(self, one: Watched) -> None:
        """Look at ``one`` from now on."""
        self._watched.add(one)

    def forget(self, one: Watched) -> None:
        """Look at ``one`` no more; it need not have been watched."""
        self._watched.discard(one)

    def __len__(self) -> int:
        return len(self._watched)

    def _sweep(self) -> None:
        self._call = self._clock.callLater(self._interval_s, self._sweep)
        self.now = now = self._clock.seconds()
        for one in [one for one in self._watched if one.deadline <= now]:
            one.deadline_passed()
