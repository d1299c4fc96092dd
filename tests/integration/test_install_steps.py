"""What the installer refuses, and what it asks of systemd: releases and systemctl are shell scripts here."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netrunner.install import command
from netrunner.install.building import TREE, Source
from netrunner.install.layout import Layout, Release
from tests.support.daemon import listening_socket

pytestmark = pytest.mark.integration

PROGRAM = """#!/bin/sh
case "$1" in
check) {check} ;;
status) cat <<'END'
{status}
END
;;
store) echo '{{"migration": "{migration}", "latest": "{latest}"}}'; exit 1 ;;
backup) touch "$4" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$1" in is-active) exit 3 ;; start) {start} ;; esac
"""
JOURNALCTL = """#!/bin/sh
case "$*" in *--unit=netrunner.service*) printf 'netrunner cannot start:\\n  no such luck\\n' ;; esac
"""


class Bench:
    """A prefix, a configuration, and what releases say.

    Args:
        folder: Holds all of it.
        monkeypatch: Takes the place of what makes releases.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.opened = ExitStack()
        self.prefix = folder / "opt"
        self.layout = Layout(self.prefix)
        self.config = folder / "etc" / "netrunner.yaml"
        self.config.parent.mkdir()
        self.config.write_text("listen: tcp:1\n")
        self.state = folder / "state"
        self.units = folder / "units"
        self.units.mkdir()
        self.status: dict[str, Any] = {
            "state": str(self.state),
            "database": str(self.state / "netrunner.sqlite3"),
            "listen": ["127.0.0.1:1"],
            "host": "localhost",
            "processes": [],
        }
        self.says = {"check": "true", "migration": "0003", "latest": "0003"}
        self._systemctl = folder / "systemctl"
        self._write(self._systemctl, SYSTEMCTL.format(start="true"))
        self._write(folder / "journalctl", JOURNALCTL)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(command, "build", self._build)

    def run(self, *words: str, systemd: bool = False) -> int:
        """Run the installer."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        options = [f"--prefix={self.prefix}", f"--config={self.config}", f"--units={self.units}", "--patience-s=1"]
        try:
            return command.main([*options, "--systemd" if systemd else "--no-systemd", *words])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def systemd_starts(self, script: str) -> None:
        """Say what ``systemctl start`` does."""
        self._write(self._systemctl, SYSTEMCTL.format(start=script))

    def linked(self) -> str:
        """Return the name of the release in use."""
        assert self.layout.current is not None
        return self.layout.current.name

    def asked(self) -> list[str]:
        """Return what systemctl was asked since last time."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def installed(self, name: str) -> Release:
        """Make a release that has served."""
        release = Release(self.layout.releases / name)
        release.path.mkdir(parents=True)
        self._build(Source(None, TREE, TREE / "conf"), release, self.layout.tools)
        release.prove()
        return release

    def _build(self, source: Source, release: Release, tools: Path) -> None:
        tools.mkdir(exist_ok=True)
        (release.path / "bin").mkdir(parents=True)
        templates = release.path / "templates"
        templates.mkdir()
        for name in ("netrunner.service", "netrunner.socket"):
            (templates / name).write_bytes((source.units / name).read_bytes())
        self._write(release.path / "bin" / "netrunner", PROGRAM.format(status=json.dumps(self.status), **self.says))
        self._write(release.path / "bin" / "twistd", "#!/bin/sh\necho no such luck >&2; exit 1\n")

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path, monkeypatch)
    with bench.opened:
        yield bench


def a_stranger_on_the_port(bench: Bench) -> str:
    stranger = bench.opened.enter_context(listening_socket())
    bench.status["listen"] = [f"127.0.0.1:{stranger.getsockname()[1]}"]
    return "is in use by another program"


def no_configuration(bench: Bench) -> str:
    bench.config.unlink()
    return "there is no configuration"


def a_configuration_that_is_not_taken(bench: Bench) -> str:
    bench.says["check"] = "echo 'x.yaml:1: unknown key' >&2; exit 1"
    return "does not take the configuration: x.yaml:1: unknown key"


def a_process_of_somebody_else(bench: Bench) -> str:
    bench.status["processes"] = [{"pid": os.getpid(), "draining": False, "listening": []}]
    return f"process {os.getpid()} serves by this configuration, and was not installed in"


def a_database_to_migrate(bench: Bench) -> str:
    bench.state.mkdir()
    (bench.state / "netrunner.sqlite3").touch()
    bench.says["migration"] = "0002"
    return "would migrate the database, which is of migration 0002"


def a_database_of_a_newer_release(bench: Bench) -> str:
    a_database_to_migrate(bench)
    bench.says["migration"] = "0009"
    return "the database is of a newer netrunner: migration 0009"


def a_daemon_that_does_not_start(bench: Bench) -> str:
    return "twistd: no such luck"


@pytest.mark.parametrize(
    "wrong",
    [
        a_stranger_on_the_port,
        no_configuration,
        a_configuration_that_is_not_taken,
        a_process_of_somebody_else,
        a_database_to_migrate,
        a_database_of_a_newer_release,
        a_daemon_that_does_not_start,
    ],
)
def test_what_cannot_be_installed_is_refused_in_one_line_and_nothing_is_left_of_it(
    bench: Bench, capsys: pytest.CaptureFixture[str], wrong: Callable[[Bench], str]
) -> None:
    told = wrong(bench)
    before = sorted(path for path in bench.folder.rglob("*") if bench.prefix not in path.parents)
    assert bench.run() == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert told in output.err
    assert output.err.count("\n") == 1
    assert [path for path in bench.folder.rglob("*") if path not in before] == []


