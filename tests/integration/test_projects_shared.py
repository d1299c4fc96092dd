"""Two daemons, each with a state folder of its own, one of them with two workers, that share PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from netrunner.process.control import ask
from netrunner.process.state import control_path
from tests.support.crowd import Figures
from tests.support.daemon import PATIENCE_S, Daemon
from tests.support.dialogue import Peer
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer
from tests.support.tenants import CONFIG, ENVIRON, MANAGE, chat, issue, manage, stalled

pytestmark = pytest.mark.integration


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
    """One that is managed, and another with two workers, which find the database by the variables of PostgreSQL."""
    folder = tmp_path_factory.mktemp("shared")
    config = f"{CONFIG}shared: {redis.url}\n"
    database = urlsplit(postgres.database())
    variables = {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "PGUSER": str(database.username)}
    one = Daemon(folder / "one", f"{config}store: {database.geturl()}\n", environ=ENVIRON)
    text = f"{config}store: postgresql://{database.path}\nworkers: 2\n"
    with one, Daemon(folder / "two", text, environ=ENVIRON | variables) as two:
        yield one, two


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


def command(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the database of a daemon."""
    name, *rest = words
    program = str(Path(sys.executable).with_name("netrunner"))
    return subprocess.run(
        [program, name, "--config", str(daemon.config_path), *rest],
        cwd=daemon.folder,
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )


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


def test_the_models_that_one_machine_allows_are_those_of_every_worker_of_the_other_from_the_next_request_on(
    machines: Two,
) -> None:
    one, two = machines
    told = issue(one)
    project = f"/manage/projects/{told['project_id']}"
    assert {chat(two, told["token"]) for _ in range(8)} == {(200, None)}
    for models, answer in ((["gpt-*", "local"], (403, "model_not_allowed")), (["gpt-*", "ec*"], (200, None))):
        assert manage(one, "PATCH", project, {"limits": {"models": models}})[0] == 200
        assert {chat(two, told["token"]) for _ in range(8)} == {answer}
    audited = manage(one, "GET", f"/manage/audit?project_id={told['project_id']}&action=project.change")[1]["data"]
    assert audited[0]["details"]["limits"] == {"models": ["gpt-*", "ec*"]}


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


def crowd(daemons: Sequence[Daemon], token: str, requests: int) -> list[int]:
    """Return the statuses of so many requests at once, to each of the daemons in turn."""
    with ThreadPoolExecutor(requests) as pool:
        return list(pool.map(lambda number: chat(daemons[number % len(daemons)], token)[0], range(requests)))


@pytest.mark.parametrize(("limit", "requests"), [(25, 60), pytest.param(120, 200, marks=pytest.mark.torture)])
def test_a_window_takes_exactly_as_many_as_it_may_from_every_worker_of_both_machines(
    machines: Two, limit: int, requests: int, figures: Figures
) -> None:
    told = issue(machines[0], limits={"requests_per_hour": limit})
    statuses = Counter(crowd(machines, told["token"], requests))
    figures.add(f"requests at once, and their answers with a window of {limit}", f"{requests}, {dict(statuses)}")
    assert statuses == {200: limit, 429: requests - limit}


@pytest.mark.parametrize(("limit", "requests"), [(25, 60), pytest.param(120, 200, marks=pytest.mark.torture)])
def test_a_cap_lets_exactly_so_many_in_by_every_worker_of_both_machines(
    machines: Two, limit: int, requests: int, figures: Figures
) -> None:
    told = issue(machines[0], max_requests=limit)
    let_in = Counter(crowd(machines, told["token"], requests))[200]
    figures.add(f"requests at once, and let in by a cap of {limit}", f"{requests}, {let_in}")
    assert let_in <= limit
    for _ in range(limit - let_in):
        # What a process took and did not spend comes back within a moment.
        machines[0].wait_for(lambda: chat(machines[0], told["token"])[0] == 200)
    assert chat(machines[0], told["token"]) == (429, "max_requests_exceeded")


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


def test_a_command_revokes_on_every_machine_that_shares_the_database_file(tmp_path: Path, redis: RedisServer) -> None:
    config = f"{CONFIG}store: 'sqlite:{tmp_path / 'shared.sqlite3'}'\nshared: {redis.url}\n"
    one, two = (Daemon(tmp_path / name, config, environ=ENVIRON) for name in ("one", "two"))
    with one, two:
        told, other = issue(one), issue(one)
        two.wait_for(lambda: chat(two, told["token"]) == (200, None))
        with stalled(two, told["token"]) as client:
            done = command(one, "token", "revoke", told["id"])
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert b"token_inactive" in client.rest()
        assert {chat(machine, told["token"]) for machine in (one, two)} == {(401, "token_inactive")}
        redis.kill()
        done = command(one, "token", "revoke", other["id"])
        redis.start()
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("It is done, but not every daemon has heard of it yet: Redis: ")
        assert done.stderr.count("\n") == 1
        assert chat(one, other["token"]) == (401, "token_inactive")
