"""Progress: redrawn on a terminal, lines elsewhere, a hint where rich is missing."""

from __future__ import annotations

import io
import sys

import pytest

from netrunner.cli.bench.load import Load
from netrunner.cli.bench.progress import HINT, Lines, Live, Silent, display, line
from netrunner.testing.fakes import FakeClock
from tests.support.bench import Server, load


class Terminal(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def half_done() -> Load:
    clock, server = FakeClock(), Server()
    run = load(clock, server, concurrency=2, requests=4)
    run.run()
    clock.advance(0.5)
    server.exchanges[0].answer()
    server.exchanges[1].answer(500)
    return run


def test_a_line_tells_how_far_it_is_and_how_it_goes(half_done: Load) -> None:
    assert line(half_done, "measuring") == (
        "measuring 50%: 2 answered, 2 open, 2.0/s, p50 500.0 ms, p99 500.0 ms, 1 failed"
    )


def test_what_is_no_terminal_gets_lines(half_done: Load) -> None:
    stream = io.StringIO()
    shown = display(False, stream)
    assert isinstance(shown, Lines)
    shown.show(half_done, "measuring")
    shown.close()
    assert stream.getvalue() == line(half_done, "measuring") + "\n"


def test_a_terminal_gets_a_bar_with_the_figures(half_done: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    shown = display(False, stream)
    assert isinstance(shown, Live)
    shown.show(half_done, "warming up")
    shown.close()
    assert "warming up" in stream.getvalue()
    assert "2 answered" in stream.getvalue()


def test_without_rich_a_terminal_gets_a_hint_and_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, module, None)
    stream = Terminal()
    assert isinstance(display(False, stream), Lines)
    assert stream.getvalue() == HINT + "\n"


def test_who_wants_it_quiet_gets_nothing(half_done: Load) -> None:
    stream = Terminal()
    shown = display(True, stream)
    assert isinstance(shown, Silent)
    shown.show(half_done, "measuring")
    shown.close()
    assert stream.getvalue() == ""
