"""From ended exchanges to sinks: collected, then written in batches outside of any request.

Sinks fail open: one that raises, hangs or falls behind loses its own records, counted, and touches nothing else.

This module must not know what a sink does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.interfaces import IClock, ILogSink
from netrunner.pipeline.exchange import Exchange
from netrunner.values import Record

BATCH_S = 0.1
MAX_BATCH = 1000
MAX_WAITING = 20000


class Feed:
    """What waits for one sink."""

    log = Logger()

    def __init__(self, name: str, sink: ILogSink) -> None:
        self.name = name
        self.sink = sink
        self.dropped = 0
        self._waiting: deque[Record] = deque()
        self._writing: Deferred[None] | None = None

    def add(self, records: Sequence[Record]) -> None:
        """Queue records; the oldest go when the sink cannot keep up."""
        self._waiting.extend(records)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def flush(self) -> Deferred[None]:
        """Write everything that waits; fire when it is written or lost."""
        if self._writing is None:
            if not self._waiting:
                return succeed(None)
            self._writing = Deferred.fromCoroutine(self._write())
            if self._writing.called:
                self._writing = None
                return succeed(None)
            self._writing.addBoth(self._written)
        done: Deferred[None] = Deferred()
        self._writing.addBoth(lambda _: done.callback(None))
        return done

    def _written(self, _: object) -> None:
        self._writing = None

    async def _write(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                await self.sink.write(batch)
            except Exception:  # noqa: BLE001 - the border to a sink: whatever it raises stays here
                self.dropped += len(batch)
                self.log.failure("the sink {sink} lost {count} records", sink=self.name, count=len(batch))


class Recorder:
    """Collects ended exchanges and feeds them to every sink.

    Args:
        sinks: Pairs of name and sink.
        clock: Times the batches.
    """

    def __init__(self, sinks: Iterable[tuple[str, Any]], clock: IClock) -> None:
        self.feeds = [Feed(name, sink) for name, sink in sinks]
        self._clock = clock
        self._ended: list[Exchange] = []
        self._call: IDelayedCall | None = None

    def add(self, exchange: Exchange) -> None:
        """Take an exchange that has ended."""
        self._ended.append(exchange)
        if self._call is None:
            self._call = self._clock.callLater(BATCH_S, self._hand_out)

    def _hand_out(self) -> None:
        self._call = None
        ended, self._ended = self._ended, []
        if ended and self.feeds:
            records = [exchange.record() for exchange in ended]
            for feed in self.feeds:
                feed.add(records)
                feed.flush()

    def close(self) -> Deferred[Any]:
        """Write what is left; fire when every sink is done with it."""
        if self._call is not None:
            self._call.cancel()
        self._hand_out()
        return DeferredList([feed.flush() for feed in self.feeds])
