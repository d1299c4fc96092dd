"""What processes are given, and what they leave behind when they die: no key (row 3)."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.canaries import found, hidden_in
from tests.support.daemon import PATIENCE_S, ROOT
from tests.support.daemon import Executed as Daemon
from tests.support.forkserver import Forked
from tests.support.logserver import LogServerProcess

pytestmark = pytest.mark.integration

CANARIES = {
    "UP_KEY": "canary-of-the-provider-5d1f",
    "TOKEN": "canary-of-the-caller-77ab",
    "PASSWORD": "canary-of-the-operator-3e09",
    "MANAGEMENT": "canary-of-the-manager-c0de-0123456789",
    "STORE": "Y2FuYXJ5LW9mLXRoZS1zdG9yZS1zZWNyZXQtMDEyMzQ=",
}
CONFIG = """
workers: 2
access: {mode: token, token: TOKEN, management_token: MANAGEMENT}
admin: {user: ada, password: PASSWORD}
secrets: {key: STORE}
providers: {echo: {type: echo}, up: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: UP_KEY}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
sinks: [{type: database}, {type: jsonl, path: lines}]
"""
WATCH = """
import os, pathlib, sys
told = pathlib.Path({folder!r}, f"{{os.getpid()}}")
told.write_bytes("\\0".join(sys.orig_argv).encode() + b"\\0\\0" + pathlib.Path("/proc/self/environ").read_bytes())
"""
"""Python imports it before anything else: what a process is started by, and the environment it is given."""


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[None]:
    """Let processes that nobody forbids it dump their core, which the kernel tells of (wait(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("no process may dump its core here")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    other = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], cwd=tmp_path)
    assert end_of(other) == os.CLD_DUMPED
    for core in tmp_path.glob("core*"):
        core.unlink()
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def end_of(process: subprocess.Popen[bytes] | Forked) -> int:
    """Wait for the end of a process; return how it ended, as ``waitid(2)`` has it."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait()
    assert ended is not None
    return ended.si_code


def config(given: Mapping[str, str]) -> str:
    """Return a configuration with what a secret is given by in the place of its name."""
    text = CONFIG
    for name, reference in given.items():
        text = text.replace(f": {name}", f": {reference}")
    return text


def by_file(folder: Path) -> str:
    """Return a configuration whose secrets stand in files."""
    folder.mkdir()
    for name, value in CANARIES.items():
        (folder / name).write_text(value)
    return config({name: f"{{file: {json.dumps(str(folder / name))}}}" for name in CANARIES})


def watched(folder: Path) -> dict[str, str]:
    """Return the environment of a daemon all of whose processes tell of theirs in a folder."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WATCH.format(folder=str(folder)))
    return {"PYTHONPATH": f"{folder}:{ROOT}", "PYTHONFAULTHANDLER": "1"}


