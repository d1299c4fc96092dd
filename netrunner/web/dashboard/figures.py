"""What happened each minute of the last day, in memory: requests, failures, tokens, how long they took.

This module must not keep anything about a single exchange.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import DeferredLock

from netrunner.figures import is_failure
from netrunner.interfaces import IClock, ILogs
from netrunner.query import Found, Query
from netrunner.values import Record

MINUTES = 1440
"""How far back the figures go."""
MAX_RECALLED = 10_000
"""Records that are read from the log at the most, to know what was before the start."""
_PAGE = 1000
_BOUNDS = tuple(0.001 * 1.2**step for step in range(80))
"""Upper bounds of the classes of durations, in seconds: a millisecond to half an hour, a fifth wider each."""
_CLASSES = len(_BOUNDS) + 1


def _no_durations() -> array[int]:
    return array("L", bytes(array("L").itemsize * _CLASSES))


@dataclass(slots=True)
class Minute:
    """The sums of one minute, or of several."""

    number: int
    """Of the minute since 1970, or of the first one."""
    requests: int = 0
    failures: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    durations: array[int] = field(default_factory=_no_durations)

    def add(self, other: Minute) -> None:
        """Add the sums of another one."""
        self.requests += other.requests
        self.failures += other.failures
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        mine = self.durations
        for index, count in enumerate(other.durations):
            if count:
                mine[index] += count

    def percentile(self, share: float) -> float | None:
        """Return the duration in seconds that ``share`` of the exchanges (0 to 1) kept to, within a tenth or so."""
        wanted = share * self.requests
        seen = 0
        for index, count in enumerate(self.durations):
            if count and seen + count >= wanted:
                low = _BOUNDS[index - 1] if index else 0.0
                high = _BOUNDS[min(index, len(_BOUNDS) - 1)]
                return low + (high - low) * (wanted - seen) / count
            seen += count
        return None


class Figures:
    """Follows every exchange and sums it up.

    Args:
        clock: Time.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._ring: list[Minute | None] = [None] * MINUTES
        self._since = clock.wall()
        self._past = Query(since_s=self._since - MINUTES * 60)
        self._taken = 0
        self._recalled = False
        self._turn = DeferredLock()

    def ended(self, record: Record) -> None:
        """Sum it up in the minute of its end."""
        self._add(record, self._clock.wall())

    async def recall(self, logs: ILogs) -> None:
        """Sum up what ended before this began to follow; reads the log once, and only its newest records.

        Whoever asks while that goes on waits for its end.

        Raises:
            StoreError: when the log cannot be read; what asks next goes on from there.
        """
        await self._turn.acquire()
        try:
            while not self._recalled:
                self._take(await logs.page(self._past, _PAGE))
        finally:
            self._turn.release()

    def _take(self, page: Found) -> None:
        """Sum up one page of what was before; piece by piece, so that nobody else waits for long."""
        for record in page.records:
            at = record.at_accept + record.duration_s
            if at < self._since:
                self._add(record, at)
        self._taken += len(page.records)
        further = page.onward(self._past, _PAGE)
        self._recalled = further is None or self._taken >= MAX_RECALLED
        self._past = further or self._past

    def slots(self, count: int, minutes: int) -> list[Minute]:
        """Return the sums of the last ``count`` spans of ``minutes`` each, oldest first; the last is not over."""
        last = int(self._clock.wall() // 60) // minutes
        slots = [Minute(number * minutes) for number in range(last - count + 1, last + 1)]
        for minute in self._ring:
            if minute is not None:
                index = minute.number // minutes - (last - count + 1)
                if 0 <= index < count:
                    slots[index].add(minute)
        return slots

    def _add(self, record: Record, at: float) -> None:
        number = int(at // 60)
        place = number % MINUTES
        minute = self._ring[place]
        if minute is None or minute.number < number:
            minute = self._ring[place] = Minute(number)
        elif minute.number > number:
            return
        minute.requests += 1
        if is_failure(record):
            minute.failures += 1
        usage = record.usage
        if usage is not None:
            minute.tokens_in += usage.input_total or 0
            minute.tokens_out += usage.output_total or 0
        minute.durations[bisect_left(_BOUNDS, record.duration_s)] += 1


def total(slots: Sequence[Minute]) -> Minute:
    """Return the sum of all of them."""
    everything = Minute(slots[0].number if slots else 0)
    for slot in slots:
        everything.add(slot)
    return everything
