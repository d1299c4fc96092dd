"""A clock that jumps under a running daemon: days, summer time, the year 2038 (row 21 of the acceptance table)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import Daemon
from tests.support.tenants import CHAT, CONFIG, ENVIRON, chat, issue

pytestmark = pytest.mark.integration

DAY_S = 86400
CHANGES = {"forward": "2027-03-14T07:00:00+00:00", "back": "2027-11-07T06:00:00+00:00"}
"""When clocks in New York are put forward from 2 to 3 o'clock, and back from 2 to 1."""


class Clock:
    """The wall clock of a daemon; the monotonic one goes on as it is.

    Args:
        path: Tells the library what time it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.be("+0")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.environ = {
            **ENVIRON,
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "America/New_York",
        }

    def be(self, when: str) -> None:
        """Jump: by seconds such as ``+86400``, or to a local time such as ``@2038-01-20 00:00:00``."""
        new = self._path.with_suffix(".new")
        new.write_text(when)
        new.replace(self._path)

    def be_beside(self, change: str, minutes: float) -> None:
        """Jump to so many minutes after one of ``CHANGES``, whatever the clock on the wall shows then."""
        at = datetime.fromisoformat(CHANGES[change]).timestamp() + 60 * minutes
        self.be(f"{at - time.time():+.0f}")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    require_binary("faketime")
    return Clock(tmp_path_factory.mktemp("clock") / "now")


@pytest.fixture(scope="module")
def running(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), CONFIG, environ=clock.environ) as daemon:
        yield daemon


@pytest.fixture
def daemon(running: Daemon, clock: Clock) -> Iterator[Daemon]:
    """It, at the right time."""
    yield running
    clock.be("+0")


def test_a_token_is_expired_after_a_jump_and_valid_again_before_it(daemon: Daemon, clock: Clock) -> None:
    token = issue(daemon)["token"]
    assert chat(daemon, token) == (200, None)
    clock.be(f"+{DAY_S}")
    assert chat(daemon, token) == (401, "token_expired")
    clock.be(f"-{DAY_S}")
    assert chat(daemon, token) == (200, None)
    clock.be("+3599")
    assert chat(daemon, token) in [(200, None), (401, "token_expired")]
    clock.be("+3601")
    assert chat(daemon, token) == (401, "token_expired")


@pytest.mark.parametrize("when", [f"+{DAY_S}", f"-{DAY_S}", "+3600", "-3600"])
def test_no_jump_opens_a_window(daemon: Daemon, clock: Clock, when: str) -> None:
    token = issue(daemon, duration_hours=72, limits={"requests_per_hour": 2})["token"]
    assert [chat(daemon, token)[0] for _ in range(3)] == [200, 200, 429]
    clock.be(when)
    assert chat(daemon, token) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("change", CHANGES)
def test_an_hour_that_comes_twice_or_not_at_all_is_as_long_as_any_other_for_a_token(
    daemon: Daemon, clock: Clock, change: str
) -> None:
    clock.be_beside(change, -30)
    issued = issue(daemon)
    expires_at = datetime.fromisoformat(issued["expires_at"]).timestamp()
    assert expires_at - datetime.fromisoformat(issued["created_at"]).timestamp() == 3600
    told = []
    for minutes in (-29, -1, 1, 29, 31, 61):
        clock.be_beside(change, minutes)
        told.append(chat(daemon, issued["token"]))
    assert told == [(200, None)] * 4 + [(401, "token_expired")] * 2


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("window", ["requests_per_hour", "requests_per_day"])
def test_neither_summer_time_nor_midnight_opens_a_window(
    daemon: Daemon, clock: Clock, change: str, window: str
) -> None:
    clock.be_beside(change, -130)
    token = issue(daemon, duration_hours=72, limits={window: 1})["token"]
    assert chat(daemon, token) == (200, None)
    told = []
    for minutes in (-110, -1, 1, 59, 61, 24 * 60):
        clock.be_beside(change, minutes)
        told.append(chat(daemon, token))
    assert told == [(429, "rate_limit_exceeded")] * 6


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_withers_by_its_age_and_not_by_the_clock_on_the_wall(daemon: Daemon, clock: Clock, change: str) -> None:
    clock.be_beside(change, -20)
    wither = {"curve": "steps", "steps": [{"after": 0.5, "share": 0.1}]}
    token = issue(daemon, limits={"requests_per_hour": 100, "wither": wither})["token"]
    credential = {"Authorization": f"Bearer {token}"}
    told = []
    for minutes in (-19, 1, 9, 11, 39, 41):
        clock.be_beside(change, minutes)
        status, fields, _ = daemon.request("POST", "/v1/chat/completions", CHAT, credential)
        told.append((status, fields.get("x-ratelimit-limit-requests")))
    assert told == [(200, "100")] * 3 + [(200, "10")] * 2 + [(401, None)]


@pytest.mark.parametrize("change", CHANGES)
def test_budgets_of_a_life_are_counted_once_across_summer_time(daemon: Daemon, clock: Clock, change: str) -> None:
    clock.be_beside(change, -1)
    token = issue(daemon, max_requests=2)["token"]
    told = [chat(daemon, token)]
    for minutes in (1, 3):
        clock.be_beside(change, minutes)
        told.append(chat(daemon, token))
    assert told == [(200, None), (200, None), (429, "max_requests_exceeded")]


def test_tokens_work_after_the_last_second_of_32_bits(daemon: Daemon, clock: Clock) -> None:
    before = issue(daemon, duration_hours=8760)["token"]
    clock.be("@2038-01-20 00:00:00")
    assert chat(daemon, before) == (401, "token_expired")
    after = issue(daemon)
    assert after["expires_at"].startswith("2038-01-20T")
    assert chat(daemon, after["token"]) == (200, None)
