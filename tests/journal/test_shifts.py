"""Sinks of one configuration after those of another, and the end in the middle of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, succeed

from netrunner.journal.feeds import Sink
from netrunner.journal.shifts import STOP_S, Shifts
from netrunner.testing.fakes import FakeClock
from tests.journal.conftest import MakeJournal
from tests.support.desk import Desk, Keeper


class Crew:
    """The sinks of one configuration, of which one may hang; tells what becomes of it in the list of all."""

    def __init__(self, name: str, told: list[str], clock: FakeClock) -> None:
        self.keeper = Keeper()
        self.sinks = [Sink("keeper", self.keeper)]
        self.never_stops = False
        self._runs = False
        self._name, self._told, self._clock = name, told, clock

    def start(self) -> None:
        self._runs = True
        self._told.append(f"{self._name} starts")

    def stop(self, within_s: float) -> Deferred[None]:
        """Stop if it runs, as ``Parts`` does."""
        if not self._runs:
            return succeed(None)
        stopping: Deferred[None] = Deferred()
        if not self.never_stops:
            stopping.callback(None)
        stopping.addTimeout(within_s, self._clock)
        return stopping.addErrback(lambda _: None).addCallback(lambda _: self._told.append(f"{self._name} stopped"))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def crew(told: list[str], clock: FakeClock) -> Callable[[str], Crew]:
    return lambda name: Crew(name, told, clock)


@pytest.fixture
def desk(state: Path, journal_in: MakeJournal, clock: FakeClock) -> Desk:
    return Desk(state, journal_in(), clock)


@pytest.fixture
def shifts(desk: Desk, clock: FakeClock) -> Shifts:
    return Shifts(desk.feeds, clock)


def end(shifts: Shifts, crew: Crew, left_s: Callable[[], float]) -> list[None]:
    """Begin to end; what is returned is filled when that is over."""
    over: list[None] = []
    shifts.stop(crew.stop, left_s).addCallback(lambda _: over.append(None))
    return over


def left(clock: FakeClock, seconds: float) -> Callable[[], float]:
    """Tell how much of so many seconds is left; a moment always is."""
    limit = clock.seconds() + seconds
    return lambda: max(0.1, limit - clock.seconds())


def test_sinks_begin_when_those_before_have_their_last_records_and_are_stopped(
    shifts: Shifts, desk: Desk, crew: Callable[[str], Crew], told: list[str]
) -> None:
    one, two = crew("one"), crew("two")
    one.keeper.waiting = waiting = Deferred[None]()
    shifts.start(one.sinks, one.start)
    desk.record(1)
    desk.pass_time()
    shifts.replace(one.stop, two.sinks, two.start)
    desk.record(2)
    desk.pass_time(1)
    assert told == ["one starts"]
    waiting.callback(None)
    desk.record(3)
    desk.pass_time()
    assert told == ["one starts", "one stopped", "two starts"]
    assert (one.keeper.all, two.keeper.all) == (["01", "02"], ["03"])


def test_sinks_that_the_next_reload_takes_out_have_the_records_up_to_then(
    shifts: Shifts, desk: Desk, crew: Callable[[str], Crew], told: list[str]
) -> None:
    one, two, three = crew("one"), crew("two"), crew("three")
    one.keeper.waiting = waiting = Deferred[None]()
    two.sinks = [Sink("added", two.keeper)]
    shifts.start(one.sinks, one.start)
    desk.record(1)
    desk.pass_time()
    shifts.replace(one.stop, two.sinks, two.start)
    shifts.replace(two.stop, three.sinks, three.start)
    waiting.callback(None)
    desk.record(2)
    desk.pass_time()
    assert told == ["one starts", "one stopped", "two starts", "two stopped", "three starts"]
    assert (one.keeper.all, two.keeper.all, three.keeper.all) == (["01"], ["01"], ["02"])


def test_the_end_hands_over_everything_after_a_reload_that_is_under_way(
    shifts: Shifts, desk: Desk, crew: Callable[[str], Crew], told: list[str], clock: FakeClock
) -> None:
    one, two = crew("one"), crew("two")
    one.keeper.waiting = waiting = Deferred[None]()
    shifts.start(one.sinks, one.start)
    desk.record(1)
    desk.pass_time()
    shifts.replace(one.stop, two.sinks, two.start)
    ended = end(shifts, two, left(clock, STOP_S))
    desk.pass_time(1)
    assert not ended
    waiting.callback(None)
    assert ended
    assert told == ["one starts", "one stopped", "two starts", "two stopped"]
    assert one.keeper.all + two.keeper.all == ["01"]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("reloads", [1, 3])
@pytest.mark.parametrize("within_s", [1.0, STOP_S])
def test_the_end_waits_once_for_sinks_that_hang_in_the_middle_of_reloads(
    shifts: Shifts, desk: Desk, crew: Callable[[str], Crew], clock: FakeClock, within_s: float, reloads: int
) -> None:
    crews = [crew(str(number)) for number in range(reloads + 1)]
    for one in crews:
        one.keeper.waiting = Deferred()
        one.never_stops = True
    shifts.start(crews[0].sinks, crews[0].start)
    desk.record(1)
    desk.pass_time()
    for before, after in itertools.pairwise(crews):
        shifts.replace(before.stop, after.sinks, after.start)
    desk.pass_time(1)
    ended = end(shifts, crews[-1], left(clock, within_s))
    desk.pass_time(within_s - 0.1)
    assert not ended
    # Those before stop, the last ones take records, and stop: each has its moment, and no more.
    desk.pass_time(0.1 + 3 * 0.2)
    assert ended


def test_the_end_waits_once_for_sinks_of_a_reload_that_do_not_stop(
    shifts: Shifts, desk: Desk, crew: Callable[[str], Crew], told: list[str], clock: FakeClock
) -> None:
    one, two = crew("one"), crew("two")
    one.never_stops = True
    shifts.start(one.sinks, one.start)
    shifts.replace(one.stop, two.sinks, two.start)
    desk.record(1)
    ended = end(shifts, two, left(clock, 1.0))
    assert told == ["one starts"]
    desk.pass_time(1.1)
    assert ended
    assert told == ["one starts", "one stopped", "two starts", "two stopped"]
    assert two.keeper.all == ["01"]
