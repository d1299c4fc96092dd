"""The installer, as an operator runs it: into a prefix, over a release that serves, and back when the new one fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from netrunner import __version__
from tests.support.daemon import ROOT
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event
from tests.support.wheels import built, changed, dependencies, script, with_bytecode

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Machine:
    """What an operator has, with no network."""

    wheel: Path
    requirements: Path
    environ: Mapping[str, str]

    def install(self, prefix: Path, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the installer with nothing but Python's own library."""
        options = [f"--prefix={prefix}", f"--config={config}", "--no-systemd", f"--requirements={self.requirements}"]
        return subprocess.run(
            [sys.executable, "-S", "-m", "netrunner.install", *options, *words],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    environ = {
        **os.environ,
        "PYTHONPATH": str(dependencies(folder / "dependencies")),
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
    }
    source = folder / "source"
    source.mkdir()
    wheel = built(source)
    with_bytecode(wheel)
    return Machine(wheel, script(folder, "twistd", "twisted.scripts.twistd:run"), environ)


class Site:
    """An installation that serves, and the provider behind it.

    Args:
        machine: Where it is.
        folder: Holds everything of it.
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.prefix = folder / "opt"
        self.config = folder / "etc" / "netrunner.yaml"
        self.config.parent.mkdir()
        # pip is there already; `.ci/run` installs where it is not.
        tools = self.prefix / "tools" / "bin"
        tools.mkdir(parents=True)
        (tools / "pip").symlink_to(Path(sys.executable).with_name("pip"))
        # Whoever asks for any port is not given this one, and a daemon may have it nevertheless.
        self.reserved = socket.socket()
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.port: int = self.reserved.getsockname()[1]
        self.provider = Provider()
        self.config.write_text(f"listen: tcp:{self.port}:interface=127.0.0.1\nstate: var\n{self.provider.config}")

    def install(self, wheel: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Install a wheel."""
        return self.machine.install(self.prefix, self.config, f"--wheel={wheel}", *words)

    def do(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the installer for something else."""
        return self.machine.install(self.prefix, self.config, *words)

    def version(self) -> str:
        """Return the version that ``/health`` tells."""
        with dial(self.port) as client:
            client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            told: str = json.loads(client.message()[1])["version"]
            return told


@pytest.fixture(scope="module")
def site(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Have the release of this source serve; each test leaves it so."""
    site = Site(machine, tmp_path_factory.mktemp("site"))
    with site.provider, site.reserved:
        done = site.install(machine.wheel)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"netrunner {__version__} serves at 127.0.0.1:{site.port}\n"
        yield site
        done = site.do("uninstall", "--purge")
        assert (done.returncode, done.stderr) == (0, "")


def test_another_release_takes_over_without_cutting_a_stream_and_the_one_before_can_come_back(site: Site) -> None:
    with ExitStack() as opened:
        client = opened.enter_context(dial(site.port))
        client.send(chat())
        upstream = opened.enter_context(site.provider.accept())
        upstream.message()
        upstream.send(STREAM_HEAD + event("before"))
        client.until(b"before")
        done = site.install(changed(site.machine.wheel, "7.0.0", {}))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"netrunner 7.0.0 serves at 127.0.0.1:{site.port} in place of {__version__}\n"
        assert site.version() == "7.0.0"
        done = site.do("rollback")
        assert (done.returncode, done.stderr) == (0, "")
        assert site.version() == __version__
        upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
        assert b"after" in client.until(END_OF_BODY)


HEALTH = ("netrunner/web/pages.py", "return Answer(200, JSON, _encode(state))")


@pytest.mark.parametrize(
    ("version", "path", "before", "after", "patience_s", "told"),
    [
        ("8.0.0", "netrunner/tap.py", "    steady_time(reactor)\n", "    1 / 0\n", 60, "ZeroDivisionError"),
        ("9.0.0", *HEALTH, "return Answer(500, JSON, b'')", 8, "8 s"),
        ("9.1.0", *HEALTH, "import os; os._exit(3)", 60, "its process has ended"),
    ],
    ids=["does not start", "does not get healthy", "dies as soon as it serves"],
)
def test_a_release_that_does_not_serve_leaves_the_one_before(
    site: Site, version: str, path: str, before: str, after: str, patience_s: int, told: str
) -> None:
    done = site.install(changed(site.machine.wheel, version, {path: (before, after)}), f"--patience-s={patience_s}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert site.version() == __version__
    assert os.readlink(site.prefix / "current") == f"releases/{__version__}"
