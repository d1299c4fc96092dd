"""What is counted of exchanges, from their records: plain numbers, added to once at each end.

Nothing here waits, allocates for what was seen before, or knows who asks. This module must not render anything.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Any

from netrunner.errors import ExchangeError
from netrunner.values import Record, Usage

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of what durations and first bytes are sorted into."""
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The same of the time from one token of a stream to the next."""
MAX_CODES = 200
"""Of errors, told apart; some are a provider's words."""
NONE, OTHER = "none", "other"
_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,64}")

Key = tuple[str, str | None, str | None, str | None, int, str]


class Spread:
    """How values are spread: one count for each bound, and one for what is beyond."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def take(self, other: Spread) -> None:
        """Add everything of another one."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning", "audio")
"""The kinds of tokens: the attributes of a ``Tally`` that count them."""


class Tally:
    """What is counted of exchanges that ended alike."""

    __slots__ = ("bytes_in", "bytes_out", "count", "durations", "first_bytes", "token_gaps", *TOKENS)

    def __init__(self) -> None:
        self.count = self.bytes_in = self.bytes_out = 0
        self.input = self.output = self.cache_read = self.cache_write = self.reasoning = self.audio = 0
        self.durations = Spread(SECONDS)
        self.first_bytes = Spread(SECONDS)
        self.token_gaps = Spread(TOKEN_SECONDS)


class Measures:
    """Follows every exchange, and hears of every refusal.

    Nobody outside can make it grow: models are told apart if they are configured, errors up to ``MAX_CODES``.
    """

    def __init__(self) -> None:
        self._models: frozenset[str | None] = frozenset({None})
        self.tallies: dict[Key, Tally] = {}
        """By route, dialect, provider, model, status and outcome."""
        self.errors: Counter[tuple[str, str]] = Counter()
        """Exchanges that ended with an error, by outcome and code."""
        self.attempts: Counter[tuple[str, str]] = Counter()
        """Tries at a provider that failed, by provider and code."""
        self.refusals: Counter[str] = Counter()
        """Requests refused before they were an exchange, by code: they are in no record."""
        self._codes: set[str] = set()

    def know(self, models: Iterable[str]) -> None:
        """Tell these models apart from now on."""
        self._models = frozenset({None, *models})

    def ended(self, record: Record) -> None:
        """Count an exchange."""
        model = record.model
        if model not in self._models:
            model = OTHER
        key = (record.route, record.dialect, record.provider, model, record.status, record.outcome)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally()
        tally.count += 1
        tally.bytes_in += record.bytes_in
        tally.bytes_out += record.bytes_out
        spread, seconds = tally.durations, record.duration_s
        spread.counts[bisect_left(SECONDS, seconds)] += 1
        spread.sum += seconds
        first = record.timings.get("first_byte")
        if first is not None:
            spread = tally.first_bytes
            spread.counts[bisect_left(SECONDS, first)] += 1
            spread.sum += first
            if record.usage is not None:
                _count_tokens(tally, record, record.usage, seconds - first)
        if record.error is not None:
            self._failed(record)
        elif len(record.attempts) > 1:
            self._tried(record)

    def refused(self, request: Any, error: ExchangeError) -> None:
        """Count a refusal, unless an exchange ends with it: that one is counted at its end."""
        if request is None or request.exchange is None:
            self.refusals[self._code(error.code)] += 1

    def _failed(self, record: Record) -> None:
        self.errors[record.outcome, self._code(record.error)] += 1
        self._tried(record)

    def _tried(self, record: Record) -> None:
        for attempt in record.attempts:
            if attempt.error is not None:
                self.attempts[attempt.provider, self._code(attempt.error)] += 1

    def _code(self, code: str | None) -> str:
        """Return a code as it is told; those that are no words, or too many, are one."""
        if code in self._codes:
            return code
        if code is None or len(self._codes) >= MAX_CODES or not _CODE.fullmatch(code):
            return OTHER
        self._codes.add(code)
        return code


def _count_tokens(tally: Tally, record: Record, usage: Usage, seconds: float) -> None:
    """Count what a provider said it used, and how its tokens followed each other if they came as a stream."""
    written = usage.output_total
    tally.input += usage.input_total or 0
    tally.output += written or 0
    if usage.cache_read:
        tally.cache_read += usage.cache_read
    if usage.cache_write:
        tally.cache_write += usage.cache_write
    if usage.reasoning:
        tally.reasoning += usage.reasoning
    if usage.audio:
        tally.audio += usage.audio
    if record.streaming and written is not None and written > 1:
        spread, gap = tally.token_gaps, seconds / (written - 1)
        spread.counts[bisect_left(TOKEN_SECONDS, gap)] += 1
        spread.sum += gap
