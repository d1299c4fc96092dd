"""Alerts as they are told: as JSON, on the first page, and over the feed; from the figures of all processes."""

from __future__ import annotations

import json
from typing import Any

from netrunner.alerts import Figure
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.process.control import Commands
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.web.alerts import FRESH_S, LOOK_S, AlertsPage, Watch
from netrunner.web.gate import Gate
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.tree import NOTHING, pages_alone
from tests.support.client import Answer, Client, answers
from tests.support.dashboard import Stage as Dashboard
from tests.support.office import Office
from tests.support.others import Others
from tests.support.stage import LOOPBACK, body_of, request
from tests.web.test_live import events

FULL = Figure("netrunner_journal_full", 1)
AWAY = Figure("netrunner_counters_available", 0)


class Scene:
    """A watch over figures that a test sets."""

    def __init__(self, *figures: Figure, neighbours: Neighbours = ALONE) -> None:
        self.clock = FakeClock()
        self.figures = list(figures)
        self.looks = 0
        self.watch = Watch(self._own, self.clock, neighbours)

    def _own(self) -> list[Figure]:
        self.looks += 1
        return self.figures

    def page(self, gate: Gate | None = None, path: str = "/alerts") -> Answer:
        shown = AlertsPage(gate or Gate(None, None), self.watch)
        site = Site(pages_alone({b"alerts": shown}, self.clock), Sweep(self.clock), Limits(), NOTHING.refusal)
        client = Client(site, self.clock)
        client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
        (answer,) = answers(client.say(request(path)).heard())
        return answer

    def told(self) -> list[dict[str, Any]]:
        answer = self.page()
        assert (answer.status, answer.headers[b"cache-control"]) == (200, b"no-store")
        found: list[dict[str, Any]] = json.loads(answer.body)["alerts"]
        return found


def test_alerts_are_told_with_what_is_to_be_done_and_since_when() -> None:
    scene = Scene(FULL)
    (alert,) = scene.told()
    assert (alert["name"], alert["subject"], alert["severity"]) == ("journal_full", "", "page")
    assert alert["since"] == "2025-06-15T15:06:40.000Z"
    assert alert["text"] == "The disk has no room for the journal."
    assert "Make room" in alert["remedy"]
    scene.clock.advance(FRESH_S)
    scene.figures.clear()
    assert scene.told() == []


def test_alerts_are_for_those_who_may_look_and_nothing_is_below_them() -> None:
    assert Scene().page(Gate(Secret("ann"), Secret("word"))).status == 401
    assert Scene().page(path="/alerts/more").status == 404


def test_whoever_asks_at_the_same_time_is_told_the_same() -> None:
    scene = Scene(FULL)
    scene.told()
    scene.told()
    assert scene.looks == 1


def test_what_another_process_knows_is_told_here() -> None:
    others, commands, elsewhere = Others(), Commands(), Scene(AWAY)
    elsewhere.watch.offer(commands)
    others.commands.append(commands)
    here = Scene(FULL, neighbours=Neighbours(others))
    assert [alert["name"] for alert in here.told()] == ["counters_away", "journal_full"]


def test_it_is_looked_now_and_then_only_while_somebody_wants_to_be_told() -> None:
    scene = Scene(FULL)
    heard: list[Any] = []
    scene.clock.advance(10 * LOOK_S)
    assert scene.looks == 0
    leave = scene.watch.follow(lambda begun, ended: heard.append((len(begun), len(ended))))
    scene.clock.advance(LOOK_S)
    scene.clock.advance(LOOK_S)
    scene.figures.clear()
    scene.clock.advance(LOOK_S)
    assert heard == [(1, 0), (0, 1)]
    leave()
    leave()
    assert scene.clock.getDelayedCalls() == []


def test_the_first_page_shows_alerts_and_its_script_is_told_them() -> None:
    scene = Scene(Figure("netrunner_sink_failures", 5, {"sink": "<b>"}))
    dashboard = Dashboard(alerts=scene.watch.rows)
    page = dashboard.text("/")
    assert "The sink &lt;b&gt; has failed 5 times in a row." in page
    assert "data-alerts hidden" not in page
    assert [alert["name"] for alert in json.loads(dashboard.get("/now").body)["alerts"]] == ["sink_fails"]
    assert "data-alerts hidden" in Dashboard().text("/")


def test_a_feed_tells_all_alerts_when_one_begins_or_ends() -> None:
    scene = Scene()
    office = Office(watch=scene.watch)
    feed = office.client()
    feed.say(request("/api/live"))
    scene.figures += [FULL, AWAY]
    scene.clock.advance(LOOK_S)
    scene.figures.remove(FULL)
    scene.clock.advance(LOOK_S)
    told = [data["alerts"] for name, data in events(body_of(feed.heard())) if name == "alerts"]
    assert [[alert["name"] for alert in alerts] for alerts in told] == [
        ["counters_away", "journal_full"],
        ["counters_away"],
    ]
    feed.settle()
    assert scene.clock.getDelayedCalls() == []
