"""How far apart calls of one provider are, and how many there are at once, in all processes that count together.

This module must not know what a call is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netrunner.claims import Claim, Denial, Grant
from netrunner.errors import RateLimited
from netrunner.interfaces import IClock, ICounters
from netrunner.line import Waiting, line_of
from netrunner.settings import Limits

MAX_WAITING = 10_000
"""Most calls of one provider that wait in this process."""


class Gap:
    """Lets calls begin in the order in which they came to this process, a gap apart.

    Args:
        provider: Its name.
        counters: Count the calls of all processes.
        clock: Time.
        gap_s: Least seconds between the beginnings of two calls.
        at_once: Most calls at once; None for any number.
        max_wait_s: Most seconds that a call waits.
    """

    def __init__(
        self,
        provider: str,
        counters: ICounters,
        clock: IClock,
        gap_s: float,
        at_once: int | None,
        max_wait_s: float,
    ) -> None:
        self._claim = Claim("provider", provider, Limits(concurrency=at_once, min_gap_s=gap_s or None))
        self._counters = counters
        self._clock = clock
        self._gap_s = gap_s
        self._open_at = 0.0
        """When a gap is over that a call of this process began."""
        self._max_wait_s = max_wait_s
        self._line = line_of(counters, clock, max_wait_s, MAX_WAITING)

    @classmethod
    def of(cls, provider: str, counters: ICounters | None, clock: IClock, settings: Any) -> Gap | None:
        """Return the gap that a provider's settings ask for; None where they ask for none."""
        gap_s, at_once = getattr(settings, "min_gap_s", 0.0), getattr(settings, "max_at_once", None)
        if not gap_s and at_once is None:
            return None
        assert counters is not None
        return cls(provider, counters, clock, gap_s, at_once, settings.max_gap_wait_s)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._line.waiting

    async def enter(self, stands: Callable[[Waiting], None]) -> Grant | None:
        """Return when one more call may begin; ``leave`` has to follow once it is over.

        Args:
            stands: Told if the call has to wait; whoever does not want to wait any more calls ``leave`` with that.

        Returns:
            What ``leave`` takes; None if that was called meanwhile.

        Raises:
            RateLimited: at once if the gaps before it take too long, and later if the calls before it do.
            Overloaded: when those of other processes cannot be counted.
        """
        if self._line.waiting:
            wait_s = max(0.0, self._open_at - self._clock.seconds()) + self._line.waiting * self._gap_s
            if wait_s >= self._max_wait_s:
                raise self._refusal(wait_s)
        answer = await self._line.admit(self._claim, 0, stands)
        if isinstance(answer, Denial):
            raise self._refusal(max(answer.wait_s or 0.0, self._gap_s))
        self._open_at = self._clock.seconds() + self._gap_s
        return answer

    def leave(self, held: Grant | Waiting) -> None:
        """A call that had entered is over, or one that waits does not want to any more."""
        if isinstance(held, Waiting):
            self._line.leave(held)
        else:
            self._counters.release(held)
            self._line.freed(self._claim.subject)

    def _refusal(self, wait_s: float) -> RateLimited:
        return RateLimited(
            f"Too many calls wait for the provider {self._claim.subject}.", code="provider_busy", retry_after_s=wait_s
        )
