"""Callers beside a flood of logins (row 46), and beside somebody who holds the database (row 26)."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import pytest

from netrunner.store.database import FILE
from netrunner.web.tries import PER_MINUTE, WINDOW_S
from tests.support.crowd import Crowd, Figures, Visitor, wait_until
from tests.support.daemon import ECHO, PATIENCE_S, Daemon
from tests.support.tenants import CHAT, CONFIG, ENVIRON, MANAGE, issue, manage

pytestmark = pytest.mark.integration

ADDRESSES = 100
AT_ONCE = 10
QUIET = 100
"""Answers while nothing else happens."""
HELD = 100
"""Answers, at the least, while the database is held."""
FLOOD = 10_000
"""Logins of `make torture`."""
LATER_MS = 10.0
"""How much later an answer may come for a flood, at p99; `make torture` only."""
WAITS_MS = 5.0
"""Likewise for a database that is held."""
PASSWORD = secrets.token_urlsafe(16)
OPERATOR = {**ENVIRON, "ADMIN_USER": "ann", "ADMIN_PASSWORD": PASSWORD}
ADMIN = "admin: {user: {env: ADMIN_USER}, password: {env: ADMIN_PASSWORD}}\n"


class Caller:
    """Asks again and again on one connection, with one token, from a thread; a context manager.

    Args:
        daemon: What is asked.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.token = issue(daemon, limits={"requests_per_hour": 10_000_000})
        self._headers = {"Authorization": f"Bearer {self.token['token']}", "Content-Type": "application/json"}
        self._daemon = daemon
        self._over = threading.Event()
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._took_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def p99_ms(self, least: int = 1) -> float:
        """Return how long answers took since this was asked last, at p99, once there are so many of them."""
        with self._answered:
            assert self._answered.wait_for(lambda: len(self._took_ms) >= least, PATIENCE_S)
            took, self._took_ms = sorted(self._took_ms), []
        return took[len(took) * 99 // 100]

    def _run(self) -> None:
        with closing(self._daemon.connect()) as connection:
            while not self._over.wait(0.005):
                begun = time.monotonic()
                connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), self._headers)
                response = connection.getresponse()
                response.read()
                with self._answered:
                    self.statuses[response.status] += 1
                    self._took_ms.append((time.monotonic() - begun) * 1000)
                    self._answered.notify_all()


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def login(user: str, password: str, number: int, network: str = "203.0.113") -> bytes:
    """Return a login by one of the two ways, from one of many addresses that the client makes up."""
    head = f"HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {network}.{number % ADDRESSES}\r\n"
    if number // ADDRESSES % 2:
        return f"GET /admin/ {head}Authorization: {basic(user, password)}\r\n\r\n".encode()
    form = urlencode({"user": user, "password": password})
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
    return f"POST /admin/login {head}\r\n{form}".encode()


def flood(crowd: Crowd, logins: Sequence[bytes], held: int = PER_MINUTE) -> list[int]:
    """Send logins, a few more whenever those before are settled; return what was answered.

    Whoever is not answered is hung up on, but for the ``held`` whose answers wait for the next minute.
    """
    told: list[Visitor] = []
    waiting: list[Visitor] = []

    def settled() -> bool:
        waiting[:] = [one for one in waiting if not (one.over or one.heard)]
        return len(waiting) <= held

    for first in range(0, len(logins), AT_ONCE):
        asked = crowd.ask(logins[first : first + AT_ONCE])
        told += asked
        waiting += asked
        wait_until(settled, lambda: crowd.listen(0.1))
    return [one.status for one in told if one.heard]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = f"{CONFIG}{ADMIN}sinks: [{{type: database}}]\n"
    with Daemon(tmp_path_factory.mktemp("beside"), config, environ=OPERATOR) as daemon:
        yield daemon


