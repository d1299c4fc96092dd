"""Callers beside a flood of logins (row 46), and beside somebody who holds the database (row 26)."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from netrunner.store.database import FILE
from tests.support.crowd import Crowd, Figures, Visitor
from tests.support.daemon import Daemon
from tests.support.dialogue import dial
from tests.support.tenants import CHAT, CONFIG, ENVIRON, issue

pytestmark = [pytest.mark.integration, pytest.mark.torture]

LOGINS = 10_000
ADDRESSES = 100
AT_ONCE = 100
ANSWERED = 10
"""Wrong credentials of one account that are answered in a minute."""
QUIET = 500
"""Answers while nothing else happens."""
PATIENCE_S = 120.0
HELD_S = 30.0
LATER_MS = 10.0
"""How much later an answer may come for a flood, at p99."""
WAITS_MS = 5.0
"""Likewise for a database that is held."""
OPERATOR = {**ENVIRON, "ADMIN_USER": "ann", "ADMIN_PASSWORD": secrets.token_urlsafe(16)}
ADMIN = "admin: {user: {env: ADMIN_USER}, password: {env: ADMIN_PASSWORD}}\n"


class Caller:
    """Sends a request every 10 ms on one connection, from a thread; a context manager.

    Args:
        daemon: What is asked.
    """

    def __init__(self, daemon: Daemon) -> None:
        token = issue(daemon, limits={"requests_per_hour": 10_000_000})["token"]
        body = json.dumps(CHAT)
        self._request = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self._port = daemon.port
        self._over = threading.Event()
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self.statuses: Counter[bytes] = Counter()
        self._took_ms: list[float] = []

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
        with dial(self._port) as client:
            while not self._over.wait(0.01):
                begun = time.monotonic()
                client.send(self._request)
                answer, _ = client.message()
                self.statuses[answer.split(b" ", 2)[1]] += 1
                with self._answered:
                    self._took_ms.append((time.monotonic() - begun) * 1000)
                    self._answered.notify_all()


def login(number: int, password: str) -> bytes:
    """Return a login from one of many addresses that the client makes up."""
    credential = base64.b64encode(f"ann:{password}".encode()).decode()
    address = f"X-Forwarded-For: 10.0.0.{number % ADDRESSES}"
    return f"GET /admin/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credential}\r\n{address}\r\n\r\n".encode()


@pytest.mark.parametrize("trusted", [False, True], ids=["addresses made up", "addresses vouched for"])
def test_a_flood_of_logins_is_answered_ten_times_a_minute_and_harms_nobody(
    tmp_path: Path, trusted: bool, figures: Figures
) -> None:
    proxies = "" if trusted else "server: {trusted_proxies: []}\n"
    with Daemon(tmp_path, f"{CONFIG}{ADMIN}{proxies}", environ=OPERATOR) as daemon, Caller(daemon) as caller:
        quiet_ms, begun = caller.p99_ms(QUIET), time.monotonic()
        told: list[Visitor] = []
        with Crowd(daemon.port) as crowd:
            waiting: list[Visitor] = []
            for first in range(0, LOGINS, AT_ONCE):
                asked = crowd.ask(login(number, f"wrong-{number}") for number in range(first, first + AT_ONCE))
                told, waiting = told + asked, waiting + asked
                until = time.monotonic() + PATIENCE_S
                while len(waiting) > 2 * ANSWERED:
                    assert time.monotonic() < until
                    crowd.listen(0.1)
                    waiting = [one for one in waiting if not (one.over or one.heard)]
            flood_ms, took_s = caller.p99_ms(), time.monotonic() - begun
            right = crowd.ask([login(0, OPERATOR["ADMIN_PASSWORD"])])
            crowd.wait(right, b"\r\n\r\n")
            answered = [one.status for one in told if one.heard]
        assert (right[0].status, set(answered)) == (200, {401})
    figures.add("logins, and how many were answered", f"{LOGINS} in {took_s:.0f} s, {len(answered)}")
    figures.add("answers to others, p99 before and meanwhile", f"{quiet_ms:.1f} ms, {flood_ms:.1f} ms")
    assert len(answered) <= ANSWERED * (1 + took_s / 60)
    assert set(caller.statuses) == {b"200"}
    assert flood_ms <= quiet_ms + LATER_MS


def test_nobody_waits_for_a_database_that_is_held_and_no_record_is_lost(tmp_path: Path, figures: Figures) -> None:
    """Callers with a token, whose requests are counted and recorded there, while the log is read all the time."""
    config = f"{CONFIG}{ADMIN}sinks: [{{type: database}}]\n"
    with Daemon(tmp_path, config, environ=OPERATOR) as daemon:
        with Caller(daemon) as caller:
            credential = base64.b64encode(f"ann:{OPERATOR['ADMIN_PASSWORD']}".encode()).decode()
            headers = {"Authorization": f"Basic {credential}"}
            other = sqlite3.connect(daemon.state / FILE, isolation_level=None)
            p99_ms = []
            with closing(other):
                for held in (False, True):
                    caller.p99_ms()
                    if held:
                        other.execute("BEGIN IMMEDIATE")
                    pages, until = 0, time.monotonic() + HELD_S
                    while time.monotonic() < until:
                        assert daemon.request("GET", "/api/logs?limit=100", None, headers)[0] == 200
                        assert daemon.request("GET", "/admin/tokens", None, headers)[0] == 200
                        pages += 2
                    p99_ms.append(caller.p99_ms())
                other.execute("COMMIT")
        asked = caller.statuses[b"200"]

        def kept() -> int:
            _, _, told = daemon.request("GET", "/api/stats", None, headers)
            return int(json.loads(told)["total_requests"])

        daemon.wait_for(lambda: kept() == asked)
        assert "locked" not in daemon.log()
    figures.add("requests, all of them in the database afterwards", asked)
    figures.add("pages read while it was held", pages)
    figures.add("answers, p99 before and while it was held", f"{p99_ms[0]:.1f} ms, {p99_ms[1]:.1f} ms")
    assert set(caller.statuses) == {b"200"}
    assert p99_ms[1] <= p99_ms[0] + WAITS_MS
