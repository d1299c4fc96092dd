"""The alarm: what is posted when an alert begins and ends, and how often it is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from netrunner.alarm import MOST, PAUSE_S, TRIES, Alarm
from netrunner.alerts import Alert
from netrunner.config.settings import AlertSettings
from netrunner.errors import UpstreamError
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from tests.support.posts import Http

URL = "https://chat.example/hooks/1"
FULL = Alert("journal_full", "", "page", "The disk has no room for the journal.", "Make room.", 1_750_000_000.0)


class Scene:
    """An alarm, what it posts, and who tells it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.http = Http(lambda document: [document["state"]])
        self.alarm = Alarm(None, self.clock, self.http)
        self.followers: list[Callable[..., object]] = []
        self.use(AlertSettings(**{"webhook": URL, **settings}))

    def use(self, settings: AlertSettings) -> None:
        self.alarm.use(settings, self._follow)

    def _follow(self, told: Callable[..., object]) -> Callable[[], None]:
        self.followers.append(told)
        return lambda: self.followers.remove(told)

    def tell(self, begun: tuple[Alert, ...] = (), ended: tuple[Alert, ...] = ()) -> None:
        for told in self.followers:
            told(begun, ended)

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(data) for _, _, data in self.http.posts]


def test_an_alert_is_posted_when_it_begins_and_when_it_ends() -> None:
    scene = Scene(headers={"x-key": Secret("k")})
    scene.tell(begun=(FULL,))
    scene.clock.advance(60)
    scene.tell(ended=(FULL,))
    began, ended = scene.documents()
    assert (began.pop("at"), began.pop("state"), bool(began.pop("host"))) == ("2025-06-15T15:06:40.000Z", "began", True)
    assert (ended["at"], ended["state"]) == ("2025-06-15T15:07:40.000Z", "ended")
    assert began.pop("netrunner")
    assert began == {
        "name": "journal_full",
        "subject": "",
        "severity": "page",
        "text": "The disk has no room for the journal.",
        "remedy": "Make room.",
        "since": "2025-06-15T15:06:40.000Z",
    }
    url, options, _ = scene.http.posts[0]
    assert (url, options["headers"]["x-key"], options["allow_redirects"]) == (URL, "k", False)


@pytest.mark.parametrize("mood", [lambda: 500, lambda: 302, lambda: fail(UpstreamError("There was no answer."))])
def test_what_is_not_taken_is_tried_a_few_times_with_growing_pauses_and_then_let_go(
    mood: Callable[[], Any],
) -> None:
    scene = Scene()
    scene.http.decide = lambda _: mood()
    scene.tell(begun=(FULL,))
    for number in range(TRIES - 1):
        assert len(scene.http.posts) == number + 1
        scene.clock.advance(PAUSE_S * 2**number)
    scene.http.decide = lambda _: 204
    scene.tell(ended=(FULL,))
    assert [document["state"] for document in scene.documents()] == ["began"] * TRIES + ["ended"]


def test_alerts_are_posted_in_order_however_long_one_takes() -> None:
    scene = Scene()
    scene.http.decide = lambda _: 503
    scene.tell(begun=(FULL,))
    scene.tell(ended=(FULL,))
    scene.http.decide = lambda _: 200
    scene.clock.advance(PAUSE_S)
    assert [document["state"] for document in scene.documents()] == ["began", "began", "ended"]


def test_no_more_than_a_bounded_number_waits() -> None:
    scene = Scene()
    scene.http.decide = lambda _: 503
    for _ in range(3 * MOST):
        scene.tell(begun=(FULL,))
    scene.http.decide = lambda _: 200
    scene.clock.advance(PAUSE_S)
    assert len(scene.http.posts) == MOST + 2


@pytest.mark.parametrize("mood", [lambda: 503, Deferred])
def test_after_its_end_nothing_is_posted_nor_waited_for(mood: Callable[[], Any]) -> None:
    scene = Scene()
    scene.http.decide = lambda _: mood()
    scene.tell(begun=(FULL,))
    scene.alarm.stop()
    assert scene.followers == []
    assert scene.clock.getDelayedCalls() == []
    assert len(scene.http.posts) == 1


def test_another_configuration_posts_elsewhere_and_the_same_one_goes_on() -> None:
    scene = Scene()
    before = list(scene.followers)
    scene.use(AlertSettings(webhook=URL))
    assert scene.followers == before
    scene.use(AlertSettings(webhook="https://other.example/"))
    scene.tell(begun=(FULL,))
    assert [url for url, _, _ in scene.http.posts] == ["https://other.example/"]
    scene.use(AlertSettings())
    assert scene.followers == []
