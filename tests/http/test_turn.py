"""A turn does one kind of work after the other, and all of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.python.failure import Failure

from netrunner.http.flush import Flush
from netrunner.http.turn import ANSWER, ATTEMPT, COMMIT, DISPATCH, Turn
from netrunner.testing.fakes import FakeClock
from tests.support.logs import FailureLog


class Noting:
    """Does what a test says, and notes its end."""

    def __init__(self, act: Callable[[], object], broken: Callable[[], object] = lambda: None) -> None:
        self.take_turn = act
        self._broken = broken

    def broken(self, failure: Failure) -> None:
        """Note it."""
        self._broken()


def noting(done: list[str], what: str) -> Noting:
    return Noting(lambda: done.append(what))


def test_what_a_turn_brings_is_done_step_by_step() -> None:
    turn, done = Turn(), list[str]()
    for number in "12":
        turn.later(ANSWER, noting(done, f"answer {number}"))
        turn.later(DISPATCH, noting(done, f"dispatch {number}"))
    turn.run()
    assert done == ["dispatch 1", "dispatch 2", "answer 1", "answer 2"]


def test_what_comes_of_a_step_is_done_in_the_same_turn() -> None:
    turn, done = Turn(), list[str]()
    turn.later(ANSWER, Noting(lambda: turn.later(ATTEMPT, noting(done, "another attempt"))))
    turn.run()
    assert done == ["another attempt"]


@pytest.mark.parametrize("step", [DISPATCH, ATTEMPT, ANSWER, COMMIT])
def test_one_that_fails_is_ended_and_keeps_nothing_from_the_others(step: int) -> None:
    turn, done = Turn(), list[str]()
    turn.later(step, noting(done, "before"))
    turn.later(step, Noting(lambda: 1 // 0, lambda: done.append("ended")))
    turn.later(step, noting(done, "behind"))
    turn.later(COMMIT, noting(done, "later"))
    turn.run()
    assert done == ["before", "ended", "behind", "later"]


def test_one_that_cannot_even_be_ended_keeps_nothing_from_the_others(logged_failures: FailureLog) -> None:
    turn, done = Turn(), list[str]()
    turn.later(DISPATCH, Noting(lambda: 1 // 0, lambda: 1 // 0))
    turn.later(DISPATCH, noting(done, "behind"))
    turn.run()
    assert done == ["behind"]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


def test_everything_is_done_before_anything_is_sent() -> None:
    class Sender:
        def flush(self) -> None:
            done.append("sent")

    clock, done = FakeClock(), list[str]()
    flush = Flush(clock)
    flush.add(Sender())
    flush.later(DISPATCH, noting(done, "done"))
    clock.advance(0)
    assert done == ["done", "sent"]


def test_a_turn_ends_once_however_much_it_brings() -> None:
    clock = FakeClock()
    flush = Flush(clock)
    flush.later(DISPATCH, Noting(int))
    flush.later(ATTEMPT, Noting(int))
    assert len(clock.getDelayedCalls()) == 1
