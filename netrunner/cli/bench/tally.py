"""What came of many requests: counts, and histograms of everything that took time.

Pure. This module must not know how any of it was measured.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from netrunner.cli.bench.histogram import Histogram

MOST_KINDS = 64
"""Of errors that are told apart."""
OTHER = "other"
PROXY_STAGES = frozenset({"recv", "filters", "route", "hold"})
UPSTREAM_STAGES = frozenset({"connect", "upstream"})
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_STAGE = re.compile(r"\s*([a-z]+);dur=([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*")


@dataclass(slots=True)
class Sample:
    """One request, in seconds."""

    latency_s: float = 0.0
    """From when it was due until its answer was complete, or failed."""
    late_s: float = 0.0
    """From when it was due until it was sent."""
    status: int | None = None
    """None without an answer."""
    error: str | None = None
    """A word for what went wrong; None for an answer as it should be."""
    head_s: float | None = None
    """From when it was due until the head of the answer."""
    sent_to_head_s: float | None = None
    first_token_s: float | None = None
    """From when it was due until the first piece of text of a stream."""
    gaps_s: list[float] = field(default_factory=list)
    """Between reads of a stream that brought text."""
    generating_s: float = 0.0
    """From the first piece of text to the last."""
    pieces: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    stages_s: dict[str, float] | None = None
    """As the proxy told them."""
    bytes: int = 0
    """Of the answer's body."""


def stages_of(value: str) -> dict[str, float] | None:
    """Return the stages in seconds of a ``Server-Timing`` if it is netrunner's, else None."""
    found = {name: float(value) / 1e3 for part in value.split(",") for name, value in _STAGE.findall(part)}
    return found if "recv" in found or "route" in found else None


class Tally:
    """Adds up samples. Latencies and what follows are those of requests that succeeded."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.streams = self.pieces = self.bytes = 0
        self.input_tokens = self.output_tokens = self.counted = 0
        """Tokens by the servers' word, and of how many answers that is known."""
        self.latency = Histogram()
        self.late = Histogram()
        """Of every request."""
        self.head = Histogram()
        self.first_token = Histogram()
        self.gap = Histogram()
        self.stream_rate = Histogram()
        """Tokens per second of a stream after its first piece."""
        self.proxy = Histogram()
        self.upstream = Histogram()
        self.outside = Histogram()
        """From sending a request to the head of its answer, less what the proxy told of: network, kernel, and here."""
        self.stages: dict[str, Histogram] = {}

    @property
    def succeeded(self) -> int:
        """How many were answered as they should be."""
        return self.requests - self.failed

    @property
    def error_rate(self) -> float:
        """The share of requests that failed, 0 to 1."""
        return self.failed / self.requests if self.requests else 0.0

    def add(self, sample: Sample) -> None:
        """Count one request."""
        self.requests += 1
        self.bytes += sample.bytes
        self.late.add(sample.late_s)
        if sample.status is not None:
            self.statuses[sample.status] += 1
        if sample.error is not None:
            self.failed += 1
            self._fail(sample.error)
            return
        self.latency.add(sample.latency_s)
        if sample.head_s is not None:
            self.head.add(sample.head_s)
        self._text(sample)
        if sample.stages_s is not None:
            self._split(sample.stages_s, sample.sent_to_head_s)

    def _fail(self, error: str) -> None:
        """Count an error; the word may be a server's, so its form and their number are bounded."""
        kind = error if _KIND.fullmatch(error) else OTHER
        if kind not in self.errors and len(self.errors) >= MOST_KINDS:
            kind = OTHER
        self.errors[kind] += 1

    def _text(self, sample: Sample) -> None:
        if sample.input_tokens is not None or sample.output_tokens is not None:
            self.counted += 1
            self.input_tokens += sample.input_tokens or 0
            self.output_tokens += sample.output_tokens or 0
        if sample.first_token_s is None:
            return
        self.streams += 1
        self.pieces += sample.pieces
        self.first_token.add(sample.first_token_s)
        for gap in sample.gaps_s:
            self.gap.add(gap)
        if sample.output_tokens is not None and sample.output_tokens > 1 and sample.generating_s > 0:
            self.stream_rate.add((sample.output_tokens - 1) / sample.generating_s)

    def _split(self, stages: dict[str, float], sent_to_head_s: float | None) -> None:
        proxy = sum(took for stage, took in stages.items() if stage in PROXY_STAGES)
        upstream = sum(took for stage, took in stages.items() if stage in UPSTREAM_STAGES)
        self.proxy.add(proxy)
        self.upstream.add(upstream)
        if sent_to_head_s is not None:
            self.outside.add(max(0.0, sent_to_head_s - proxy - upstream))
        for stage, took in stages.items():
            if stage in PROXY_STAGES or stage in UPSTREAM_STAGES:
                self.stages.setdefault(stage, Histogram()).add(took)
