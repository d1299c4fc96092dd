"""Notices as a process hears and tells them, by wires that a test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netrunner.errors import StoreError
from netrunner.news.board import Board
from tests.support.reception import now


class Line:
    """A wire that a test holds the other end of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.running = False
        self.broken = False

    def start(self, heard: Callable[[str, str], object], missed: Callable[[], object]) -> None:
        self.heard, self.missed, self.running = heard, missed, True

    def stop(self) -> None:
        self.running = False

    async def tell(self, topic: str, id: str) -> None:
        if self.broken:
            raise StoreError("the line is broken")
        self.told.append((topic, id))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def board(line: Line) -> Board:
    board = Board()
    board.use({"line": lambda: line})
    return board


def test_who_follows_a_topic_hears_what_is_told_of_it_and_nothing_else(board: Board, line: Line) -> None:
    heard: list[str | None] = []
    board.follow("projects", heard.append)
    line.heard("projects", "a")
    line.heard("aliases", "b")
    assert heard == ["a"]


def test_who_follows_a_topic_hears_that_anything_may_have_been_missed(board: Board, line: Line) -> None:
    heard: list[Any] = []
    board.follow("projects", lambda id: heard.append(("projects", id)))
    board.follow("aliases", lambda id: heard.append(("aliases", id)))
    line.missed()
    assert heard == [("projects", None), ("aliases", None)]


def test_a_notice_goes_by_every_wire_and_those_that_are_broken_are_named(board: Board, line: Line) -> None:
    broken = Line()
    broken.broken = True
    board.use({"broken": lambda: broken, "line": lambda: line})
    assert now(board.tell("projects", "a")) == ["the line is broken"]
    assert line.told == [("projects", "a")]


def test_a_wire_that_stays_in_use_is_not_made_again_and_one_that_does_not_is_stopped(board: Board, line: Line) -> None:
    other = Line()
    board.use({"line": Line, "other": lambda: other})
    assert (line.running, other.running) == (True, True)
    assert now(board.tell("projects", "a")) == []
    assert line.told == other.told == [("projects", "a")]
    board.use({"other": Line})
    assert (line.running, other.running) == (False, True)


def test_a_board_that_stops_hangs_up(board: Board, line: Line) -> None:
    now(board.stop())
    assert not line.running
