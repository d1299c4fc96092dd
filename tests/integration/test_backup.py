"""``netrunner backup`` and ``netrunner restore``: made under a daemon at work, brought back and used elsewhere."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import PATIENCE_S, ROOT, Daemon
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

MANAGEMENT = "canary-management-token-0123456789"
ENVIRON = {"MANAGEMENT_TOKEN": MANAGEMENT}
CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
providers: {echo: {type: echo}, up: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: project}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
sinks: [{type: database}]
"""
KEY = "sk-canary-0123456789abcdef"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


def netrunner(command: str, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command about a configuration."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("netrunner")), command, "--config", str(config), *words],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ENVIRON},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )


def manage(daemon: Daemon, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {MANAGEMENT}"}
    status, _, answer = daemon.request("GET" if body is None else "POST", f"/manage{path}", body, headers)
    assert status in (200, 201), answer
    return json.loads(answer)


def chat(daemon: Daemon, token: str) -> int:
    return int(daemon.request("POST", "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {token}"})[0])


class Made:
    """A backup of a daemon that was answering, and what it knew."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.path = folder / "a.backup"
        with Daemon(folder / "daemon", CONFIG, environ=ENVIRON) as daemon:
            project = manage(daemon, "/projects", {"name": "team", "keys": {"up": KEY}})
            wanted = {"project_id": project["id"], "duration_hours": 1, "limits": {"requests_per_hour": 10_000_000}}
            self.token = manage(daemon, "/tokens", wanted)["token"]
            stop = threading.Event()
            statuses: list[int] = []

            def load() -> None:
                while not stop.is_set():
                    statuses.append(chat(daemon, self.token))

            caller = threading.Thread(target=load)
            caller.start()
            self.done = netrunner("backup", daemon.config_path, *words, "--json", str(self.path))
            self.beneath = netrunner("restore", daemon.config_path, str(self.path))
            stop.set()
            caller.join(PATIENCE_S)
            self.statuses = set(statuses)
            self.key = (daemon.state / "secret.key").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("backup"), "--with-key")


def restored(daemon: Daemon, path: Path) -> subprocess.CompletedProcess[str]:
    return netrunner("restore", daemon.config_path, "--json", str(path))


def test_a_backup_is_made_while_requests_are_answered(made: Made) -> None:
    assert (made.done.returncode, made.done.stderr, made.statuses) == (0, "", {200})
    assert json.loads(made.done.stdout)["tables"]["projects"] == 1
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


def test_secrets_in_a_backup_stay_sealed(made: Made) -> None:
    with zipfile.ZipFile(made.path) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist() if name.startswith("database/"))
    assert b"team" in whole
    assert KEY.encode() not in whole
    assert made.token.encode() not in whole


def test_nothing_is_restored_beneath_a_daemon(made: Made) -> None:
    assert made.beneath.returncode == 1
    assert "is used by another netrunner that runs" in made.beneath.stderr


def test_tokens_and_the_log_live_on_where_a_backup_is_restored(made: Made, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "other", CONFIG, environ=ENVIRON)
    done = restored(daemon, made.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["tables"] == json.loads(made.done.stdout)["tables"]
    again = restored(daemon, made.path)
    assert (again.returncode, "has a journal already" in again.stderr) == (1, True)
    with daemon:
        assert [one["name"] for one in manage(daemon, "/projects")["data"]] == ["team"]
        assert chat(daemon, made.token) == 200
        assert chat(daemon, made.token[:-1] + "x") == 401
        rows = json.loads(daemon.request("GET", "/api/logs?limit=1000")[2])
        assert len([row for row in rows if row["token"] is not None]) > 2


def test_a_backup_of_sqlite_is_restored_into_postgresql(made: Made, tmp_path: Path) -> None:
    with Postgres() as server:
        daemon = Daemon(tmp_path / "other", CONFIG + f"store: {json.dumps(server.url)}\n", environ=ENVIRON)
        done = restored(daemon, made.path)
        assert (done.returncode, done.stderr) == (0, "")
        with daemon:
            assert chat(daemon, made.token) == 200
            back = netrunner("backup", daemon.config_path, str(tmp_path / "back"))
            assert back.returncode == 0
            assert "secret.key is not in it" in back.stdout


def altered(made: Made, path: Path, **manifest: Any) -> Path:
    """Return a copy of the backup whose manifest says something else."""
    with zipfile.ZipFile(made.path) as whole, zipfile.ZipFile(path, "w") as copy:
        for name in whole.namelist():
            data = whole.read(name)
            copy.writestr(name, json.dumps(json.loads(data) | manifest) if name == "manifest.json" else data)
    return path


@pytest.mark.parametrize("manifest", [{"format": 2, "netrunner": "9.0"}, {"migration": "9999"}])
def test_a_backup_of_a_newer_netrunner_is_refused_and_leaves_nothing(
    made: Made, tmp_path: Path, manifest: dict[str, Any]
) -> None:
    daemon = Daemon(tmp_path / "other", CONFIG, environ=ENVIRON)
    done = restored(daemon, altered(made, tmp_path / "newer", **manifest))
    assert (done.returncode, done.stdout, "newer netrunner" in done.stderr) == (1, "", True)
    assert not (daemon.state / "netrunner.sqlite3").exists()
    assert restored(daemon, made.path).returncode == 0


def test_what_is_no_backup_or_a_damaged_one_is_refused(made: Made, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "other", CONFIG, environ=ENVIRON)
    data = bytearray(made.path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged, none = tmp_path / "damaged", tmp_path / "none"
    damaged.write_bytes(data)
    none.write_text("no backup")
    for path, why in ((damaged, "is damaged"), (none, "is no backup"), (tmp_path / "missing", "no such file")):
        done = restored(daemon, path)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
        assert done.stderr.count("\n") == 1


def test_a_file_that_is_there_is_never_written_over(made: Made, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "other", CONFIG, environ=ENVIRON)
    assert restored(daemon, made.path).returncode == 0
    there = tmp_path / "there"
    there.write_text("mine")
    done = netrunner("backup", daemon.config_path, str(there))
    assert (done.returncode, there.read_text()) == (1, "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "there"]
