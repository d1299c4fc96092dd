"""The shipped units under a systemd that is process 1: put in place by the installer, with ``conf/prod.yaml``."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from netrunner import __version__
from tests.integration.test_handover import LIVE, Load
from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, ROOT
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event
from tests.support.machine import Machine
from tests.support.wheels import built, changed, dependencies, installed_packages, script, with_bytecode

pytestmark = pytest.mark.integration

PORT = 8080
PYTHON = f"/opt/python/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
SECRETS = ("auth_token", "openai_api_key", "admin_user", "admin_password")
CONFIG = "/etc/netrunner/prod.yaml"
DROP_INS = "/etc/systemd/system/netrunner.service.d"
ENVIRON = {"PYTHONPATH": "/opt/dependencies", "PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1"}
GONE = ("/opt/netrunner", CONFIG, "/var/lib/private/netrunner", "/etc/systemd/system/netrunner.socket")
PAGE = (ROOT / "docs" / "how-to" / "install-as-a-service.md").read_text()
PROD = (ROOT / "conf" / "prod.yaml").read_text()
OPENAI = "https://api.openai.com/v1"
HEALTH = ("return Answer(200, JSON, _encode(state))", "import os; os._exit(3)")
_PAUSE = threading.Event()
"""Never set."""


def prepared() -> list[str]:
    """Return what the page has an operator type before netrunner is installed."""
    (shown, *_) = re.findall(r"(?s)```console\n(.*?)```", PAGE)
    typed = [line.replace("sudo ", "") for line in re.findall(r"(?m)^\$ (.*)$", shown)]
    assert typed.pop() == "python3 -m netrunner.install"
    (secret,) = (line for line in typed if SECRETS[0] in line)
    return [f"cd {ROOT} && {line}" for line in (*typed, *(secret.replace(SECRETS[0], name) for name in SECRETS[1:]))]


class Site:
    """A machine that netrunner is installed on, and the provider that it has there.

    Args:
        machine: It.
        wheel: Of this source.
        requirements: What else is installed.
        provider: The one that the configuration names.
    """

    def __init__(self, machine: Machine, wheel: Path, requirements: Path, provider: Provider) -> None:
        self.machine = machine
        self.wheel = wheel
        self.requirements = requirements
        self.provider = provider
        assert PROD.count(OPENAI) == 1
        self.config = PROD.replace(OPENAI, f"http://127.0.0.1:{provider.port}/v1")
        """What was shipped, for this provider."""
        self.token = machine.path("/etc/netrunner/auth_token").read_text().strip()

    def write(self, config: str) -> None:
        """Write the configuration."""
        self.machine.path(CONFIG).write_text(config)

    def installer(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the installer as the page says, but with nothing fetched."""
        command = [PYTHON, "-S", "-m", "netrunner.install", f"--requirements={self.requirements}", *words]
        return self.machine.run("sh", "-c", 'cd "$0"; exec "$@"', str(ROOT), *command, environ=ENVIRON)

    def netrunner(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command of the release in use, as root."""
        folders = {"CREDENTIALS_DIRECTORY": "/etc/netrunner"}
        program = ["/opt/netrunner/current/bin/netrunner", words[0], "--config", CONFIG, *words[1:]]
        return self.machine.run(*program, environ={**ENVIRON, **folders})

    @property
    def main(self) -> str:
        """The id of the process that systemd takes for the service; 0 for none."""
        return self.told("MainPID")

    def told(self, name: str) -> str:
        """Return a property of the service."""
        return self.machine.told("netrunner.service", name)

    def upgrade(self) -> str:
        """Have another process serve, as the unit tells how; return its id when it does."""
        before = self.main
        self.machine.systemctl("kill", "--kill-whom=main", "--signal=USR2", "netrunner")
        wait_for(lambda: self.main != before)
        return self.main

    def stop(self, streams: Sequence[tuple[Peer, Peer]]) -> None:
        """Stop the service; see that nothing is cut of streams that end one after the other."""
        self.machine.systemctl("stop", "--no-block", "netrunner.socket", "netrunner.service")
        wait_for(lambda: self.told("ActiveState") == "deactivating")
        for stream in streams:
            finish(*stream)
        # It has been asked already, and waits with us.
        self.machine.systemctl("stop", "netrunner.service")
        assert self.told("Result") == "success"

    def kill(self, signal: str, pid: str) -> None:
        """Send a signal."""
        assert self.machine.run("kill", f"-{signal}", pid).returncode == 0

    def alive(self) -> None:
        """See that a connection that is made now is answered."""
        with dial(PORT) as client:
            client.send(LIVE)
            assert client.message()[0].startswith(b"HTTP/1.1 200")

    def stream(self, opened: ExitStack, model: str = "gpt-4o") -> tuple[Peer, Peer]:
        """Open a stream that has begun; return both its ends."""
        client = opened.enter_context(dial(PORT))
        client.send(chat(f"Authorization: Bearer {self.token}", model=model))
        upstream = opened.enter_context(self.provider.accept())
        upstream.message()
        upstream.send(STREAM_HEAD + event("before"))
        client.until(b"before")
        return client, upstream


def finish(client: Peer, upstream: Peer) -> None:
    """End a stream, and see that nothing is missing of it."""
    upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
    assert b"after" in client.until(END_OF_BODY)


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until it has."""
    limit = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < limit
        _PAUSE.wait(0.05)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require_binary("openssl")
    folder = tmp_path_factory.mktemp("site")
    # The service sees no home folder, and Python may lie in one.
    shown = {
        ROOT: str(ROOT),
        folder: str(folder),
        Path(sys.base_prefix): "/opt/python",
        installed_packages(): "/opt/site",
    }
    with Machine(folder / "machine", shown) as machine:
        source = folder / "source"
        source.mkdir()
        wheel = built(source)
        with_bytecode(wheel)
        machine.path("/etc/ld.so.conf.d/python.conf").write_text("/opt/python/lib\n")
        assert machine.run("ldconfig").returncode == 0
        dependencies(machine.path("/opt/dependencies"), Path("/opt/site"))
        # pip is there already; `.ci/run` installs where it is not.
        tools = machine.path("/opt/netrunner/tools/bin")
        tools.mkdir(parents=True)
        (tools / "pip").symlink_to(Path(sys.executable).with_name("pip"))
        for line in prepared():
            assert machine.run("sh", "-c", line).returncode == 0, line
        machine.path(DROP_INS).mkdir()
        machine.path(f"{DROP_INS}/python.conf").write_text("[Service]\nEnvironment=PYTHONPATH=/opt/dependencies\n")
        with machine.network(), Provider() as provider:
            installed = Site(machine, wheel, script(folder, "twistd", "twisted.scripts.twistd:run"), provider)
            installed.write(installed.config)
            done = installed.installer(f"--wheel={wheel}")
            assert (done.returncode, done.stderr) == (0, ""), machine.journal()
            assert done.stdout == f"netrunner {__version__} serves at 127.0.0.1:{PORT}\n"
            yield installed
            done = installed.installer("uninstall", "--purge")
            assert (done.returncode, done.stderr) == (0, "")
            assert installed.told("LoadState") == "not-found"
            assert [name for name in GONE if machine.path(name).exists()] == []


@pytest.fixture
def site(installed: Site) -> Iterator[Site]:
    """Have the service run as it was installed; each test leaves it so, running or not."""
    installed.machine.systemctl("reset-failed")
    if installed.machine.told("netrunner.socket", "ActiveState") != "active":
        # systemd does not take a socket from a service that runs.
        installed.machine.systemctl("stop", "netrunner.service")
    installed.machine.systemctl("start", "netrunner.socket", "netrunner.service")
    yield installed
    assert "Traceback" not in installed.machine.journal()


def test_the_installer_changes_nothing_of_the_shipped_units_but_where_netrunner_is(site: Site) -> None:
    for name in ("netrunner.service", "netrunner.socket"):
        shipped = (ROOT / "conf" / name).read_text().replace("/opt/netrunner/bin/", "/opt/netrunner/current/bin/")
        assert site.machine.path(f"/etc/systemd/system/{name}").read_text() == shipped
        assert site.machine.told(name, "UnitFileState") == "enabled"


def test_a_service_that_is_started_serves_when_systemctl_returns(site: Site) -> None:
    site.machine.systemctl("stop", "netrunner.socket", "netrunner.service")
    # Nothing holds connections until it listens itself.
    site.machine.systemctl("start", "netrunner.service")
    site.alive()


def test_a_configuration_that_is_wrong_fails_the_start_and_the_journal_says_why(site: Site) -> None:
    site.machine.systemctl("stop", "netrunner.socket", "netrunner.service")
    site.write(f"{site.config}lisen: 1\n")
    try:
        assert site.machine.run("systemctl", "start", "netrunner.service").returncode == 1
        assert site.told("ActiveState") != "active"
        assert "netrunner cannot start:\n" in site.machine.journal()
        assert "unknown key 'lisen'" in site.machine.journal()
    finally:
        site.machine.systemctl("stop", "netrunner.service")
        site.write(site.config)


def test_the_first_connection_starts_the_service_and_is_answered(site: Site) -> None:
    site.machine.systemctl("stop", "netrunner.service")
    assert site.main == "0"
    site.alive()
    assert site.main != "0"


def test_a_reload_takes_a_new_configuration_and_refuses_a_wrong_one_with_no_stream_cut(site: Site) -> None:
    main = site.main
    renamed = site.config.replace("{name: gpt-4o-mini,", "{name: another,")
    with ExitStack() as opened:
        first = site.stream(opened)
        site.write(renamed)
        site.machine.systemctl("reload", "netrunner")
        wait_for(lambda: "configuration reloaded" in site.machine.journal())
        second = site.stream(opened, "another")
        site.write(f"{renamed}lisen: 1\n")
        site.machine.systemctl("reload", "netrunner")
        wait_for(lambda: "not reloaded, the old configuration stays" in site.machine.journal())
        third = site.stream(opened, "another")
        for stream in (first, second, third):
            finish(*stream)
    assert site.main == main
    site.write(site.config)
    site.machine.systemctl("restart", "netrunner")


def test_stopping_waits_for_an_open_stream(site: Site) -> None:
    with ExitStack() as opened:
        site.stop([site.stream(opened)])


def test_stopping_waits_for_the_streams_of_a_process_that_has_been_replaced_as_well(site: Site) -> None:
    site.write(f"{site.config}workers: 2\n")
    site.machine.systemctl("restart", "netrunner")
    with ExitStack() as opened:
        old = site.stream(opened)
        site.upgrade()
        site.stop([site.stream(opened), old])
    site.write(site.config)


def test_stopping_waits_for_an_open_stream_when_the_process_that_systemd_has_started_is_gone(site: Site) -> None:
    old = site.main
    site.upgrade()
    wait_for(lambda: not site.machine.path(f"/proc/{old}").exists())
    with ExitStack() as opened:
        site.stop([site.stream(opened)])


def test_an_upgrade_refuses_nobody_and_cuts_no_stream_and_systemd_follows(site: Site) -> None:
    with ExitStack() as opened:
        stream = site.stream(opened)
        load = Load(PORT, pace=100)
        with load.running():
            load.wait_for_more(20)
            site.upgrade()
            done = site.netrunner("upgrade")
            assert (done.returncode, done.stderr) == (0, "")
            load.wait_for_more(20)
        assert load.failures == []
        finish(*stream)
    assert site.told("ActiveState") == "active"
    assert f"process {site.main}," in site.netrunner("status").stdout


def test_a_process_that_is_killed_is_started_again_and_who_asks_meanwhile_waits(site: Site) -> None:
    killed = site.main
    site.kill("KILL", killed)
    site.alive()
    assert site.main not in ("0", killed)


@pytest.fixture
def watched(site: Site) -> Iterator[Site]:
    """Have systemd be impatient."""
    path = site.machine.path(f"{DROP_INS}/watchdog.conf")
    path.write_text("[Service]\nWatchdogSec=3\n")
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", "netrunner.service")
    yield site
    path.unlink()
    site.machine.systemctl("daemon-reload")


def test_one_that_hangs_is_killed_and_started_again_and_a_successor_is_watched_as_well(watched: Site) -> None:
    successor = watched.upgrade()
    for _ in range(2):
        beat = watched.told("WatchdogTimestampMonotonic")
        wait_for(lambda: watched.told("WatchdogTimestampMonotonic") != beat)  # noqa: B023 - called at once
    watched.kill("STOP", successor)
    watched.alive()
    assert watched.main not in ("0", successor)
    assert "Watchdog timeout" in watched.machine.journal()


def test_a_successor_that_dies_is_noticed_while_the_old_one_still_drains(watched: Site) -> None:
    before = watched.main
    with ExitStack() as opened:
        client, _ = watched.stream(opened)
        successor = watched.upgrade()
        watched.kill("KILL", successor)
        watched.alive()
        assert watched.main not in ("0", before, successor)
        # The old one had to go, since one alone has the state folder.
        assert client.gone()


def test_what_is_done_is_on_record_and_the_process_can_do_nothing_else(site: Site) -> None:
    records = site.machine.path("/var/log/private/netrunner/requests.jsonl")
    before = records.read_text()
    with ExitStack() as opened:
        finish(*site.stream(opened))
    wait_for(lambda: records.read_text() != before)
    assert '"endpoint":"/v1/chat/completions"' in records.read_text().removeprefix(before)
    status = site.machine.path(f"/proc/{site.main}/status").read_text()
    allowed = dict(re.findall(r"(?m)^(NoNewPrivs|CapEff|CapBnd|Uid):\t(\w+)", status))
    assert (allowed["NoNewPrivs"], int(allowed["CapEff"], 16), int(allowed["CapBnd"], 16)) == ("1", 0, 0)
    assert int(allowed["Uid"]) > 60000


def test_another_release_takes_over_without_cutting_a_stream_and_the_one_before_can_come_back(site: Site) -> None:
    newer = changed(site.wheel, "7.0.0", {})
    with ExitStack() as opened:
        stream = site.stream(opened)
        done = site.installer(f"--wheel={newer}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"netrunner 7.0.0 serves at 127.0.0.1:{PORT} in place of {__version__}\n"
        assert "/releases/7.0.0/" in site.machine.path(f"/proc/{site.main}/cmdline").read_text()
        done = site.installer("rollback")
        assert (done.returncode, done.stderr) == (0, "")
        finish(*stream)
    assert f"/releases/{__version__}/" in site.machine.path(f"/proc/{site.main}/cmdline").read_text()


@pytest.mark.torture
def test_a_release_that_dies_as_soon_as_it_serves_leaves_the_one_before(site: Site) -> None:
    dying = changed(site.wheel, "9.0.0", {"netrunner/web/pages.py": HEALTH})
    done = site.installer(f"--wheel={dying}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "its process has ended" in done.stderr
    site.alive()
    assert f"/releases/{__version__}/" in site.machine.path(f"/proc/{site.main}/cmdline").read_text()
