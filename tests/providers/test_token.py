"""Access tokens, renewed in time and once for everybody who waits."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.errors import UpstreamError
from netrunner.providers.token import Grant, Token
from netrunner.testing.fakes import FakeClock


class Office:
    """Gives tokens away, each when the test says so."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.asked: list[Deferred[Grant]] = []
        self.token = Token(self.clock, self.fetch)

    async def fetch(self) -> Grant:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def give(self, token: str, lasts_s: float = 1800.0) -> None:
        self.asked[-1].callback(Grant(token, self.clock.wall() + lasts_s))

    def get(self) -> list[Any]:
        """Ask for a token; the list gets it, or the error, when it is there."""
        got: list[Any] = []
        Deferred.fromCoroutine(self.token.get()).addBoth(lambda result: got.append(getattr(result, "value", result)))
        return got


def test_one_request_serves_everybody_who_waits():
    office = Office()
    waiting = [office.get() for _ in range(3)]
    assert (len(office.asked), waiting) == (1, [[], [], []])
    office.give("t1")
    assert waiting == [["t1"]] * 3
    assert office.get() == ["t1"]
    assert len(office.asked) == 1


def test_a_token_is_renewed_a_minute_before_its_end():
    office = Office()
    office.get()
    office.give("t1", 600.0)
    office.clock.advance(539.0)
    assert office.get() == ["t1"]
    office.clock.advance(1.0)
    waiting = office.get()
    assert (waiting, len(office.asked)) == ([], 2)
    office.give("t2")
    assert waiting == ["t2"]


def test_a_failure_is_told_to_everybody_who_waits_and_the_next_one_asks_again():
    office = Office()
    waiting = [office.get(), office.get()]
    error = UpstreamError("no")
    office.asked[0].errback(error)
    assert waiting == [[error], [error]]
    waiting = [office.get()]
    office.give("t1")
    assert (waiting, len(office.asked)) == ([["t1"]], 2)


def test_a_token_that_has_not_ended_serves_on_when_it_cannot_be_renewed():
    office = Office()
    office.get()
    office.give("t1", 600.0)
    office.clock.advance(550.0)
    waiting = office.get()
    office.asked[-1].errback(UpstreamError("no"))
    assert waiting == ["t1"]
    office.clock.advance(50.0)
    waiting = office.get()
    office.asked[-1].errback(error := UpstreamError("no"))
    assert waiting == [error]


def test_a_token_that_was_refused_is_not_used_again():
    office = Office()
    office.get()
    office.give("t1")
    office.token.forget("another")
    assert office.get() == ["t1"]
    office.token.forget("t1")
    office.token.forget("t1")
    assert office.get() == []
    assert len(office.asked) == 2


def test_a_token_that_has_ended_by_our_clock_is_used_once():
    office = Office()
    waiting = office.get()
    office.give("t1", -5.0)
    assert waiting == ["t1"]
    assert office.get() == []


@pytest.mark.parametrize("what", [Grant("secret-token", 1.0)])
def test_a_token_does_not_print_itself(what):
    assert "secret-token" not in repr(what)
