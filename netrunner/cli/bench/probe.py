"""One request under measurement: when what of its answer came, and what it said about itself.

Nothing of an answer's text is kept. This module must not decide when a request begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from netrunner.cli.bench.tally import Sample, stages_of
from netrunner.cli.bench.targets import Target
from netrunner.dialects.answers import merged
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import UpstreamError
from netrunner.events import Event, ReasoningDelta, StreamError, TextDelta, ToolArgs, UsageSeen
from netrunner.interfaces import IResponseReceiver
from netrunner.values import ResponseHead, Usage

MAX_BYTES = 1 << 24
"""Of one event of a stream, or of an answer that is none."""
_STREAMS = (b"text/event-stream", b"application/x-ndjson")
_TEXT = (TextDelta, ReasoningDelta, ToolArgs)


@implementer(IResponseReceiver)
class Probe:
    """Measures one answer, and calls ``ended`` once with what came of it.

    Args:
        target: How it is read.
        now: Monotonic seconds.
        due_s: When the request was to be sent, by ``now``.
        ended: Hears of the end.
    """

    __slots__ = (
        "_decoder",
        "_due",
        "_ended",
        "_first",
        "_last",
        "_now",
        "_sent",
        "_tap",
        "_target",
        "_usage",
        "sample",
    )

    def __init__(self, target: Target, now: Callable[[], float], due_s: float, ended: Callable[[Probe], None]) -> None:
        self._target = target
        self._now = now
        self._due = due_s
        self._ended = ended
        self._sent = now()
        self._decoder: Any = None
        self._tap: Any = None
        self._usage: Usage | None = None
        self._first = self._last = 0.0
        self.sample = Sample(late_s=self._sent - due_s)

    def sent(self, reused: bool) -> None:
        """A connection took it."""

    def head_received(self, head: ResponseHead) -> None:
        """Note when it came, and choose how to read what follows."""
        now, sample = self._now(), self.sample
        sample.status = head.status
        sample.head_s, sample.sent_to_head_s = now - self._due, now - self._sent
        for name, value in head.headers:
            if name == b"server-timing":
                sample.stages_s = stages_of(value.decode("latin-1")) or sample.stages_s
        if not 200 <= head.status <= 299:
            sample.error = f"http_{head.status}"
        elif self._target.dialect is not None and head.get(b"content-encoding") in (None, b"identity"):
            spoken = SPOKEN[self._target.dialect]
            if (head.get(b"content-type") or b"").split(b";")[0].strip().lower() in _STREAMS:
                self._decoder = spoken.decoder(self._target.endpoint, True, MAX_BYTES)
            else:
                self._tap = spoken.tap(False)

    def body_received(self, data: bytes, last: bool) -> None:
        """Read on."""
        self.sample.bytes += len(data)
        if self._decoder is not None:
            self._stream(data, last)
        elif self._tap is not None and data:
            self._tap.feed(data)
        if last:
            self._complete()

    def failed(self, error: UpstreamError) -> None:
        """It will not be answered, or not to the end."""
        self._fail(_kind(error))
        self._end()

    def _stream(self, data: bytes, last: bool) -> None:
        try:
            events = self._decoder.feed(data, last)
        except UpstreamError as error:
            self._fail(_kind(error))
            self._decoder = None
            return
        pieces = self._pieces(events)
        if pieces:
            now, sample = self._now(), self.sample
            if sample.first_token_s is None:
                self._first = now
                sample.first_token_s = now - self._due
            else:
                sample.gaps_s.append(now - self._last)
            self._last = now
            sample.pieces += pieces

    def _pieces(self, events: list[Event]) -> int:
        """Return how many pieces of text there are among the events; note all else that matters."""
        pieces = 0
        for event in events:
            if isinstance(event, _TEXT):
                pieces += 1
            elif isinstance(event, UsageSeen):
                self._usage = merged(self._usage, event.usage)
            elif isinstance(event, StreamError):
                self._fail(event.code or event.kind)
        return pieces

    def _complete(self) -> None:
        tap = self._tap
        if tap is not None:
            tap.close()
            self._usage = tap.usage
            if tap.error is not None:
                self._fail(tap.error)
            elif not tap.complete:
                self._fail("invalid_response")
        self._end()

    def _fail(self, kind: str) -> None:
        """Note what went wrong first."""
        if self.sample.error is None:
            self.sample.error = kind

    def _end(self) -> None:
        sample = self.sample
        sample.latency_s = self._now() - self._due
        sample.generating_s = self._last - self._first
        if self._usage is not None:
            sample.input_tokens, sample.output_tokens = self._usage.input_total, self._usage.output_total
        self._ended(self)


def _kind(error: UpstreamError) -> str:
    """Return the word for an error that was found here, where what is measured is no upstream of anybody's."""
    return error.code.removeprefix("upstream_")
