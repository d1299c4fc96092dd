"""Who hears of exchanges, and when."""

from __future__ import annotations

from typing import Any, cast

from netrunner.errors import ExchangeError, Overloaded
from netrunner.http.flush import Flush
from netrunner.pipeline.live import AT_ONCE, Live
from netrunner.testing.fakes import FakeClock
from netrunner.values import Outcome, Record
from netrunner.web.recent import Recent
from tests.support.dashboard import NOW_S, Stage


class Follower:
    """Writes down what it hears."""

    def __init__(self, heard: list[tuple[str, str]], name: str) -> None:
        self.heard, self.name = heard, name

    def ended(self, record: Record) -> None:
        """Write it down."""
        self.heard.append((self.name, record.id))


class Turn:
    """A turn of the reactor in which exchanges end."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW_S)
        self.live = Live(Flush(self.clock))
        self.stage = Stage(clock=self.clock)

    def end_both(self) -> list[str]:
        """Let two end; return their ids."""
        ended = [self.stage.begin(number) for number in (1, 2)]
        for exchange in ended:
            exchange.outcome = Outcome.DONE
            self.live.ended(exchange)
        return [exchange.id for exchange in ended]


def test_followers_hear_of_all_ends_of_a_turn_at_its_end_one_after_the_other() -> None:
    turn, heard = Turn(), list[tuple[str, str]]()
    for name in ("first", "second"):
        turn.live.follow(Follower(heard, name))
    one, two = turn.end_both()
    assert heard == []
    turn.clock.advance(0)
    assert heard == [("first", one), ("first", two), ("second", one), ("second", two)]
    turn.clock.advance(1)
    assert len(heard) == 4


def test_who_stops_to_follow_hears_of_what_ended_before_and_of_nothing_after() -> None:
    turn, heard = Turn(), list[tuple[str, str]]()
    follower = Follower(heard, "it")
    turn.live.follow(follower)
    one, two = turn.end_both()
    turn.live.unfollow(follower)
    turn.end_both()
    turn.clock.advance(0)
    assert heard == [("it", one), ("it", two)]


def test_what_ended_in_this_very_turn_is_found_before_the_turn_is_over() -> None:
    turn = Turn()
    recent = Recent(turn.live)
    one, two = turn.end_both()
    found = recent.one(one)
    assert found is not None
    assert (found.id, found.outcome) == (one, "done")
    turn.end_both()
    assert {found.id for found in recent.merged([], 10)} == {one, two}


class Work:
    """What an exchange does, which can be stopped."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self, outcome: Outcome, error: ExchangeError) -> None:
        """Note it."""
        self.stopped = True


def test_many_streams_of_a_token_are_ended_over_several_turns_and_those_of_others_go_on() -> None:
    clock = FakeClock(NOW_S)
    live, stage = Live(clock=clock), Stage(clock=clock)
    mine: Any = object()
    works = [Work() for _ in range(2 * AT_ONCE + 2)]
    for number, work in enumerate(works):
        exchange = stage.begin(number)
        exchange.holder, exchange.work = (mine if number else cast(Any, object())), cast(Any, work)
        live.began(exchange)
    live.end_of(mine, Overloaded("It was revoked.", code="cancelled"))
    assert sum(work.stopped for work in works) == AT_ONCE
    clock.advance(0)
    assert sum(work.stopped for work in works) == len(works) - 1
    assert not works[0].stopped
