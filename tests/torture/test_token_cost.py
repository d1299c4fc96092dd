"""What the check of a token costs a request, and what a million tokens in the database do."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from netrunner.store.database import FILE
from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.dialogue import Peer, dial
from tests.support.reception import Front, now
from tests.support.tenants import CHAT, CONFIG, ENVIRON, manage

pytestmark = [pytest.mark.integration, pytest.mark.torture]

TOKENS = 1_000_000
KNOWN = 10
"""Tokens that requests come with."""
ROUNDS, REQUESTS = 20, 500
OPEN = "providers: {echo: {type: echo}}\nmodels: [{name: echo, targets: [{provider: echo, model: echo}]}]\n"
FILL = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
INSERT INTO tokens (id, project, digest, masked, active, created_at, expires_at, taken, request_count, tokens_used,
  cost_used, limits, metadata)
SELECT printf('%09d', n), :project, randomblob(32), 'nr-***', 1, 0, 4e9, 0, 0, 0, 0, '{}', '{}' FROM numbers
"""


def cpu_us(daemon: Daemon) -> float:
    """Return the CPU time that the process's main thread has had, in microseconds."""
    return int(Path(f"/proc/{daemon.pid}/schedstat").read_text().split()[0]) / 1000


def tokens_of(daemon: Daemon) -> list[str]:
    """Issue tokens of one project that may do all they like."""
    daemon.wait_for(lambda: manage(daemon, "GET", "/manage/projects")[0] == 200)
    project = manage(daemon, "POST", "/manage/projects", {"name": "team"})[1]["id"]
    wanted = {"project_id": project, "duration_hours": 1, "limits": {"requests_per_hour": 10_000_000}}
    return [manage(daemon, "POST", "/manage/tokens", wanted)[1]["token"] for _ in range(KNOWN)]


def fill(daemon: Daemon) -> None:
    """Put a million more tokens into the daemon's database."""
    with sqlite3.connect(daemon.state / FILE, timeout=60.0) as database:
        (project,) = database.execute("SELECT id FROM projects").fetchone()
        database.execute(FILL, {"count": TOKENS, "project": project})
    database.close()


def asks(client: Peer, tokens: list[str]) -> None:
    """Send requests on one connection, each with the next token."""
    body = json.dumps(CHAT)
    for number in range(REQUESTS):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        fields = f"Content-Type: application/json\r\nAuthorization: Bearer {tokens[number % KNOWN]}\r\n\r\n"
        client.send(f"{head}{fields}{body}".encode())
        answer = client.until(b"\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_million_tokens_cost_a_request_nothing_and_the_check_of_its_own_little(
    tmp_path: Path, figures: Figures
) -> None:
    with ExitStack() as everything:
        few, many = (Daemon(tmp_path / name, CONFIG, environ=ENVIRON) for name in ("few", "many"))
        nobody = Daemon(tmp_path / "open", OPEN)
        daemons = {
            name: everything.enter_context(one) for name, one in (("few", few), ("many", many), ("open", nobody))
        }
        tokens = {"few": tokens_of(few), "many": tokens_of(many), "open": ["none"] * KNOWN}
        fill(many)
        clients = {name: everything.enter_context(dial(daemon.port)) for name, daemon in daemons.items()}
        took: dict[str, list[float]] = {name: [] for name in daemons}
        for turn in range(ROUNDS + 1):
            for name, daemon in daemons.items():
                before = cpu_us(daemon)
                asks(clients[name], tokens[name])
                if turn:
                    # The first round makes the tokens known.
                    took[name].append((cpu_us(daemon) - before) / REQUESTS)
        requests_us = {name: median(some) for name, some in took.items()}
    front = Front(tmp_path)
    token = front.token(front.project())[1]
    caller = now(front.reception.ask(token))
    begun = time.thread_time()
    for _ in range(100_000):
        front.reception.known(token)
        caller.check(0.0)
    check_us = (time.thread_time() - begun) * 10
    front.close()
    figures.add(
        f"CPU of a request, {KNOWN} tokens, and a million", f"{requests_us['few']:.0f} us, {requests_us['many']:.0f} us"
    )
    figures.add("likewise, open to all", f"{requests_us['open']:.0f} us")
    figures.add("of this the check of a known token", f"{check_us:.1f} us, {check_us / requests_us['few']:.1%}")
    assert requests_us["many"] <= requests_us["few"] * 1.05
    assert check_us <= requests_us["few"] * 0.1
