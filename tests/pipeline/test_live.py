"""Who hears of exchanges, and when."""

from __future__ import annotations

from netrunner.http.flush import Flush
from netrunner.pipeline.live import Live
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
