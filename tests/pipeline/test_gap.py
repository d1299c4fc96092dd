"""Calls of one provider, a gap apart and so many at once."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from netrunner.claims import Grant
from netrunner.errors import RateLimited
from netrunner.limits.memory import MemoryCounters
from netrunner.line import Waiting
from netrunner.pipeline.gap import Gap
from netrunner.settings import ProviderSettings
from netrunner.testing.fakes import FakeClock


class Gate:
    """A gap with a clock of its own, and a diary of who began when."""

    def __init__(self, gap_s: float = 0.0, at_once: int | None = None, max_wait_s: float = 30.0) -> None:
        self.clock = FakeClock()
        self.counters = MemoryCounters(self.clock)
        self.gap = self.another(gap_s, at_once, max_wait_s)
        self.began: list[tuple[str, float]] = []
        self.refused: dict[str, RateLimited] = {}
        self.waiting: dict[str, Waiting] = {}
        self._inside: list[tuple[Gap, Grant]] = []

    def another(self, gap_s: float = 0.0, at_once: int | None = None, max_wait_s: float = 30.0) -> Gap:
        """Return a gap of another process that counts with this one."""
        return Gap("acme", self.counters, self.clock, gap_s, at_once, max_wait_s)

    def enter(self, name: str, gap: Gap | None = None) -> None:
        """Let a call enter."""
        entering = (gap or self.gap).enter(lambda waiting: self.waiting.update({name: waiting}))
        Deferred.fromCoroutine(entering).addCallbacks(
            self._entered, lambda failure: self.refused.update({name: failure.value}), (name, gap or self.gap)
        )

    def _entered(self, grant: Grant | None, name: str, gap: Gap) -> None:
        if grant is not None:
            self.began.append((name, self.clock.seconds()))
            self._inside.append((gap, grant))

    def leave(self) -> None:
        """The call that has been inside for longest is over."""
        gap, grant = self._inside.pop(0)
        gap.leave(grant)

    def give_up(self, name: str) -> None:
        """A call does not want to wait any more."""
        self.gap.leave(self.waiting[name])


def test_calls_begin_a_gap_apart_in_the_order_of_their_arrival():
    gate = Gate(gap_s=2.0)
    for name in "abc":
        gate.enter(name)
    assert (gate.began, gate.gap.waiting) == ([("a", 0.0)], 2)
    gate.clock.pump([1.0] * 5)
    assert gate.began == [("a", 0.0), ("b", 2.0), ("c", 4.0)]
    assert gate.clock.getDelayedCalls() == []


def test_a_gap_that_has_passed_is_not_waited_for():
    gate = Gate(gap_s=2.0)
    gate.enter("a")
    gate.clock.advance(5.0)
    gate.enter("b")
    assert gate.began == [("a", 0.0), ("b", 5.0)]


def test_one_that_comes_while_others_wait_does_not_overtake_them():
    gate = Gate(gap_s=2.0)
    gate.enter("a")
    gate.enter("b")
    gate.clock.advance(1.0)
    gate.enter("c")
    gate.clock.pump([1.0] * 4)
    assert gate.began == [("a", 0.0), ("b", 2.0), ("c", 4.0)]


def test_one_at_a_time_waits_for_the_one_before():
    gate = Gate(at_once=1)
    for name in "abc":
        gate.enter(name)
    gate.clock.advance(3.0)
    assert gate.began == [("a", 0.0)]
    gate.leave()
    assert gate.began == [("a", 0.0), ("b", 3.0)]
    gate.leave()
    gate.leave()
    gate.enter("d")
    assert gate.began[2:] == [("c", 3.0), ("d", 3.0)]
    assert gate.clock.getDelayedCalls() == []


def test_one_at_a_time_keeps_the_gap_as_well():
    gate = Gate(gap_s=1.0, at_once=1)
    for name in "abc":
        gate.enter(name)
    gate.leave()
    gate.clock.pump([0.25] * 8)
    assert gate.began == [("a", 0.0), ("b", 1.0)]
    gate.leave()
    assert gate.began[2:] == [("c", 2.0)]


def test_one_that_would_wait_too_long_is_refused_at_once_and_told_how_long():
    gate = Gate(gap_s=10.0, max_wait_s=25.0)
    for name in "abcd":
        gate.enter(name)
    assert list(gate.refused) == ["d"]
    error = gate.refused["d"]
    assert (error.status, error.code, error.retry_after_s) == (429, "provider_busy", 30.0)
    assert "acme" in error.message
    gate.clock.pump([10.0, 10.0])
    assert [name for name, _ in gate.began] == ["a", "b", "c"]


def test_nobody_waits_where_nobody_may():
    gate = Gate(at_once=1, max_wait_s=0.0)
    gate.enter("a")
    gate.enter("b")
    assert (list(gate.refused), gate.gap.waiting) == (["b"], 0)


def test_one_that_has_waited_too_long_is_refused_and_the_next_one_is_not():
    gate = Gate(at_once=1, max_wait_s=5.0)
    gate.enter("a")
    gate.enter("b")
    gate.clock.advance(3.0)
    gate.enter("c")
    gate.clock.advance(2.0)
    assert list(gate.refused) == ["b"]
    assert gate.refused["b"].retry_after_s == 1.0
    gate.leave()
    assert gate.began == [("a", 0.0), ("c", 5.0)]
    gate.clock.advance(60.0)
    assert list(gate.refused) == ["b"]


def test_one_that_does_not_want_to_wait_any_more_leaves_its_place_to_the_next():
    gate = Gate(gap_s=2.0)
    for name in "abc":
        gate.enter(name)
    gate.give_up("b")
    gate.clock.advance(2.0)
    assert gate.began == [("a", 0.0), ("c", 2.0)]


def test_nobody_is_left_when_the_last_one_gives_up():
    gate = Gate(gap_s=2.0)
    gate.enter("a")
    gate.enter("b")
    gate.give_up("b")
    gate.clock.advance(2.0)
    assert (gate.gap.waiting, gate.clock.getDelayedCalls()) == (0, [])


def test_calls_of_all_who_count_together_are_a_gap_apart():
    gate = Gate(gap_s=2.0)
    other = gate.another(gap_s=2.0)
    gate.enter("a")
    gate.enter("b", other)
    gate.clock.pump([1.0] * 2)
    assert gate.began == [("a", 0.0), ("b", 2.0)]


def test_of_all_who_count_together_so_many_are_inside():
    gate = Gate(at_once=1)
    other = gate.another(at_once=1)
    gate.enter("a")
    gate.enter("b", other)
    gate.leave()
    gate.clock.advance(1.0)
    assert gate.began == [("a", 0.0), ("b", 1.0)]


@pytest.mark.parametrize(("asked", "there"), [({}, False), ({"min_gap_s": 0.5}, True), ({"max_at_once": 2}, True)])
def test_a_provider_has_a_gap_if_its_settings_ask_for_one(asked, there):
    settings = ProviderSettings(base_url="https://x.test", **asked)
    assert (Gap.of("acme", MemoryCounters(FakeClock()), FakeClock(), settings) is not None) is there


def test_a_provider_without_such_settings_has_none():
    assert Gap.of("echo", None, FakeClock(), object()) is None
