"""Two daemons, each with a state folder of its own, one of them with two workers, that share PostgreSQL and Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netrunner.process.control import ask
from netrunner.process.state import control_path
from tests.support.daemon import PATIENCE_S, Daemon
from tests.support.dialogue import Peer, dial
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration

MANAGE = {"Authorization": f"Bearer {'m' * 32}"}
CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
secrets: {key: {env: NETRUNNER_SECRET_KEY}}
providers: {echo: {type: echo}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
"""
ENVIRON = {"MANAGEMENT_TOKEN": "m" * 32, "NETRUNNER_SECRET_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
STALLED = json.dumps({**CHAT, "messages": [{"role": "user", "content": "/echo stall=1 hi"}], "stream": True})


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


Two = tuple[Daemon, Daemon]


@pytest.fixture(scope="module")
def machines(postgres: Postgres, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """One that is managed, and another with two workers."""
    folder = tmp_path_factory.mktemp("shared")
    config = f"{CONFIG}store: {postgres.database()}\nshared: {redis.url}\n"
    two = Daemon(folder / "two", f"{config}workers: 2\n", environ=ENVIRON)
    with Daemon(folder / "one", config, environ=ENVIRON) as one, two:
        yield one, two


def manage(daemon: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, _, told = daemon.request(method, path, body, MANAGE)
    return status, json.loads(told) if told else None


def issue(daemon: Daemon, **wanted: Any) -> dict[str, Any]:
    """Issue a token of a project of its own."""
    project = manage(daemon, "POST", "/manage/projects", {"name": "team"})[1]["id"]
    status, told = manage(daemon, "POST", "/manage/tokens", {"project_id": project, "duration_hours": 1, **wanted})
    assert status == 201
    return dict(told)


def chat(daemon: Daemon, token: str) -> tuple[int, str | None]:
    """Return status and code of a chat's answer."""
    status, _, told = daemon.request("POST", "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {token}"})
    return status, json.loads(told).get("error", {}).get("code")


def stalled(daemon: Daemon, token: str) -> Peer:
    """Open a stream that says one word."""
    client = dial(daemon.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    client.send(f"{head}Content-Type: application/json\r\nContent-Length: {len(STALLED)}\r\n\r\n{STALLED}".encode())
    client.until(b'"content":"hi"')
    return client


def in_progress(daemon: Daemon) -> list[int]:
    """Return how much each worker of a daemon has in progress."""
    pids = [worker["pid"] for worker in daemon.control("workers")["workers"]]
    return [len(ask(control_path(daemon.state, pid), "inflight", {}, PATIENCE_S)["inflight"]) for pid in pids]


def everywhere(open_streams: ExitStack, daemon: Daemon, token: str) -> list[Peer]:
    """Open streams until every worker has one."""
    clients = [open_streams.enter_context(stalled(daemon, token))]
    while not all(in_progress(daemon)):
        assert len(clients) < 100
        clients.append(open_streams.enter_context(stalled(daemon, token)))
    return clients


def test_a_token_that_one_machine_revokes_is_refused_by_every_worker_of_the_other_and_its_streams_end(
    machines: Two,
) -> None:
    one, two = machines
    told = issue(one)
    with ExitStack() as open_streams:
        clients = everywhere(open_streams, two, told["token"])
        assert manage(one, "DELETE", "/manage/tokens", {"token": told["token"]}) == (204, None)
        for client in clients:
            rest = client.rest()
            assert b"token_inactive" in rest
            assert b"[DONE]" not in rest
        assert {chat(two, told["token"]) for _ in range(8)} == {(401, "token_inactive")}


def test_a_project_that_one_machine_deactivates_is_refused_by_every_worker_of_the_other(machines: Two) -> None:
    one, two = machines
    told = issue(two)
    with ExitStack() as open_streams:
        clients = everywhere(open_streams, two, told["token"])
        assert manage(one, "PATCH", f"/manage/projects/{told['project_id']}", {"is_active": False})[0] == 200
        assert all(b"project_inactive" in client.rest() for client in clients)
        assert {chat(two, told["token"]) for _ in range(8)} == {(403, "project_inactive")}


def test_an_alias_that_one_machine_registers_is_known_to_the_other(machines: Two) -> None:
    one, two = machines
    alias = {"name": "shared-name", "model": "m", "api_url": "https://llm.example/v1"}
    assert one.request("POST", "/register-model", alias, MANAGE)[0] == 200
    token = issue(one)["token"]

    def known() -> bool:
        _, _, listed = two.request("GET", "/v1/models", None, {"Authorization": f"Bearer {token}"})
        return "shared-name" in [model["id"] for model in json.loads(listed)["data"]]

    two.wait_for(lambda: all(known() for _ in range(8)))


def test_what_was_missed_while_nobody_heard_is_read_again(machines: Two, postgres: Postgres) -> None:
    one, two = machines
    told = issue(one)
    with ExitStack() as open_streams:
        clients = everywhere(open_streams, two, told["token"])
        postgres.restart()
        one.wait_for(lambda: manage(one, "DELETE", "/manage/tokens", {"token": told["token"]})[0] == 204)
        assert all(b"token_inactive" in client.rest() for client in clients)


def test_two_machines_on_one_database_file_hear_of_each_other_by_redis(tmp_path: Path, redis: RedisServer) -> None:
    config = f"{CONFIG}store: 'sqlite:{tmp_path / 'shared.sqlite3'}'\nshared: {redis.url}\n"
    one, two = (Daemon(tmp_path / name, config, environ=ENVIRON) for name in ("one", "two"))
    with one, two:
        told = issue(one)
        two.wait_for(lambda: chat(two, told["token"]) == (200, None))
        other = issue(one)
        with stalled(two, told["token"]) as heard, stalled(two, other["token"]) as missed:
            assert manage(one, "DELETE", f"/manage/tokens/{told['id']}") == (204, None)
            assert b"token_inactive" in heard.rest()
            redis.kill()
            assert manage(one, "DELETE", f"/manage/tokens/{other['id']}") == (204, None)
            redis.start()
            assert b"token_inactive" in missed.rest()
        assert "a change is heard of late" in one.log()
