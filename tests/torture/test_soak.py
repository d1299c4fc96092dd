"""Mixed traffic for a while, after which everything is back where it was (row 35)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
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
WARM_UP_ROUNDS = 20
MIB = 1 << 20
RESENDING = {"type": "openai", "resend": "no_response"}
"""A provider closes warm connections here at the very moment when they are used again."""


def state(daemon: Daemon) -> dict[str, int]:
    """Return what has to come back to where it was, once nothing happens any more."""
    daemon.wait_for(lambda: idle(daemon))
    daemon.wait_for(lambda: daemon.control("status")["counts"]["connections"] == 0)
    counts: dict[str, int] = daemon.control("status")["counts"]
    threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
    return {**counts, "descriptors": descriptors(daemon), "threads": threads}


def soak(folder: Path, halves: Sequence[Callable[[int], bool]], figures: Figures) -> None:
    """Let several threads do rounds while each of ``halves`` says so of a round's number; compare before and after."""
    with ExitStack() as stack:
        served = {f"m{number}": stack.enter_context(Provider()) for number in range(THREADS)}
        echo = {"echo": {"type": "echo"}}
        daemon = stack.enter_context(
            Daemon(folder, providers(echo, **{name: one.port for name, one in served.items()}))
        )
        traffic = [Traffic(daemon.port, one, name, n) for n, (name, one) in enumerate(served.items())]

        def work(one: Traffic, go_on: Callable[[int], bool]) -> None:
            done = 0
            while go_on(done):
                one.round()
                done += 1

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, traffic, [lambda done: done < WARM_UP_ROUNDS] * THREADS))
            before = after = state(daemon)
            memory, asked = [resident_bytes(daemon)], [sum(one.requests for one in traffic)]
            for half in halves:
                list(pool.map(work, traffic, [half] * THREADS))
                after = state(daemon)
                memory.append(resident_bytes(daemon))
                asked.append(sum(one.requests for one in traffic))
        figures.add("requests", ", ".join(map(str, asked)))
        figures.add("resident MiB then", ", ".join(f"{size / MIB:.2f}" for size in memory))
        for name, count in before.items():
            figures.add(name, f"{count} -> {after[name]}")
        moved: dict[str, Any] = {
            name: (before[name], after[name]) for name in before if abs(before[name] - after[name]) > 5
        }
        assert moved == {}
        assert memory[1] - memory[0] < 8 * MIB
        assert memory[-1] - memory[1] < 2 * MIB


def test_a_few_rounds_of_everything_leave_nothing_behind(tmp_path: Path, figures: Figures) -> None:
    soak(tmp_path, [lambda done: done < 6] * 2, figures)


@pytest.mark.soak
def test_minutes_of_everything_leave_nothing_behind(tmp_path: Path, figures: Figures) -> None:
    began = time.monotonic()
    ends = [began + MINUTES * 30, began + MINUTES * 60]
    soak(tmp_path, [lambda _, end=end: time.monotonic() < end for end in ends], figures)  # type: ignore[misc]  # bound now
