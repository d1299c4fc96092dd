"""The nursery and its workers as processes of their own: what is imported ahead, and who waits for whose end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import ECHO
from tests.support.daemon import Executed as Daemon

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
IMPORTING = """
import os, sys, threading
from netrunner.process.nursery import prepare
before = os.listdir("/proc/self/fd")
prepare(["netrunner.limits.redis", "netrunner.store.logs", "netrunner.projects.reception"])
assert os.listdir("/proc/self/fd") == before
assert threading.active_count() == 1
assert "netrunner.store.logs" in sys.modules
assert "netrunner.projects.reception" in sys.modules
assert "twisted.internet.reactor" not in sys.modules
import netrunner.limits.redis
"""
REAPING = """
import os
from netrunner.process.limits import adopt_orphans
from netrunner.process.nursery import Child, reap_orphans
adopt_orphans()
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(writing)
        os.read(reading, 1)
    os._exit(0)
os.wait()
known = os.fork()
if known == 0:
    os._exit(3)
ends = []
child = Child(known, ends.append)
os.waitid(os.P_PID, known, os.WEXITED | os.WNOWAIT)
reap_orphans()
child.reapProcess()
assert ends == ["status 3"]
reap_orphans()
os.close(writing)
os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
reap_orphans()
try:
    os.wait()
except ChildProcessError:
    print("nobody is left")
"""


def run(script: str) -> str:
    """Run a script in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_imported_ahead_makes_no_reactor_and_leaves_no_thread_or_descriptor() -> None:
    run(IMPORTING)


def test_orphans_are_waited_for_and_how_a_worker_ended_is_still_told() -> None:
    assert run(REAPING) == "nobody is left\n"


def test_what_the_first_workers_had_to_import_their_nursery_imports_for_the_next(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO + "workers: 2\nsinks: [{type: database}]\n") as daemon:
        workers = {worker["pid"] for worker in daemon.control("workers")["workers"]}
        nursery = next(pid for pid in children(daemon.pid) if pid not in workers and runs_workers(pid))
        daemon.wait_for(lambda: "sqlalchemy" in Path(f"/proc/{nursery}/maps").read_text())
        opened = [os.readlink(entry) for entry in Path(f"/proc/{nursery}/fd").iterdir()]
        assert "anon_inode:[eventpoll]" not in opened


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs_workers(pid: int) -> bool:
    """Return whether a process was executed to become workers, or is one of them."""
    return b"--worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
