"""The commands that manage projects, tokens, secrets and the database, run as an operator runs them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import PATIENCE_S, ROOT, Daemon

pytestmark = pytest.mark.integration

CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
providers: {echo: {type: echo}, up: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: project}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
audit: {file: audit.jsonl}
"""
MANAGEMENT = "canary-management-token-0123456789"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


class Shell:
    """Runs ``netrunner`` beside a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.url = f"http://127.0.0.1:{daemon.port}"

    def run(
        self, *words: str, given: str = "", token: str = MANAGEMENT, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("netrunner")), *words],
            cwd=self.daemon.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MANAGEMENT_TOKEN": token, **environ},
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 3,
            check=False,
        )

    def json(self, command: str, *words: str, given: str = "", remote: bool = False) -> Any:
        """Run a command that succeeds; return what it tells."""
        where = ["--url", self.url] if remote else ["--config", str(self.daemon.config_path)]
        done = self.run(command, *where, "--json", *words, given=given)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)


@contextlib.contextmanager
def answering(told: bytes) -> Iterator[str]:
    """Listen and answer one request with the same bytes, whatever it asks; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(told)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("commands")
    with Daemon(folder, CONFIG, environ={"MANAGEMENT_TOKEN": MANAGEMENT}) as daemon:
        headers = {"Authorization": f"Bearer {MANAGEMENT}"}
        daemon.wait_for(lambda: daemon.request("GET", "/manage/projects", None, headers)[0] == 200)
        yield Shell(daemon)


@pytest.mark.parametrize("remote", [False, True], ids=["database", "api"])
def test_a_project_and_its_token_live_and_end(shell: Shell, remote: bool) -> None:
    key = "sk-canary-0123456789-0123456789"
    project = shell.json("project", "create", "--key", "up=-", "team", given=f"{key}\n", remote=remote)
    assert project["keys"] == {"up": ["sk-***6789"]}
    token = shell.json(
        "token", "create", "--duration-minutes", "5", "--max-requests", "9", project["id"], remote=remote
    )
    credential = {"Authorization": f"Bearer {token['token']}"}
    assert shell.daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0] == 200
    (row,) = shell.json("token", "list", "--project", project["id"], "--active", "yes", remote=remote)
    assert (row["id"], row["max_requests"]) == (token["id"], 9)
    shell.json("token", "revoke", "-", given=token["token"], remote=remote)
    assert shell.daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0] == 401
    changed = shell.json("project", "change", "--active", "no", "--name", "crew", project["id"], remote=remote)
    assert (changed["is_active"], changed["name"]) == (False, "crew")
    assert shell.json("project", "revoke-tokens", project["id"], remote=remote) == {"revoked": 0}
    shell.json("project", "delete", project["id"], remote=remote)
    assert project["id"] not in [one["id"] for one in shell.json("project", "list", remote=remote)]


@pytest.mark.parametrize("remote", [False, True], ids=["database", "api"])
def test_tokens_are_bound_refreshed_and_revoked_together(shell: Shell, remote: bool) -> None:
    project = shell.json("project", "create", "bulk", remote=remote)["id"]
    made = [shell.json("token", "create", "--duration-hours", "1", project, remote=remote) for _ in range(2)]
    changed = shell.json("token", "change", "--metadata", '{"team": "blue"}', made[0]["id"], remote=remote)
    assert changed["metadata"] == {"team": "blue"}
    told = shell.json("token", "refresh", "--duration-minutes", "5", made[0]["id"], remote=remote)
    credential = {"Authorization": f"Bearer {told['token']}", "X-PROXY-TEAM": "blue"}
    assert shell.daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0] == 200
    ids = [one["id"] for one in made]
    assert shell.json("token", "revoke", *ids, remote=remote) == {"revoked": 2}
    assert shell.daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0] == 401


def test_what_is_refused_is_told_in_one_sentence(shell: Shell) -> None:
    config = str(shell.daemon.config_path)
    done = shell.run("project", "--config", config, "show", "nobody")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "There is no such project.\n")
    done = shell.run("token", "--config", config, "create", "--limits", "{", "nobody")
    assert (done.returncode, done.stderr.startswith("limits: ")) == (1, True)
    done = shell.run("project", "--url", shell.url, "list", token="wrong")
    assert (done.returncode, done.stderr) == (1, "The management token is required.\n")
    done = shell.run("token", "--url", shell.url, "show", "no body?")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "There is no such token.\n")
    done = shell.run("token", "--url", "localhost:8080", "list")
    assert (done.returncode, done.stderr.partition(", got ")[2]) == (1, "'localhost:8080'\n")
    assert shell.run("project", "frobnicate").returncode == 2
    assert shell.run("project", "--url", shell.url, "--config", config, "list").returncode == 2


def test_who_is_no_netrunner_is_told_so(shell: Shell) -> None:
    for told in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"garbage\r\n\r\n"):
        with answering(told) as url:
            done = shell.run("project", "--url", url, "list")
        assert (done.returncode, done.stderr) == (1, f"{url} does not answer as netrunner does\n")


