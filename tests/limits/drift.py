"""A machine that compares counters with a ledger of everything that was admitted, whatever happens in which order."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from netrunner.claims import Denial, Grant
from netrunner.settings import Limits, WindowSettings
from tests.limits.contract import Counting, claim

LIMITS = Limits(
    windows=(
        WindowSettings(length_s=10, requests=3),
        WindowSettings(length_s=40, requests=7),
        WindowSettings(length_s=10, tokens=50),
        WindowSettings(length_s=100, tokens=200),
    ),
    concurrency=3,
)
_WINDOWS = [(10, "requests", 3), (10, "tokens", 50), (40, "requests", 7), (100, "tokens", 200)]
_ORDER = [0, 2, 1, 3]
"""Of the windows above in what counters tell: as the settings list them."""


class Window:
    """What was admitted to a window since it was opened, by grant."""

    def __init__(self) -> None:
        self.closes_at = 0.0
        self.admitted: dict[int, int] = {}


class Drift(RuleBasedStateMachine):
    """Compares ``counting`` with the ledger after each step."""

    grants = Bundle("grants")

    def make(self) -> Counting:
        """Return what is tested."""
        return Counting()

    @initialize()
    def begin(self) -> None:
        """Start with nothing."""
        self.counting = self.make()
        self.now = 0.0
        self.windows = [Window() for _ in _WINDOWS]
        self.inside: dict[int, Any] = {}
        self.number = 0

    @rule(seconds=st.sampled_from([1, 3, 10, 41]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds
        self.counting.advance(seconds)

    @rule(target=grants, tokens=st.integers(0, 80))
    def ask(self, tokens: int) -> int:
        """Ask, and see that the answer is what the ledger says."""
        answer = self.counting.ask(claim(LIMITS), tokens=tokens)
        used = [self._used(number) for number in range(4)]
        fits = len(self.inside) < 3
        for (_, kind, limit), taken in zip(_WINDOWS, used, strict=True):
            fits = fits and taken + (1 if kind == "requests" else max(1, min(tokens, limit))) <= limit
        assert isinstance(answer, Grant if fits else Denial)
        self.number += 1
        if isinstance(answer, Grant):
            self._admit(tokens)
            self.inside[self.number] = (answer, tokens)
        told = [answer.standings[place].remaining for place in _ORDER]
        assert told == [max(0, limit - self._used(n)) for n, (_, _, limit) in enumerate(_WINDOWS)]
        return self.number

    def _used(self, number: int) -> int:
        window = self.windows[number]
        return sum(window.admitted.values()) if self.now < window.closes_at else 0

    def _admit(self, tokens: int) -> None:
        for window, (length_s, kind, _) in zip(self.windows, _WINDOWS, strict=True):
            if self.now >= window.closes_at:
                window.closes_at, window.admitted = self.now + length_s, {}
            window.admitted[self.number] = 1 if kind == "requests" else tokens

    @rule(number=consumes(grants), tokens=st.none() | st.integers(0, 80))
    def release(self, number: int, tokens: int | None) -> None:
        """End one, and tell what it took."""
        grant, _ = self.inside.pop(number, (None, 0))
        if grant is not None:
            self.counting.counters.release(grant, tokens)
            for window, (_, kind, _) in zip(self.windows, _WINDOWS, strict=True):
                if kind == "tokens" and tokens is not None and number in window.admitted:
                    window.admitted[number] = tokens

    @rule(number=consumes(grants))
    def withdraw(self, number: int) -> None:
        """Take one back."""
        grant, _ = self.inside.pop(number, (None, 0))
        if grant is not None:
            self.counting.counters.withdraw(grant)
            for window, (_, kind, _) in zip(self.windows, _WINDOWS, strict=True):
                if window.admitted.pop(number, None) and kind == "requests" and not window.admitted:
                    window.closes_at, window.admitted = 0.0, {}
