"""Upgrades: a daemon starts its own successor, and nobody notices but whoever reads the log."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from netrunner import __version__
from tests.integration.test_handover import Load
from tests.support.daemon import ECHO
from tests.support.daemon import Executed as Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event
from tests.support.upgrades import end, replaced, serving

pytestmark = pytest.mark.integration


def upgrade(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """Run ``netrunner upgrade``."""
    program = str(Path(sys.executable).with_name("netrunner"))
    arguments = [program, "upgrade", "--state", str(daemon.state)]
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("workers", "upgrades"), [(1, 2), (2, 1)])
def test_upgrades_refuse_nobody_and_cut_no_stream(tmp_path: Path, workers: int, upgrades: int) -> None:
    pid_file = tmp_path / "netrunner.pid"
    with Provider() as provider, ExitStack() as opened:
        config = f"{provider.config}workers: {workers}\n"
        daemon = opened.enter_context(Daemon(tmp_path / "daemon", config, twistd=[f"--pidfile={pid_file}"]))
        streams = []
        for _ in range(6):
            client = opened.enter_context(dial(daemon.port))
            client.send(chat())
            upstream = opened.enter_context(provider.accept())
            upstream.message()
            upstream.send(STREAM_HEAD + event("before"))
            client.until(b"before")
            streams.append((client, upstream))
        load = Load(daemon.port, pace=200)
        with load.running():
            load.wait_for_more(50)
            told = upgrade(daemon)
            assert (told.returncode, told.stderr) == (0, "")
            pids = [daemon.pid, replaced(daemon, daemon.pid)]
            load.wait_for_more(50)
            while len(pids) <= upgrades:
                os.kill(pids[-1], signal.SIGUSR2)
                pids.append(replaced(daemon, pids[-1]))
                load.wait_for_more(50)
        assert load.failures == []
        for client, upstream in streams:
            upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
            assert b"after" in client.until(END_OF_BODY)
        assert daemon.wait() == 0
        assert pid_file.read_text() == str(pids[-1])
        assert daemon.notifications() == [f"MAINPID={pid}\nREADY=1" for pid in pids[1:]]
        end(pids[-1])
        assert not pid_file.exists()


def test_a_successor_that_does_not_start_leaves_the_old_one_and_is_told_why(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write_config("lisen: 1\n")
        told = upgrade(daemon)
        assert told.returncode == 1
        assert f"not upgraded, process {daemon.pid} goes on: it ended with status 1" in told.stderr
        assert "unknown key 'lisen'" in told.stderr
        daemon.write_config(ECHO)
        assert serving(daemon)["pid"] == daemon.pid
        assert daemon.request("GET", "/live")[0] == 200
        assert "not upgraded, this process goes on" in daemon.log()


def test_code_that_is_older_than_the_database_lets_nobody_in_and_is_neither_started_nor_taken_over_by(
    tmp_path: Path,
) -> None:
    config = f"access: {{mode: projects, management_token: canary}}\n{ECHO}"
    manage = {"Authorization": "Bearer canary"}
    newer = "The database is of a newer netrunner (migration 9999, this one knows "
    with Daemon(tmp_path, config) as daemon:
        assert daemon.request("GET", "/manage/projects", None, manage)[0] == 200
        with sqlite3.connect(daemon.state / "netrunner.sqlite3") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        told = upgrade(daemon)
        assert told.returncode == 1
        assert newer in told.stderr
        assert serving(daemon)["pid"] == daemon.pid
        assert daemon.request("GET", "/manage/projects", None, manage)[0] == 200
    again = Daemon(tmp_path / "again", config, state=daemon.state)
    again.start()
    assert again.wait() == 1
    assert f"netrunner cannot start:\n  {newer}" in again.log()
    assert "listening on" not in again.log()


def test_a_database_that_another_key_has_sealed_keeps_a_daemon_from_starting(tmp_path: Path) -> None:
    config = f"access: {{mode: projects, management_token: canary}}\n{ECHO}secrets: {{key: {{env: KEY}}}}\n"
    keys = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
    with Daemon(tmp_path, config, environ={"KEY": keys[0]}) as daemon:
        assert daemon.request("GET", "/manage/projects", None, {"Authorization": "Bearer canary"})[0] == 200
    other = Daemon(tmp_path / "other", config, state=daemon.state, environ={"KEY": keys[1]})
    other.start()
    assert other.wait() == 1
    assert "netrunner cannot start:\n  A secret in the database is sealed by the master key" in other.log()
    assert "listening on" not in other.log()


def test_status_tells_who_serves_where_and_that_nobody_does(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("netrunner"))
    with Daemon(tmp_path) as daemon:
        arguments = [program, "status", "--config", str(daemon.config_path)]
        told = subprocess.run(arguments, check=False, capture_output=True, text=True)
        listed = subprocess.run([*arguments, "--json"], check=True, capture_output=True, text=True)
    line = f"process {daemon.pid}, version {__version__}, serves at 127.0.0.1:{daemon.port}, 0 in progress\n"
    assert (told.returncode, told.stdout, told.stderr) == (0, line, "")
    at = [f"127.0.0.1:{daemon.port}"]
    process = {"pid": daemon.pid, "version": __version__, "listening": at, "draining": False, "inflight": 0}
    database = str(daemon.state / "netrunner.sqlite3")
    wanted = {"state": str(daemon.state), "database": database, "listen": at, "host": "localhost"}
    assert json.loads(listed.stdout) == {**wanted, "processes": [process]}
    told = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"nobody serves on the state folder {daemon.state}\n"


def test_nobody_to_upgrade_is_one_clear_line(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("netrunner"))
    arguments = [program, "upgrade", "--state", str(tmp_path)]
    told = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (1, f"netrunner: no netrunner runs on the state folder {tmp_path}\n")
