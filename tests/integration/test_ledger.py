"""The ledger promise, held against a daemon that is killed, or has no room, or a disk that fails."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
from pathlib import Path

import pytest

from netrunner.journal.copies import Copies
from netrunner.journal.logs import newest_first
from netrunner.journal.recovery import is_ended
from netrunner.journal.verify import journals, verify
from netrunner.values import Record
from tests.support.binaries import require_binary
from tests.support.daemon import Daemon
from tests.support.reconcile import REPLY, Callers, CountingProvider, body_of

pytestmark = pytest.mark.integration
CLIENTS = 50


def config(port: int, more: str = "") -> str:
    return (
        f"providers: {{up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', repair: false}}}}\n"
        f"models: [{{name: m, targets: [{{provider: up, model: m}}]}}]\nsinks: []\n{more}"
    )


def by_request_id(state: Path) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in newest_first(state):
        assert record.request_id not in found, "recorded twice"
        found[record.request_id] = record
    return found


def wait_for_recovery(daemon: Daemon) -> None:
    own = daemon.control("status")["boot_id"]
    others = [folder for folder in journals(daemon.state) if folder.name != own]
    daemon.wait_for(lambda: all(map(is_ended, others)))


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.torture)])
def test_a_killed_daemon_loses_nothing_acknowledged_and_calls_nobody_unrecorded(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    acknowledged: list[str] = []
    with CountingProvider() as provider:
        text = config(provider.port, "journal: {segment_bytes: 300000}\n")
        for kill in range(kills):
            daemon = Daemon(tmp_path / "daemon", text)
            daemon.__enter__()
            with Callers(daemon.port, f"k{kill}", CLIENTS) as callers:
                callers.wait_for(chance.randrange(1, 3 * CLIENTS))
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            daemon._supervisor.close()
            daemon.assert_clean_log()
            acknowledged += callers.acknowledged
        with Daemon(tmp_path / "daemon", text) as daemon:
            wait_for_recovery(daemon)
            records = by_request_id(daemon.state)
            assert [id for id in acknowledged if records[id].outcome != "done"] == []
            assert [id for id in provider.seen if id not in records] == []
            assert {one.outcome for one in records.values()} <= {"done", "interrupted", "client_gone"}
            assert all(one.response_copy is not None for one in records.values() if one.outcome == "done")
            assert [finding for folder in journals(daemon.state) for finding in verify(folder, True)] == []
            whole = records[acknowledged[0]].response_copy
            assert whole is not None
            assert b"".join(Copies(daemon.state / "journal").pieces(whole)) == body_of(REPLY)


def test_with_durability_disk_requests_are_answered_and_recorded(tmp_path: Path) -> None:
    with CountingProvider() as provider:
        daemon = Daemon(tmp_path / "daemon", config(provider.port, "journal: {durability: disk}\n"))
        with daemon, Callers(daemon.port, "d", 8) as callers:
            callers.wait_for(200)
            daemon.signal(signal.SIGTERM)
            daemon.wait()
        records = by_request_id(daemon.state)
        assert [id for id in callers.acknowledged if records[id].outcome != "done"] == []
        assert [id for id in provider.seen if id not in records] == []
        assert [finding for folder in journals(daemon.state) for finding in verify(folder)] == []


SMALL = """
mount -t tmpfs -o size=8m,mode=0700 tmpfs "$0" || exit 77
exec "$@"
"""


class SmallDisk(Daemon):
    """A daemon whose state folder is a disk of 8 MiB."""

    def start(self) -> None:
        """Start it in a mount namespace of its own."""
        self.state.mkdir(exist_ok=True)
        self._arguments = ["unshare", "-rm", "sh", "-c", SMALL, str(self.state), *self._arguments]
        super().start()
        self.state = Path(f"/proc/{self.process.pid}/root{self.state}")


def test_a_full_disk_refuses_before_the_provider_is_called_and_loses_nothing(tmp_path: Path) -> None:
    require_binary("unshare")
    with CountingProvider() as provider:
        text = config(provider.port, "journal: {segment_bytes: 1048576}\nserver: {max_streams: 500}\n")
        with SmallDisk(tmp_path / "daemon", text) as daemon:
            with Callers(daemon.port, "first", 20) as callers:
                callers.wait_for(20)
                ballast = daemon.state / "ballast"
                fill(ballast)
                callers.wait_for_refusals(50)
                seen = len(provider.seen)
                assert set(callers.refused) == {503}
                assert daemon.request("GET", "/health")[0] == 200
                ballast.unlink()
                callers.wait_for(len(callers.acknowledged) + 50)
                assert len(provider.seen) > seen
                callers.stop()
            records = by_request_id(daemon.state)
            assert [id for id in callers.acknowledged if records[id].outcome != "done"] == []
            assert [id for id in provider.seen if id not in records] == []
            refused = [one for one in records.values() if one.error == "journal_full"]
            assert len(refused) > 0
            assert all(one.attempts == [] or one.request_id not in provider.seen for one in refused)


def fill(path: Path) -> None:
    """Write a file until the disk has no room."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (65536, 512):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_disk_that_fails_now_and_then_loses_nothing(tmp_path: Path) -> None:
    require_binary("fiu-run")
    with CountingProvider() as provider:
        daemon = Faulty(tmp_path / "daemon", config(provider.port))
        with daemon, Callers(daemon.port, "f", 8) as callers:
            callers.wait_for(1500)
            callers.stop()
        records = by_request_id(daemon.state)
        assert [id for id in callers.acknowledged if records[id].outcome != "done"] == []
        assert [id for id in provider.seen if id not in records] == []
        assert "the journal could not be written" in daemon.log()


class Faulty(Daemon):
    """A daemon for which one write in a hundred fails."""

    def start(self) -> None:
        """Start it under fiu-run."""
        fault = "enable_random name=posix/io/rw/write,probability=0.01,failinfo=5"
        self._arguments = ["fiu-run", "-x", "-c", fault, *self._arguments]
        super().start()

    def assert_clean_log(self) -> None:
        """Leave aside that the fault strikes the reactor's own pipe as well, by which threads wake it."""
        log = self.log()
        assert "Traceback" not in re.sub(r"Unhandled Error\n(\t.*\n)*\t.* in wakeUp\n(\t.*\n)*", "", log), log


def test_a_sink_that_cannot_write_costs_nothing_and_gets_everything_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    sinks = f"sinks: [{{type: jsonl, path: {folder}/requests.jsonl}}]\n"
    with CountingProvider() as provider:
        text = config(provider.port).replace("sinks: []\n", sinks)
        with Daemon(tmp_path / "daemon", text) as daemon, Callers(daemon.port, "s", 2) as callers:
            callers.wait_for(10)
            callers.stop()
            assert "the sink jsonl did not start" in daemon.log()
            folder.mkdir()
            lines = folder / "requests.jsonl"
            daemon.wait_for(
                lambda: lines.exists() and len(lines.read_bytes().splitlines()) >= len(callers.acknowledged)
            )
    told = {json.loads(line)["request_id"] for line in lines.read_bytes().splitlines()}
    assert set(callers.acknowledged) <= told
