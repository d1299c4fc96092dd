"""How far apart calls of one provider are, and how many there are at once.

This module must not know what a call is.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from netrunner.errors import RateLimited
from netrunner.interfaces import IClock


class _Waiting:
    """One call that waits, and its patience."""

    __slots__ = ("admitted", "patience")

    def __init__(self, admitted: Deferred[None], patience: IDelayedCall) -> None:
        self.admitted = admitted
        self.patience = patience


class Gap:
    """Lets calls begin in the order in which they came, a gap apart.

    Args:
        provider: Its name, for messages.
        clock: Time.
        gap_s: Least seconds between the beginnings of two calls.
        at_once: Most calls at once; None for any number.
        max_wait_s: Most seconds that a call waits.
    """

    def __init__(self, provider: str, clock: IClock, gap_s: float, at_once: int | None, max_wait_s: float) -> None:
        self._provider = provider
        self._clock = clock
        self._gap_s = gap_s
        self._at_once = at_once
        self._max_wait_s = max_wait_s
        self._open_at: float | None = None
        """When the next call may begin; None before the first."""
        self._inside = 0
        self._queue: deque[_Waiting] = deque()
        self._opening: IDelayedCall | None = None

    @classmethod
    def of(cls, provider: str, clock: IClock, settings: Any) -> Gap | None:
        """Return the gap that a provider's settings ask for; None where they ask for none."""
        gap_s, at_once = getattr(settings, "min_gap_s", 0.0), getattr(settings, "max_at_once", None)
        if not gap_s and at_once is None:
            return None
        return cls(provider, clock, gap_s, at_once, settings.max_gap_wait_s)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    def enter(self) -> Deferred[None]:
        """Return what fires when one more call may begin; ``leave`` has to follow once it is over.

        It fails with ``RateLimited`` at once if the gaps before it take too long, and later if the calls before it do.
        A caller who does not want to wait any more cancels it; then nothing follows.
        """
        if not self._queue and self._wait_s() == 0 and self._has_room():
            self._admit()
            return succeed(None)
        wait_s = self._wait_s() + len(self._queue) * self._gap_s
        admitted: Deferred[None] = Deferred(self._forget)
        if wait_s >= self._max_wait_s:
            admitted.errback(self._refusal(wait_s))
            return admitted
        patience = self._clock.callLater(self._max_wait_s, self._give_up, admitted)
        self._queue.append(_Waiting(admitted, patience))
        self._go_on()
        return admitted

    def leave(self) -> None:
        """A call that had entered is over."""
        self._inside -= 1
        self._go_on()

    def _wait_s(self) -> float:
        return 0.0 if self._open_at is None else max(0.0, self._open_at - self._clock.seconds())

    def _has_room(self) -> bool:
        return self._at_once is None or self._inside < self._at_once

    def _admit(self) -> None:
        self._inside += 1
        self._open_at = self._clock.seconds() + self._gap_s

    def _go_on(self) -> None:
        """Admit whoever may enter now, and come back when the next one may."""
        while self._queue and self._has_room():
            wait_s = self._wait_s()
            if wait_s:
                if self._opening is None:
                    self._opening = self._clock.callLater(wait_s, self._open)
                return
            waiting = self._queue.popleft()
            waiting.patience.cancel()
            self._admit()
            waiting.admitted.callback(None)

    def _open(self) -> None:
        self._opening = None
        self._go_on()

    def _give_up(self, admitted: Deferred[None]) -> None:
        self._queue = deque(one for one in self._queue if one.admitted is not admitted)
        admitted.errback(self._refusal(max(self._gap_s, 1.0)))

    def _forget(self, admitted: Deferred[None]) -> None:
        for one in self._queue:
            if one.admitted is admitted:
                one.patience.cancel()
        self._queue = deque(one for one in self._queue if one.admitted is not admitted)

    def _refusal(self, wait_s: float) -> RateLimited:
        return RateLimited(
            f"Too many calls wait for the provider {self._provider}.", code="provider_busy", retry_after_s=wait_s
        )
