"""Whoever keeps the reactor from turning is named while it does."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from twisted.logger import LogEvent, Logger, formatEvent

from netrunner.process.stalls import Stalls

PATIENCE_S = 60.0


class Watched:
    """A thread to be watched, and what was said of it."""

    def __init__(self) -> None:
        self.late = 0.0
        self.looks = 0
        self.heard: list[str] = []
        self.told = threading.Event()
        self.looked = threading.Lock()
        """Let go after ten looks more."""
        log = Logger("test", observer=self._observe)  # type: ignore[arg-type]  # a callable is one
        self.stalls = Stalls(self._late_s, log, interval_s=0.001)

    def _late_s(self) -> float:
        self.looks += 1
        if self.looks % 10 == 0 and self.looked.locked():
            self.looked.release()
        return self.late

    def _observe(self, event: LogEvent) -> None:
        self.heard.append(formatEvent(event))
        self.told.set()

    def ten_looks(self) -> None:
        """Return when at least ten were taken."""
        for _ in range(2):
            assert self.looked.acquire(timeout=PATIENCE_S)


@pytest.fixture
def watched() -> Any:
    watched = Watched()
    watched.stalls.start()
    yield watched
    watched.stalls.stop()


def hold_up(watched: Watched, late_s: float = 1.0) -> None:
    watched.told.clear()
    watched.late = late_s
    assert watched.told.wait(PATIENCE_S)


def test_what_holds_the_thread_up_is_named_with_its_callers(watched: Watched) -> None:
    hold_up(watched)
    assert watched.heard[0].startswith("everything waits, for 1.0 s now, for ")
    assert re.search(rf"{__name__}:\d+ hold_up < {__name__}:\d+ test_what_holds_the_thread_up", watched.heard[0])


def test_it_is_named_once_and_again_only_after_the_thread_had_turned(watched: Watched) -> None:
    hold_up(watched)
    watched.ten_looks()
    assert len(watched.heard) == 1
    watched.late = 0.0
    watched.ten_looks()
    hold_up(watched, 2.0)
    assert [line.split(" now")[0] for line in watched.heard] == [
        "everything waits, for 1.0 s",
        "everything waits, for 2.0 s",
    ]


def test_a_thread_that_is_on_time_is_left_alone(watched: Watched) -> None:
    watched.late = 0.4
    watched.ten_looks()
    assert watched.heard == []


def test_nobody_is_named_while_the_reactor_waits_for_its_sockets(watched: Watched) -> None:
    waiting: dict[str, Any] = {"__name__": "twisted.internet.epollreactor", "watched": watched}
    # Of two acquisitions the second waits for ten looks, in a frame of the reactor's module from first to last.
    steps = ["watched.late = 1.0", "watched.looked.acquire()", "watched.looked.acquire()", "watched.late = 0.0"]
    exec("def wait():\n    " + "\n    ".join(steps), waiting)
    waiting["wait"]()
    assert watched.heard == []
