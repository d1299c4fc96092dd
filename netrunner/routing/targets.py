"""What is known of each target: how it fares, how busy it is, when it was asked last.

A target is one model at one provider. All names that lead to it share what is known, over reloads too. A target that
fails with what tells of a server that is down is left alone by its breaker for a while, then asked by one request now
and then until it answers; one that fails in any other way is asked last for a while.

Pure: it is told the time. This module must not choose.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping

from netrunner.routing.retry import Budget
from netrunner.settings import Health

WEIGHT = 0.2
"""Of the newest latency in the average of all."""
MAX_PAUSE_S = 3600.0
"""The longest that a target is asked last, whatever its provider says about when to come again."""
STATES = ("closed", "paused", "open", "probing")
"""Of a target: asked as usual, asked last, not asked, or asked by the next request to see whether it answers."""
_DOWN = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 529})


def is_down(status: int) -> bool:
    """Return whether a status says that a server is not there, or can take nothing."""
    return status in _DOWN


class Verdict(enum.Enum):
    """What the end of an attempt tells of its target."""

    GOOD = "good"
    """It answered, be it that the request was wrong."""
    POOR = "poor"
    """It answered that it could not: a limit, a wrong key, an error of its own, nothing at all."""
    DOWN = "down"
    """It could not be reached, broke off, or somebody before it said that it is not there."""


class Target:
    """What is known of one model at one provider.

    Args:
        provider, model: Its names.
        health: When it is left alone.
    """

    __slots__ = (
        "asked",
        "failed",
        "failures",
        "health",
        "in_flight",
        "latency_s",
        "model",
        "open_until",
        "paused_until",
        "provider",
        "used_at",
    )

    def __init__(self, provider: str, model: str, health: Health) -> None:
        self.provider = provider
        self.model = model
        self.health = health
        self.asked = 0
        """Attempts that began."""
        self.failed = 0
        """Those of them that were no good."""
        self.failures = 0
        """In a row, of the kind that the breaker counts."""
        self.in_flight = 0
        self.latency_s: float | None = None
        """The moving average of the time to the answer's head; None before the first."""
        self.used_at: float | None = None
        """When an attempt last began."""
        self.open_until: float | None = None
        """When the open breaker lets the next request through; None while it is closed."""
        self.paused_until = 0.0
        """Until when it is asked last."""

    def admits(self, now_s: float) -> bool:
        """Return whether it may be asked: its breaker is closed, or lets one request through now."""
        return self.open_until is None or now_s >= self.open_until

    def begin(self, now_s: float) -> None:
        """An attempt begins; whoever ends it counts ``in_flight`` down.

        An open breaker lets the next one through ``probe_s`` later.
        """
        self.asked += 1
        self.in_flight += 1
        self.used_at = now_s
        if self.open_until is not None:
            self.open_until = now_s + self.health.probe_s

    def answered(self, latency_s: float | None = None) -> None:
        """It is well.

        Args:
            latency_s: From the beginning of an attempt to the head of its answer.
        """
        self.failures, self.open_until, self.paused_until = 0, None, 0.0
        if latency_s is not None:
            known = self.latency_s
            self.latency_s = latency_s if known is None else known + WEIGHT * (latency_s - known)

    def tell(self, verdict: Verdict, now_s: float, retry_after_s: float | None = None) -> None:
        """Take note of how it fares, by an attempt or by somebody who has just looked.

        Args:
            verdict: What that tells.
            now_s: Time.
            retry_after_s: When to come again, as the provider says.
        """
        if verdict is Verdict.GOOD:
            self.answered()
            return
        self.failed += 1
        health = self.health
        pause_s = health.pause_s
        if retry_after_s is not None and pause_s:
            pause_s = min(retry_after_s, MAX_PAUSE_S)
        self.paused_until = now_s + pause_s
        if verdict is Verdict.DOWN:
            self.failures += 1
            if self.open_until is None and 0 < health.failures <= self.failures:
                self.open_until = now_s + health.open_s
        if self.open_until is not None:
            # The breaker alone decides now: the one request that it lets through is to reach its target.
            self.paused_until = 0.0

    def seen(self, answers: bool, now_s: float) -> None:
        """Take note of whether its provider answers: then an open breaker lets the next request through at once."""
        if not answers:
            self.tell(Verdict.DOWN, now_s)
        elif self.open_until is not None:
            self.open_until = min(self.open_until, now_s)

    def state(self, now_s: float) -> str:
        """Return which of ``STATES`` it is in."""
        if self.open_until is not None:
            return "open" if now_s < self.open_until else "probing"
        return "paused" if now_s < self.paused_until else "closed"


class Targets:
    """All targets of the configuration, and what is left of the budget for retries of each provider.

    It outlives configurations: ``keep`` tells it what the next one names.
    """

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], Target] = {}
        """By provider and model, of those that a configured name leads to."""
        self._budgets: dict[str, Budget] = {}

    def __iter__(self) -> Iterator[Target]:
        return iter(self.all.values())

    def known(self, provider: str, model: str) -> Target:
        """Return what is known of a target that ``keep`` has named."""
        return self.all[provider, model]

    def keep(self, named: Iterable[tuple[str, str]], health: Mapping[str, Health]) -> None:
        """Know exactly these targets from now on, those that were known as they are.

        Args:
            named: Provider and model of each.
            health: When the targets of each provider are left alone.
        """
        known, self.all = self.all, {}
        for provider, model in named:
            target = known.get((provider, model)) or Target(provider, model, health[provider])
            target.health = health[provider]
            self.all[provider, model] = target

    def budget(self, provider: str) -> Budget:
        """Return the budget for retries of a provider."""
        return self._budgets.setdefault(provider, Budget())

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """By provider, of those that were ever tried again."""
        return self._budgets
