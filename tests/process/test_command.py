"""The command lines that start a worker or a successor, as this process was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from twisted.scripts._twistd_unix import ServerOptions

from netrunner.process.command import Started


def started(*arguments: str, config: str | None = "/etc/x.yaml") -> Started:
    twistd = ServerOptions()
    twistd["nodaemon"] = False
    return Started(["/opt/bin/twistd", *arguments], twistd, config)


def test_a_successor_keeps_twistd_s_options_but_no_pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = started(
        "-n", "--logfile", "x.log", "--pidfile=", "--pidfile=", "netrunner", "-c", "x.yaml", "--take-over", "5"
    ).successor({"HOME": "/", "WATCHDOG_PID": "7", "WATCHDOG_USEC": "1"}, 7, 3)
    assert command.arguments == [
        sys.executable, "/opt/bin/twistd", "-n", "--logfile", "x.log", "--pidfile=",
        "netrunner", "--config", "/etc/x.yaml", "--take-over", "7",
    ]  # fmt: skip
    assert command.environ == {"HOME": "/", "WATCHDOG_USEC": "1", "NETRUNNER_STDERR": "3"}
    assert command.folder == str(tmp_path)


def test_a_successor_is_the_program_as_it_stands_where_it_was_started_from(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "twistd").write_text("")
        (tmp_path / release / "twistd").chmod(0o755)
    current = tmp_path / "current"
    current.symlink_to("1")
    command = Started([str(current / "twistd"), "netrunner"], ServerOptions(), None)
    current.unlink()
    current.symlink_to("2")
    assert command.successor({}, 7, 3).arguments[0] == str(current / "twistd")
    # A worker runs the code of its supervisor.
    assert command.worker({}, 1).arguments[:2] == [sys.executable, str(tmp_path / "1" / "twistd")]


def test_without_a_configuration_a_successor_has_none() -> None:
    assert "--config" not in started("netrunner", config=None).successor({}, 7, 3).arguments


def test_a_worker_s_environment_has_what_python_needs_and_no_secret() -> None:
    environ = {"PATH": "/bin", "PYTHONPATH": "/x", "LC_ALL": "C", "OPENAI_API_KEY": "secret", "NOTIFY_SOCKET": "@x"}
    command = started("--logfile=x.log", "netrunner").worker(environ, 2)
    assert command.environ == {"PATH": "/bin", "PYTHONPATH": "/x", "LC_ALL": "C", "NETRUNNER_LISTEN_FDS": "4,5"}
    assert command.arguments[2:] == ["-n", "--pidfile=", "--logfile=-", "netrunner", "--worker", "3"]