def test_a_wheel_of_another_project_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = bench.folder / "other-1.0-py3-none-any.whl"
    wheel.touch()
    assert bench.run(f"--wheel={wheel}") == 1
    assert capsys.readouterr().err == f"netrunner: {wheel} is no wheel of netrunner\n"


def test_units_are_put_in_place_for_the_prefix_and_taken_away_when_the_service_does_not_start(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.config.parent / "auth_token").touch()
    seen = bench.folder / "seen"
    seen.mkdir()
    bench.status["listen"] = ["127.0.0.1:1", "unix:/run/n.sock"]
    bench.systemd_starts(f"cp {bench.units}/netrunner.* {seen}; echo it fails >&2; exit 1")
    assert bench.run(systemd=True) == 1
    assert capsys.readouterr().err == "netrunner: systemctl: it fails netrunner cannot start: no such luck\n"
    unit = (seen / "netrunner.service").read_text()
    start = f"{bench.prefix}/current/bin/twistd -n --pidfile= netrunner --config {bench.config}"
    assert re.findall("(?m)^ExecStart=(.*)$", unit) == [start]
    assert re.findall("(?m)^LoadCredential=(.*)$", unit) == [f"auth_token:{bench.config.parent}/auth_token"]
    socket = (seen / "netrunner.socket").read_text()
    assert re.findall("(?m)^ListenStream=(.*)$", socket) == ["127.0.0.1:1", "/run/n.sock"]
    names = "netrunner.service netrunner.socket"
    assert bench.asked() == [
        "is-active --quiet netrunner.socket",
        "daemon-reload",
        f"enable {names}",
        "start netrunner.socket netrunner.service",
        f"disable --now {names}",
        "daemon-reload",
        "stop netrunner.socket netrunner.service",
    ]
    assert list(bench.units.iterdir()) == []
    assert not bench.prefix.exists()


def test_a_unit_that_no_installer_has_made_is_not_written_over(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = bench.units / "netrunner.service"
    unit.write_text("[Unit]\n")
    assert bench.run(systemd=True) == 1
    assert capsys.readouterr().err == f"netrunner: {unit} is there, and not of an installer: remove it\n"
    assert unit.read_text() == "[Unit]\n"


def test_a_release_that_fails_leaves_the_link_to_the_one_before(bench: Bench) -> None:
    bench.layout.link("current", bench.installed("0.0.1"))
    assert bench.run() == 1
    assert bench.linked() == "0.0.1"
    assert [path.name for path in bench.layout.releases.iterdir()] == ["0.0.1"]


def test_what_a_killed_installer_has_linked_to_and_not_seen_serving_is_left(bench: Bench) -> None:
    bench.installed("0.0.1")
    cut_off = Release(bench.layout.releases / "0.0.2")
    cut_off.path.mkdir()
    bench.layout.link("current", cut_off)
    assert bench.run("rollback") == 1
    assert bench.linked() == "0.0.1"


def test_a_database_is_backed_up_by_the_release_before_it_is_migrated(bench: Bench) -> None:
    bench.layout.link("current", bench.installed("0.0.1"))
    a_database_to_migrate(bench)
    assert bench.run("--migrate") == 1
    (backup,) = (bench.prefix / "backups").iterdir()
    assert backup.name.endswith("-0.0.1.zip")


def test_uninstalling_leaves_state_and_configuration(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.layout.link("current", bench.installed("0.0.1"))
    bench.state.mkdir()
    bench.layout.log_file.parent.mkdir()
    bench.layout.log_file.touch()
    assert bench.run("uninstall") == 0
    assert f"{bench.config} and the state folder are kept" in capsys.readouterr().out
    assert bench.config.exists()
    assert bench.state.exists()
    assert [path.name for path in bench.prefix.iterdir()] == ["log"]


def test_purging_deletes_them_too(bench: Bench) -> None:
    bench.layout.link("current", bench.installed("0.0.1"))
    bench.state.mkdir()
    assert bench.run("uninstall", "--purge", systemd=True) == 0
    assert not bench.config.exists()
    assert not bench.state.exists()
    assert not bench.prefix.exists()


def test_uninstalling_what_is_not_installed_says_so(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("uninstall") == 1
    assert capsys.readouterr().err == f"netrunner: nothing is installed in {bench.prefix}\n"
    assert not bench.prefix.exists()


def test_one_installer_is_at_work_at_a_time(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with bench.layout.alone():
        assert bench.run() == 1
    assert capsys.readouterr().err == f"netrunner: another installer is at work in {bench.prefix}\n"


def test_old_releases_are_deleted_but_for_those_in_use(bench: Bench) -> None:
    releases = [bench.installed(f"0.0.{number}") for number in range(5)]
    bench.layout.link("current", releases[0])
    bench.layout.link("previous", releases[1])
    bench.layout.prune(2)
    assert sorted(path.name for path in bench.layout.releases.iterdir()) == ["0.0.0", "0.0.1", "0.0.3", "0.0.4"]


def test_what_the_page_types_is_understood() -> None:
    page = (TREE / "docs" / "how-to" / "install-as-a-service.md").read_text()
    typed = re.findall(r"(?m)^\$ (?:sudo )?python3 -m netrunner\.install(.*)$", page)
    understood = [command.parser().parse_args(shlex.split(words)).what for words in typed]
    assert understood == ["install", "install", "rollback", "install", "uninstall"]
    named = set(re.findall(r"--[a-z-]+", page)) - {"--find-links"}
    assert named <= set(re.findall(r"--[a-z-]+", command.parser().format_help()))
