"""Sessions that several processes know of, each with its own clockwork."""

from __future__ import annotations

from netrunner.process.control import Commands
from netrunner.testing.fakes import FakeClock
from netrunner.web.admin.across import Across, offer
from netrunner.web.neighbours import Neighbours
from netrunner.web.sessions import IDLE_S, Sessions
from tests.support.others import Others
from tests.support.reception import now

CREDENTIAL = b"c" * 32


class Process:
    """Sessions, and the way to those of another."""

    def __init__(self, clock: FakeClock) -> None:
        self.sessions = Sessions(clock)
        self.others = Others()
        self.across = Across(self.sessions, Neighbours(self.others))

    def knows(self, other: Process) -> None:
        """Ask another one from now on."""
        commands = Commands()
        offer(other.sessions, commands)
        self.others.commands.append(commands)

    def finds(self, id: str) -> bool:
        """Return whether it lets in who brings a session's id."""
        if self.across.lacks(id):
            now(self.across.fetch(id))
        return self.sessions.find(id, CREDENTIAL) is not None


def two() -> tuple[FakeClock, Process, Process]:
    clock = FakeClock()
    one, other = Process(clock), Process(clock)
    one.knows(other)
    other.knows(one)
    return clock, one, other


def test_a_session_that_began_in_one_process_is_found_in_another() -> None:
    _, one, other = two()
    id = one.sessions.begin("ann", CREDENTIAL)
    assert other.finds(id)
    begun, found = one.sessions.find(id, CREDENTIAL), other.sessions.find(id, CREDENTIAL)
    assert begun is not None
    assert found is not None
    assert found.csrf == begun.csrf


def test_a_session_that_is_known_is_not_asked_for_again() -> None:
    _, one, other = two()
    id = one.sessions.begin("ann", CREDENTIAL)
    assert all(other.finds(id) for _ in range(5))
    assert other.others.asked == 1


def test_a_session_lives_on_where_it_was_used_last() -> None:
    clock, one, other = two()
    id = one.sessions.begin("ann", CREDENTIAL)
    assert other.finds(id)
    for _ in range(3):
        clock.advance(IDLE_S - 1)
        assert other.finds(id)
    assert one.finds(id)


def test_a_session_that_ends_in_one_process_ends_in_all() -> None:
    _, one, other = two()
    id = one.sessions.begin("ann", CREDENTIAL)
    assert other.finds(id)
    now(other.across.end(id))
    assert not one.finds(id)
    assert not other.finds(id)


def test_a_session_is_over_everywhere_when_nobody_used_it() -> None:
    clock, one, other = two()
    id = one.sessions.begin("ann", CREDENTIAL)
    assert other.finds(id)
    clock.advance(IDLE_S)
    assert not one.finds(id)
    assert not other.finds(id)


def test_nobody_is_asked_about_what_can_be_no_session() -> None:
    _, one, _ = two()
    assert not one.finds("x")
    assert not one.finds("x" * 44)
    assert one.others.asked == 0