def test_the_management_token_goes_to_the_address_that_was_given_and_no_further(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        elsewhere = f"http://127.0.0.1:{other.getsockname()[1]}"
        assert shell.run("project", "--url", shell.url, "list", http_proxy=elsewhere).returncode == 0
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
        with answering(moved) as url:
            done = shell.run("project", "--url", url, "list")
        assert (done.returncode, done.stderr) == (1, "status 302\n")
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_lists_are_told_as_lines(shell: Shell) -> None:
    project = shell.json("project", "create", "shown")
    done = shell.run("project", "--config", str(shell.daemon.config_path), "list")
    assert f'{project["id"]}  true  {{"total":0,"active":0}}  shown' in done.stdout


def test_a_rotation_leaves_everything_readable_while_a_daemon_runs(shell: Shell) -> None:
    project = shell.json("project", "create", "--key", "up=-", "rotated", given="sk-canary-0123456789-0123456789")
    token = shell.json("token", "create", "--duration-hours", "1", project["id"])
    before = shell.json("secrets", "status")
    after = shell.json("secrets", "rotate")
    assert after["current_key"] != before["current_key"]
    assert after["sealed"] == {after["current_key"]: sum(before["sealed"].values())}
    assert after["problems"] == []
    credential = {"Authorization": f"Bearer {token['token']}"}
    assert shell.daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0] == 200
    assert shell.json("secrets", "seal")["changed"] == 0


def test_the_database_says_which_migration_it_is_of(shell: Shell, tmp_path: Path) -> None:
    status = shell.json("store", "status")
    assert status["migration"] == status["latest"]
    (tmp_path / "x.yaml").write_text(f"state: {json.dumps(str(tmp_path))}\nproviders: {{echo: {{type: echo}}}}\n")
    config = str(tmp_path / "x.yaml")
    assert shell.run("store", "--config", config, "status").returncode == 1
    done = shell.run("store", "--config", config, "migrate")
    assert (done.returncode, "migration 0003" in done.stdout) == (0, True)


def test_a_state_folder_that_is_not_there_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        f"state: {json.dumps(str(tmp_path / 'none'))}\nproviders: {{echo: {{type: echo}}}}\n"
    )
    done = shell.run("project", "--config", str(tmp_path / "x.yaml"), "list")
    assert (done.returncode, "none" in done.stderr, done.stderr.count("\n")) == (1, True, 1)


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of the audit's files by their ids."""
    told = [json.loads(line) for path in folder.glob("audit.jsonl*") for line in path.read_text().splitlines()]
    assert len({line["id"] for line in told}) == len(told)
    return {line["id"]: line for line in told}


def test_every_entry_of_the_audit_is_a_line_of_its_file_whoever_made_the_change(shell: Shell) -> None:
    daemon, key = shell.daemon, "sk-canary-0123456789-0123456789"
    path = daemon.folder / "audit.jsonl"
    headers = {"Authorization": f"Bearer {MANAGEMENT}"}
    project = shell.json("project", "create", "--key", "up=-", "told", given=key)["id"]
    assert shell.run("token", "--config", str(daemon.config_path), "revoke", "nobody").returncode == 1
    # As logrotate does it.
    path.rename(path.with_name("audit.jsonl-1"))
    wanted = {"project_id": project, "duration_hours": 1}
    token = json.loads(daemon.request("POST", "/manage/tokens", wanted, headers)[2])["token"]
    assert daemon.request("DELETE", "/manage/tokens/nobody", None, headers)[0] == 404
    _, _, told = daemon.request("GET", "/manage/audit?limit=1000", None, headers)
    entries = {entry["id"]: entry for entry in json.loads(told)["data"]}
    daemon.wait_for(lambda: len(lines(daemon.folder)) == len(entries))
    assert lines(daemon.folder) == entries
    assert {entry["actor"].partition(":")[0] for entry in entries.values()} == {"cli", "management"}
    for path in daemon.folder.glob("audit.jsonl*"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert not {one for one in (key, token, MANAGEMENT) if one in path.read_text()}


def test_a_change_that_the_audits_file_does_not_take_is_done_and_the_command_says_so(
    shell: Shell, tmp_path: Path
) -> None:
    config = tmp_path / "full.yaml"
    config.write_text(shell.daemon.config_path.read_text().replace("file: audit.jsonl", "file: /dev/full"))
    done = shell.run("project", "--config", str(config), "create", "untold")
    assert done.returncode == 1
    assert "It is done, but the audit tells of it in the database alone: " in done.stderr
    headers = {"Authorization": f"Bearer {MANAGEMENT}"}
    assert b"untold" in shell.daemon.request("GET", "/manage/projects?q=untold", None, headers)[2]


def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [str(Path(sys.executable).with_name("netrunner")), "plugins"]
    done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_S * 3, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