@pytest.mark.parametrize("logins", [300, pytest.param(FLOOD, marks=pytest.mark.torture)])
def test_a_flood_of_logins_to_one_account_is_answered_ten_times_a_minute_and_harms_nobody(
    daemon: Daemon, logins: int, figures: Figures
) -> None:
    with Caller(daemon) as caller:
        quiet_ms, begun = caller.p99_ms(QUIET), time.monotonic()
        with Crowd(daemon.port) as crowd:
            answered = flood(crowd, [login("ann", f"wrong-{number}", number) for number in range(logins)])
            flood_ms, took_s = caller.p99_ms(), time.monotonic() - begun
            right = crowd.ask([login("ann", PASSWORD, number) for number in (0, ADDRESSES)])
            crowd.wait(right, b"\r\n\r\n")
    figures.add("logins, and how many were answered", f"{logins} in {took_s:.0f} s, {len(answered)}")
    figures.add("answers to others, p99 before and meanwhile", f"{quiet_ms:.1f} ms, {flood_ms:.1f} ms")
    assert set(answered) == {401}
    assert PER_MINUTE <= len(answered) <= PER_MINUTE * (1 + took_s // WINDOW_S)
    assert [one.status for one in right] == [303, 200]
    assert set(caller.statuses) == {200}
    if logins == FLOOD:
        assert flood_ms <= quiet_ms + LATER_MS


def test_addresses_that_a_trusted_proxy_names_are_told_apart(daemon: Daemon) -> None:
    with Crowd(daemon.port) as crowd:
        logins = [login(f"user-{number}", "wrong", number, "198.51.100") for number in range(ADDRESSES)]
        assert flood(crowd, logins, held=0) == [401] * ADDRESSES


def test_addresses_that_nobody_vouches_for_count_as_one(tmp_path: Path) -> None:
    config = f"{ECHO}{ADMIN}server: {{trusted_proxies: []}}\n"
    with Daemon(tmp_path, config, environ=OPERATOR) as daemon, Crowd(daemon.port) as crowd:
        answered = flood(crowd, [login(f"user-{number}", "wrong", number) for number in range(ADDRESSES)])
        assert answered == [401] * PER_MINUTE
        (right,) = asked = crowd.ask([login("ann", PASSWORD, ADDRESSES)])
        crowd.wait(asked, b"\r\n\r\n")
        assert right.status == 200


def recorded(daemon: Daemon, project: str) -> int:
    """Return how many requests of a project the database has records of."""
    with closing(sqlite3.connect(daemon.state / FILE)) as database:
        found = "SELECT count(*) FROM records JOIN texts ON texts.id = records.project WHERE texts.folded = ?"
        count: int = database.execute(found, [project]).fetchone()[0]
        return count


@pytest.mark.parametrize("held_s", [0.0, pytest.param(30.0, marks=pytest.mark.torture)])
def test_nobody_waits_for_a_database_that_is_held_and_nothing_is_lost(
    daemon: Daemon, held_s: float, figures: Figures
) -> None:
    """Callers with a token, whose requests are counted and recorded there, while log and pages are read."""
    headers = {"Authorization": basic("ann", PASSWORD)}
    with Caller(daemon) as caller, closing(sqlite3.connect(daemon.state / FILE, isolation_level=None)) as other:
        quiet_ms = caller.p99_ms(QUIET)
        other.execute("BEGIN IMMEDIATE")
        pages, before, until = 0, caller.statuses[200], time.monotonic() + held_s
        while caller.statuses[200] < before + HELD or time.monotonic() < until:
            for path in ("/api/logs?limit=100", "/admin/tokens", "/admin/audit", "/manage/tokens"):
                status, _, told = daemon.request("GET", path, None, MANAGE if "/manage" in path else headers)
                assert (status, b"locked" in told) == (200, False)
                pages += 1
        held_ms = caller.p99_ms()
        other.execute("COMMIT")
    asked, token = caller.statuses[200], caller.token
    daemon.wait_for(lambda: recorded(daemon, token["project_id"]) == asked)
    daemon.wait_for(lambda: manage(daemon, "GET", f"/manage/tokens/{token['id']}")[1]["request_count"] == asked)
    figures.add("requests, all recorded and counted afterwards", asked)
    figures.add("pages read while the database was held", pages)
    figures.add("answers, p99 before and meanwhile", f"{quiet_ms:.1f} ms, {held_ms:.1f} ms")
    assert set(caller.statuses) == {200}
    assert "locked" not in daemon.log()
    if held_s:
        assert held_ms <= quiet_ms + WAITS_MS


def test_a_change_that_a_held_database_keeps_waiting_is_done_or_refused_whole(daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.state / FILE, isolation_level=None)) as other, closing(daemon.connect()) as one:
        other.execute("BEGIN IMMEDIATE")
        one.request("POST", "/manage/projects", json.dumps({"name": "late"}), MANAGE)
        assert manage(daemon, "GET", "/manage/projects?q=late")[1]["data"] == []
        other.execute("COMMIT")
        assert one.getresponse().status == 201
    assert len(manage(daemon, "GET", "/manage/projects?q=late")[1]["data"]) == 1
