"""Clients that do not read, while others do (row 12)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.streams import Order
from tests.support.crowd import Figures, Paced, Unread, idle, providers, resident_bytes, wait_until
from tests.support.daemon import ROOT, Daemon

pytestmark = pytest.mark.integration
MOST_BYTES = 256 * 1024
MOST_AHEAD_BYTES = 1024 * 1024
"""Four kernel buffers are between provider and client, of which one would grow to megabytes by itself."""


def good_streams(daemon: Daemon, count: int, seconds: float, pace_ms: int = 100) -> subprocess.Popen[str]:
    order = Order(daemon.port, "none", "good", count, pace_ms, seconds)
    command = [sys.executable, "-m", "benchmarks.streams", json.dumps(asdict(order))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("clients", "good", "stall_s"), [(100, 20, 1), pytest.param(1000, 100, 60, marks=pytest.mark.torture)]
)
def test_clients_that_do_not_read_are_bounded_then_dropped_and_harm_nobody(
    tmp_path: Path, clients: int, good: int, stall_s: int, figures: Figures
) -> None:
    with Paced() as paced, Unread() as unread:
        config = providers(good=paced.port, flood=unread.port) + f"server: {{write_stall_s: {stall_s}}}\n"
        with Daemon(tmp_path, config) as daemon, good_streams(daemon, good, stall_s + 5) as reading:
            wait_until(lambda: len(daemon.control("inflight")["inflight"]) == good, lambda: daemon.control("ping"))
            before = resident_bytes(daemon)
            for _ in range(clients // 10):
                unread.ask(daemon.port, 10, "flood")
                while unread.turn(0.02):
                    pass
            most = 0
            while len(unread.aborted_after_s) < clients:
                unread.turn(0.1)
                most = max(most, resident_bytes(daemon))
            told, _ = reading.communicate(timeout=stall_s + 60)
            found: dict[str, Any] = json.loads(told)
            assert found["faults"] == []
            assert found["delivered"] == found["expected"]
            assert (most - before) / clients <= MOST_BYTES
            assert unread.written / clients <= MOST_AHEAD_BYTES
            daemon.wait_for(lambda: idle(daemon))
            figures.add("clients that do not read", clients)
            figures.add("resident bytes gained for each", (most - before) // clients)
            figures.add("bytes read from the provider for each", unread.written // clients)
            figures.add(
                "dropped after, s", [round(min(unread.aborted_after_s), 1), round(max(unread.aborted_after_s), 1)]
            )
            figures.add("good streams, events delivered", f"{good}, {found['delivered']} of {found['expected']}")
            figures.add("their delay p50, p99, ms", [round(found[key] / 1000, 2) for key in ("p50_us", "p99_us")])
            if stall_s == 60:
                assert found["p99_us"] < 50_000
                assert min(unread.aborted_after_s) >= stall_s - 2
                assert max(unread.aborted_after_s) <= stall_s + 2
