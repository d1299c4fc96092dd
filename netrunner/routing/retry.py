"""The arithmetic of trying again: how long to wait, and how much more load a provider may be given.

Pure: it is told the time and chance. This module must not know what failed.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

WINDOW_S = 60.0
"""What a budget looks back on."""
SLOT_S = 5.0
"""Its window moves on by this much."""
SHARE = 0.2
"""Of a provider's requests, the most that may be sent again."""
FLOOR = 10
"""As many may be sent again in a window, however few there are."""


class Policy(msgspec.Struct, frozen=True):
    """What is tried again, and when."""

    attempts: int
    """Tries at one candidate, the first included."""
    base_delay_s: float
    max_delay_s: float
    jitter: float
    """Of a delay, the share by which chance makes it longer or shorter."""
    unanswered: Literal["fail", "next", "again"]
    """What becomes of a request that somebody got and did not answer: the end, the next candidate, or the same too."""

    def delay_s(self, failed: int, chance: float) -> float:
        """Return the wait before another try.

        Args:
            failed: Tries at this candidate that have failed, from 1 on.
            chance: From 0 to 1.
        """
        delay_s = min(self.base_delay_s * 2.0 ** min(failed - 1, 64), self.max_delay_s)
        return delay_s * (1 + self.jitter * (2 * chance - 1))


class Budget:
    """How many requests of one provider may be sent again: a fifth of all, or ten, of the last minute."""

    def __init__(self) -> None:
        self._slots: deque[list[float]] = deque()
        """Each with the time it began, its requests, and how many of them were sent again."""
        self.spent = 0
        """Requests sent again, ever."""
        self.denied = 0
        """Those that were not, ever."""

    def asked(self, now_s: float) -> None:
        """A request is sent for the first time."""
        self._slot(now_s)[1] += 1

    def spend(self, now_s: float) -> bool:
        """Return whether one more may be sent again, and count it if so."""
        slot = self._slot(now_s)
        asked, again = sum(one[1] for one in self._slots), sum(one[2] for one in self._slots)
        if again + 1 > max(FLOOR, SHARE * asked):
            self.denied += 1
            return False
        slot[2] += 1
        self.spent += 1
        return True

    def _slot(self, now_s: float) -> list[float]:
        slots = self._slots
        began = now_s // SLOT_S * SLOT_S
        if not slots or slots[-1][0] != began:
            slots.append([began, 0, 0])
            while slots[0][0] <= began - WINDOW_S:
                slots.popleft()
        return slots[-1]
