"""The audit's file on a disk of its own, which is full for a while."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import Daemon
from tests.support.tenants import CONFIG, ENVIRON, manage

pytestmark = pytest.mark.integration

SMALL = """
mount -t tmpfs -o size=64k,mode=0700 tmpfs "$0" || exit 77
exec "$@"
"""


class SmallDisk(Daemon):
    """A daemon whose audit's file lies on a disk of 64 KiB."""

    def start(self) -> None:
        """Start it in a mount namespace of its own."""
        disk = self.folder / "disk"
        disk.mkdir()
        self._arguments = ["unshare", "-rm", "sh", "-c", SMALL, str(disk), *self._arguments]
        super().start()
        self.disk = Path(f"/proc/{self.process.pid}/root{disk}")


def fill(path: Path) -> None:
    """Write a file until the disk has no room."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def counted(daemon: Daemon) -> dict[str, float]:
    _, _, told = daemon.request("GET", "/metrics", None, {"Accept": "application/json"})
    samples = json.loads(told)["netrunner_audit_entries_total"]["samples"]
    return {one["labels"]["outcome"]: one["value"] for one in samples}


def test_a_full_disk_keeps_no_change_and_no_caller_waiting_and_gets_every_line_when_it_has_room(
    tmp_path: Path,
) -> None:
    require_binary("unshare")
    with SmallDisk(tmp_path, f"{CONFIG}audit: {{file: disk/audit.jsonl}}\n", environ=ENVIRON) as daemon:
        file = daemon.disk / "audit.jsonl"

        def told() -> list[Any]:
            return [json.loads(line)["details"]["name"] for line in file.read_text().splitlines()]

        assert manage(daemon, "POST", "/manage/projects", {"name": "before"})[0] == 201
        daemon.wait_for(lambda: told() == ["before"])
        fill(daemon.disk / "ballast")
        names = [f"meanwhile {number} {'x' * 150}" for number in range(40)]
        assert {manage(daemon, "POST", "/manage/projects", {"name": name})[0] for name in names} == {201}
        daemon.wait_for(lambda: "the audit is in the database alone for now: " in daemon.log())
        (daemon.disk / "ballast").unlink()
        assert manage(daemon, "POST", "/manage/projects", {"name": "after"})[0] == 201
        daemon.wait_for(lambda: len(told()) == len(names) + 2)
        assert told() == ["before", *names, "after"]
        assert counted(daemon) == {"written": len(names) + 2, "dropped": 0}
        assert len(manage(daemon, "GET", "/manage/audit?limit=100")[1]["data"]) == len(names) + 2
        assert daemon.log().count("the audit is in the database alone") == 1