def ask(daemon: Daemon) -> None:
    """Have something relayed and recorded."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    credential = {"Authorization": f"Bearer {CANARIES['TOKEN']}"}
    assert daemon.request("POST", "/v1/chat/completions", body, credential)[0] == 200


def family(pid: int) -> list[int]:
    """Return the id of a process, and those of all its descendants."""
    children: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # one that has ended since
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def shown(pid: int) -> bytes:
    """Return what a process shows of its start; to nobody but root what it was given (prctl(2))."""
    told = Path(f"/proc/{pid}/cmdline").read_bytes()
    with suppress(PermissionError):
        told += Path(f"/proc/{pid}/environ").read_bytes()
    return told


def serving(daemon: Daemon) -> list[int]:
    """Return the ids of the workers, once both serve."""
    daemon.wait_for(lambda: [one["serves"] for one in daemon.control("workers")["workers"]] == [True, True])
    return [one["pid"] for one in daemon.control("workers")["workers"]]


def gone(daemon: Daemon, pid: int) -> None:
    """Wait until a process of the daemon is no more."""
    daemon.wait_for(lambda: pid not in family(daemon.pid))


def test_processes_that_crash_leave_no_key_behind(tmp_path: Path, cores: None) -> None:
    text = by_file(tmp_path / "keys")
    daemon = Daemon(tmp_path / "daemon", text, environ=watched(tmp_path / "started"))
    with daemon:
        for number in (signal.SIGSEGV, signal.SIGABRT):
            ask(daemon)
            worker = serving(daemon)[0]
            os.kill(worker, number)
            gone(daemon, worker)
        workers = [os.pidfd_open(pid) for pid in serving(daemon)]
        told = b"".join(map(shown, family(daemon.pid)))
        daemon.signal(signal.SIGSEGV)
        assert end_of(daemon.process) == os.CLD_KILLED
        for worker in workers:
            assert select.select([worker], [], [], PATIENCE_S)[0]
            os.close(worker)
    assert "Fatal Python error: Segmentation fault" in daemon.log()
    assert "Fatal Python error: Aborted" in daemon.log()
    assert hidden_in(told, CANARIES.values()) == []
    assert found(daemon.folder, *CANARIES.values()) == []
    assert found(tmp_path / "started", *CANARIES.values()) == []
    assert list(daemon.folder.glob("core*")) == []


def started(folder: Path, part: str) -> bytes:
    """Return the environments of the processes that were started with ``part`` in their command line."""
    told = [path.read_bytes().split(b"\0\0", 1) for path in folder.iterdir() if path.name.isdigit()]
    return b"".join(environ for command, environ in told if part.encode() in command)


def test_keys_that_come_by_the_environment_are_handed_to_no_child(tmp_path: Path) -> None:
    environ = {**watched(tmp_path / "started"), **CANARIES}
    with Daemon(
        tmp_path / "daemon", config({name: f"{{env: {name}}}" for name in CANARIES}), environ=environ
    ) as daemon:
        ask(daemon)
        nursery_and_workers = family(daemon.pid)[1:]
        assert len(nursery_and_workers) == 3
        told = b"".join(map(shown, nursery_and_workers))
    given = {part: started(tmp_path / "started", part) for part in ("--config", "--worker", "netrunner.store.migrate")}
    assert hidden_in(given.pop("--config"), CANARIES.values()) == list(CANARIES.values())
    assert all(given.values())
    assert hidden_in(told + b"".join(given.values()), CANARIES.values()) == []
    assert found(tmp_path / "daemon", *CANARIES.values()) == []


def test_the_logging_server_neither_tells_its_token_nor_dumps_it(tmp_path: Path, cores: None) -> None:
    (tmp_path / "token").write_text(CANARIES["TOKEN"])
    folder = tmp_path / "server"
    folder.mkdir()
    arguments = ["--token-file", str(tmp_path / "token")]
    with LogServerProcess(folder, arguments=arguments, within=["env"]) as server:  # executed, not forked
        told = shown(server.process.pid)
        server.process.send_signal(signal.SIGSEGV)
        assert end_of(server.process) == os.CLD_KILLED
    assert hidden_in(told, CANARIES.values()) == []
    assert found(folder, *CANARIES.values()) == []
    assert list(folder.glob("core*")) == []


BROKEN = """
import dataclasses

from zope.interface import implementer

from netrunner.interfaces import IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings


@implementer(IProvider)
class Broken:
    dialect = "openai"

    def __init__(self, settings, environment):
        self.settings = settings

    def serves(self, endpoint, named):
        return True

    def build(self, call):
        key = self.settings.api_key.reveal()
        assert len(key) > 10
        raise RuntimeError(f"{self.settings} and {call.headers}")


broken = ProviderFactory(name="broken", build=Broken, settings=ProviderSettings, doc="Fails with a key in its hands.")
"""


def test_a_plugin_that_fails_with_a_key_in_its_hands_tells_what_failed_and_not_the_key(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "broken.py").write_text(BROKEN)
    text = by_file(tmp_path / "keys").replace("workers: 2", f"plugins: {{directories: [{json.dumps(str(plugins))}]}}")
    text = text.replace("type: openai,", "type: broken,").replace(
        "models: [", "models: [{name: m, targets: [{provider: up, model: m}]}, "
    )
    daemon = Daemon(tmp_path / "daemon", text)
    credential = {"Authorization": f"Bearer {CANARIES['TOKEN']}"}
    told = []
    with (
        pytest.raises(AssertionError, match=r"RuntimeError: ProviderSettings\("),
        daemon,
    ):  # what its log is searched for
        told.append(daemon.request("POST", "/v1/chat/completions", {"model": "m", "messages": []}, credential))
    status, _, body = told[0]
    assert (status, json.loads(body)["error"]["code"]) == (500, "proxy_error")
    assert hidden_in(body, CANARIES.values()) == []
    assert found(daemon.folder, *CANARIES.values()) == []
