"""From ended exchanges to sinks: in batches, bounded, and never in the way of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import ILogSink
from netrunner.pipeline import recorder
from netrunner.pipeline.recorder import Recorder
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from tests.support.logs import FailureLog


class Ended:
    """What the recorder knows of an exchange."""

    def __init__(self, number: int) -> None:
        self.number = number

    def record(self) -> int:
        """Return what is recorded."""
        return self.number


@implementer(ILogSink)
class Sink:
    """Keeps the batches it was given; waits, or fails, as told."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.waiting: Deferred[None] | None = None
        self.fails = False

    async def write(self, records: Sequence[Record]) -> None:
        """Take a batch."""
        self.batches.append(list(records))
        if self.waiting is not None:
            await self.waiting
        if self.fails:
            raise OSError("the disk is full")


def record(numbers: range, one: Recorder) -> None:
    for number in numbers:
        ended: Any = Ended(number)
        one.add(ended)


def test_records_are_written_in_one_batch_after_a_moment() -> None:
    clock, sink = FakeClock(), Sink()
    one = Recorder([("a", sink)], clock)
    record(range(3), one)
    assert sink.batches == []
    clock.advance(recorder.BATCH_S)
    assert sink.batches == [[0, 1, 2]]
    clock.advance(10)
    assert clock.getDelayedCalls() == []


def test_every_sink_gets_every_record_whatever_another_does(logged_failures: FailureLog) -> None:
    clock, sinks = FakeClock(), [Sink(), Sink()]
    sinks[0].fails = True
    one = Recorder([("bad", sinks[0]), ("good", sinks[1])], clock)
    for start in range(3):
        record(range(start, start + 1), one)
        clock.advance(recorder.BATCH_S)
    assert sinks[1].batches == [[0], [1], [2]]
    assert [feed.dropped for feed in one.feeds] == [3, 0]
    assert len(logged_failures.flush(OSError)) == 3


def test_a_sink_is_not_called_again_before_it_is_done() -> None:
    clock, sink = FakeClock(), Sink()
    one = Recorder([("a", sink)], clock)
    waiting: Deferred[None] = Deferred()
    sink.waiting = waiting
    for number in range(3):
        record(range(number, number + 1), one)
        clock.advance(recorder.BATCH_S)
    assert sink.batches == [[0]]
    sink.waiting = None
    waiting.callback(None)
    assert sink.batches == [[0], [1, 2]]


def test_a_batch_has_a_bound() -> None:
    clock, sink = FakeClock(), Sink()
    one = Recorder([("a", sink)], clock)
    record(range(recorder.MAX_BATCH * 2 + 1), one)
    clock.advance(recorder.BATCH_S)
    assert [len(batch) for batch in sink.batches] == [recorder.MAX_BATCH, recorder.MAX_BATCH, 1]


def test_a_sink_that_hangs_loses_its_oldest_records_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 10)
    clock, sink = FakeClock(), Sink()
    one = Recorder([("a", sink)], clock)
    waiting: Deferred[None] = Deferred()
    sink.waiting = waiting
    record(range(1), one)
    clock.advance(recorder.BATCH_S)
    for start in range(1, 31):
        record(range(start, start + 1), one)
        clock.advance(recorder.BATCH_S)
    assert one.feeds[0].dropped == 20
    sink.waiting = None
    waiting.callback(None)
    assert sink.batches == [[0], list(range(21, 31))]


def test_closing_writes_what_is_left_and_waits_for_it() -> None:
    clock, sink = FakeClock(), Sink()
    one = Recorder([("a", sink)], clock)
    waiting: Deferred[None] = Deferred()
    sink.waiting = waiting
    record(range(2), one)
    closed: list[Any] = []
    one.close().addCallback(closed.append)
    assert (sink.batches, closed) == ([[0, 1]], [])
    waiting.callback(None)
    assert len(closed) == 1
    assert clock.getDelayedCalls() == []


def test_without_sinks_nothing_is_made_of_a_record() -> None:
    clock = FakeClock()
    one = Recorder([], clock)
    broken: Any = object()
    one.add(broken)
    clock.advance(recorder.BATCH_S)
    assert clock.getDelayedCalls() == []
