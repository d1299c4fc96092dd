"""Mixed traffic for a while, after which everything is back where it was (row 35)."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.crowd import Figures, descriptors, idle, providers, resident_bytes
from tests.support.daemon import Daemon
from tests.support.dialogue import Provider
from tests.torture.traffic import Traffic

pytestmark = pytest.mark.integration
MINUTES = float(os.environ.get("NETRUNNER_SOAK_MINUTES", "2"))
THREADS = 4
WARM_UP_ROUNDS = 5
MIB = 1 << 20


def state(daemon: Daemon) -> dict[str, int]:
    """Return what has to come back to where it was, once nothing happens any more."""
    daemon.wait_for(lambda: idle(daemon))
    daemon.wait_for(lambda: daemon.control("status")["counts"]["connections"] == 0)
    counts: dict[str, int] = daemon.control("status")["counts"]
    threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
    return {**counts, "descriptors": descriptors(daemon), "threads": threads}


def soak(folder: Path, go_on: Callable[[int], bool], figures: Figures) -> None:
    """Let several threads do rounds while ``go_on`` of a round's number; compare before and after."""
    with ExitStack() as stack:
        served = {f"m{number}": stack.enter_context(Provider()) for number in range(THREADS)}
        echo = {"echo": {"type": "echo"}}
        daemon = stack.enter_context(
            Daemon(folder, providers(echo, **{name: one.port for name, one in served.items()}))
        )
        traffic = [Traffic(daemon.port, one, name, n) for n, (name, one) in enumerate(served.items())]

        def work(one: Traffic) -> int:
            for done in itertools.count():
                if not go_on(done):
                    return done
                one.round()
            raise AssertionError

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda one: [one.round() for _ in range(WARM_UP_ROUNDS)], traffic))
            before, memory = state(daemon), resident_bytes(daemon)
            warm_up = sum(one.requests for one in traffic)
            rounds = sum(pool.map(work, traffic))
        after, growth = state(daemon), resident_bytes(daemon) - memory
        requests = sum(one.requests for one in traffic) - warm_up
        figures.add("rounds, requests", f"{rounds}, {requests}")
        figures.add("resident MiB before, gained", f"{memory / MIB:.1f}, {growth / MIB:.2f}")
        for name, count in before.items():
            figures.add(name, f"{count} -> {after[name]}")
        moved: dict[str, Any] = {
            name: (before[name], after[name]) for name in before if abs(before[name] - after[name]) > 5
        }
        assert moved == {}
        assert growth < 8 * MIB


def test_a_few_rounds_of_everything_leave_nothing_behind(tmp_path: Path, figures: Figures) -> None:
    soak(tmp_path, lambda done: done < 5, figures)


@pytest.mark.soak
def test_minutes_of_everything_leave_nothing_behind(tmp_path: Path, figures: Figures) -> None:
    end = time.monotonic() + MINUTES * 60
    soak(tmp_path, lambda _: time.monotonic() < end, figures)
