"""What other processes tell of what is in progress there."""

from __future__ import annotations

import pytest

from netrunner.process.control import Commands
from netrunner.web import neighbours
from netrunner.web.neighbours import Neighbours, Telling
from tests.support.dashboard import Stage as Dashboard
from tests.support.office import Office
from tests.support.others import Others


def busy(streams: int) -> tuple[Office, Neighbours]:
    """Return a process with so many exchanges in progress, and what others ask it by."""
    office, others, commands = Office(), Others(), Commands()
    for _ in range(streams):
        office.stage.ask()
    Telling(office.live, office.recent, office.clock).offer(commands)
    others.commands.append(commands)
    return office, Neighbours(others)


def test_all_that_is_in_progress_elsewhere_is_counted_however_much_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST", 2)
    elsewhere, told = busy(5)
    here = Office(told)
    here.stage.ask()
    assert here.json("/api/stats")["inflight_requests"] == 6
    assert '<dd data-total="flying">5</dd>' in Dashboard(neighbours=told).text("/")
    newest = list(elsewhere.live.inflight)[-2:]
    assert {row["id"] for row in here.json("/api/inflight")} == {*newest, *here.live.inflight}
