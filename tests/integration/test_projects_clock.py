"""A clock that jumps under a running daemon: days, summer time, the year 2038 (row 21 of the acceptance table)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import Daemon
from tests.support.tenants import CONFIG, ENVIRON, chat, issue

pytestmark = pytest.mark.integration

DAY_S = 86400


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


def test_an_hour_that_comes_twice_gives_a_token_no_hour_more(daemon: Daemon, clock: Clock) -> None:
    # In New York 2027-11-07 01:30 comes twice; the first time it is 05:30 UTC.
    clock.be("@2027-11-07 00:40:00")
    token = issue(daemon)["token"]
    assert chat(daemon, token) == (200, None)
    clock.be("@2027-11-07 02:00:00")
    assert chat(daemon, token) == (401, "token_expired")


def test_tokens_work_after_the_last_second_of_32_bits(daemon: Daemon, clock: Clock) -> None:
    before = issue(daemon, duration_hours=8760)["token"]
    clock.be("@2038-01-20 00:00:00")
    assert chat(daemon, before) == (401, "token_expired")
    after = issue(daemon)
    assert after["expires_at"].startswith("2038-01-20T")
    assert chat(daemon, after["token"]) == (200, None)
