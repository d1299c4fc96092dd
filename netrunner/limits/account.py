"""What is counted for one subject: its windows, who is inside, and when the next may begin.

Pure: it is told the time. This module must not know where accounts are kept, nor who asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from netrunner.claims import Standing
from netrunner.limits.rules import BUSY_S, CONCURRENCY, MIN_GAP, Rules, Window
from netrunner.settings import WindowSettings

NEVER = math.inf


class Refusal(msgspec.Struct, frozen=True):
    """Why an account admits nobody now."""

    what: str
    limit: float
    wait_s: float
    """``NEVER`` if it never will."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is used of one window, for a process that takes over."""

    tokens: bool
    length_s: float
    opened: float
    """By the machine's monotonic clock, which all its processes share."""
    used: int

    def as_window(self) -> WindowSettings:
        """Return a window of the same kind; how much it takes is for others to say."""
        counted = {"tokens" if self.tokens else "requests": self.used}
        return WindowSettings(length_s=self.length_s, **counted)


class Account:
    """What is counted for one subject.

    Args:
        rules: What it may have.
    """

    __slots__ = ("inside", "open_at", "opened", "rules", "used")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.opened = [-math.inf] * len(rules.windows)
        """When each window was opened."""
        self.used = [0] * len(rules.windows)
        self.inside = 0
        """Requests that were admitted and are not over."""
        self.open_at = -math.inf
        """When the gap after the last admitted one is over."""

    def refusal(self, now_s: float, tokens: int) -> Refusal | None:
        """Return why one more request cannot be admitted, by the limit that takes longest; None if it can."""
        longest: Refusal | None = None
        rules = self.rules
        for number, window in enumerate(rules.windows):
            closes_at = self.opened[number] + window.length_s
            need = window.needs(tokens) if window.tokens else 1
            if (self.used[number] if now_s < closes_at else 0) + need > window.limit:
                wait_s = NEVER if need > window.limit else closes_at - now_s
                longest = _longer(longest, Refusal(window.what, window.limit, wait_s))
        if rules.concurrency is not None and self.inside >= rules.concurrency:
            wait_s = BUSY_S if rules.concurrency else NEVER
            longest = _longer(longest, Refusal(CONCURRENCY, rules.concurrency, wait_s))
        if now_s < self.open_at:
            longest = _longer(longest, Refusal(MIN_GAP, rules.gap_s, self.open_at - now_s))
        return longest

    def admit(self, now_s: float, tokens: int) -> tuple[float, ...]:
        """Count one request, which has not been refused; return when each of its windows was opened."""
        opened, used = self.opened, self.used
        for number, window in enumerate(self.rules.windows):
            if now_s >= opened[number] + window.length_s:
                opened[number], used[number] = now_s, 0
            used[number] += tokens if window.tokens else 1
        self.inside += 1
        if self.rules.gap_s:
            self.open_at = now_s + self.rules.gap_s
        return tuple(opened)

    def correct(self, opened: Sequence[float], tokens: int, requests: int = 0) -> None:
        """Add to those windows that are still the ones that were opened at ``opened``; close what this empties."""
        for number, window in enumerate(self.rules.windows):
            if number < len(opened) and self.opened[number] == opened[number]:
                self.used[number] += tokens if window.tokens else requests
                if requests and not window.tokens and not self.used[number]:
                    # Whoever opened it has been taken back. Of tokens that cannot be told: some requests take none.
                    self.opened[number] = -math.inf

    def leave(self) -> None:
        """One of those inside is over."""
        self.inside -= 1

    def standings(self, scope: str, now_s: float) -> list[Standing]:
        """Return how full its windows are, for a claim of ``scope``."""
        told = []
        for window, opened, used in zip(self.rules.windows, self.opened, self.used, strict=True):
            left_s = opened + window.length_s - now_s
            limit = window.limit
            remaining = limit if left_s <= 0 else limit - used if used < limit else 0
            told.append(Standing(scope, window.what, window.tokens, limit, remaining, max(0.0, left_s)))
        return told

    def follow(self, rules: Rules) -> None:
        """Go by other rules from now on; windows that stay what they were keep their counts."""
        kept = {_kind(one): (self.opened[n], self.used[n]) for n, one in enumerate(self.rules.windows)}
        counts = [kept.get(_kind(one), (-math.inf, 0)) for one in rules.windows]
        self.rules = rules
        self.opened = [opened for opened, _ in counts]
        self.used = [used for _, used in counts]

    def kept(self, now_s: float) -> list[Kept]:
        """Return what is used of its windows that are open."""
        return [
            Kept(*_kind(window), opened, used)
            for window, opened, used in zip(self.rules.windows, self.opened, self.used, strict=True)
            if now_s < opened + window.length_s
        ]

    def absorb(self, kept: Sequence[Kept], now_s: float) -> None:
        """Count what was used elsewhere, in windows of the same kind."""
        by_kind = {(one.tokens, one.length_s): one for one in kept}
        for number, window in enumerate(self.rules.windows):
            one = by_kind.get(_kind(window))
            if one is None or now_s >= one.opened + one.length_s:
                continue
            if now_s >= self.opened[number] + window.length_s:
                self.opened[number], self.used[number] = one.opened, 0
            self.used[number] += one.used

    def idle(self, now_s: float) -> bool:
        """Return whether forgetting it changes nothing."""
        return (
            not self.inside
            and now_s >= self.open_at
            and all(
                now_s >= opened + window.length_s
                for opened, window in zip(self.opened, self.rules.windows, strict=True)
            )
        )


def _longer(one: Refusal | None, other: Refusal) -> Refusal:
    return other if one is None or other.wait_s > one.wait_s else one


def _kind(window: Window) -> tuple[bool, float]:
    return window.tokens, window.length_s
