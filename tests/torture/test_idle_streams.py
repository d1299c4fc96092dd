"""Ten thousand streams that hardly say anything, in two workers (row 13)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accounting import cpu_s, rss_bytes
from netrunner.process.control import ask
from netrunner.process.state import control_path
from tests.support.crowd import Figures, Paced, providers, wait_until
from tests.support.daemon import PATIENCE_S, Daemon
from tests.torture.test_unread import good_streams

pytestmark = [pytest.mark.integration, pytest.mark.torture]
STREAMS = 10_000
PACE_MS = 15_000
MINUTES = float(os.environ.get("NETRUNNER_IDLE_MINUTES", "2"))
CONFIG = "workers: 2\nserver: {keepalive_s: 0}\n"
"""Whoever compares each byte wants no signs of life between them."""
MOST_BYTES = 16 * 1024
MOST_OF_A_CORE = 0.1


def in_flight(daemon: Daemon, workers: list[int]) -> int:
    """Return how many providers answer now, in all workers."""
    told = [ask(control_path(daemon.state, pid), "status", {}, PATIENCE_S)["counts"] for pid in workers]
    return sum(counts["upstream_active"] for counts in told)


def test_ten_thousand_idle_streams_are_held_by_two_workers(tmp_path: Path, figures: Figures) -> None:
    with Paced() as paced, Daemon(tmp_path, providers(good=paced.port) + CONFIG) as daemon:
        workers = [worker["pid"] for worker in daemon.control("workers")["workers"]]
        before = sum(map(rss_bytes, workers))
        with good_streams(daemon, STREAMS, MINUTES * 60, PACE_MS) as reading:
            wait_until(lambda: in_flight(daemon, workers) == STREAMS, lambda: daemon.control("ping"))
            gained = sum(map(rss_bytes, workers)) - before
            began, used = time.monotonic(), sum(map(cpu_s, workers))
            told, _ = reading.communicate(timeout=MINUTES * 60 + 120)
            # The last pace before the end has streams that are over.
            core = (sum(map(cpu_s, workers)) - used) / (time.monotonic() - began)
        found: dict[str, Any] = json.loads(told)
        figures.add("streams, minutes", [STREAMS, MINUTES])
        figures.add("events delivered", f"{found['delivered']} of {found['expected']}")
        figures.add("resident bytes for each", gained // STREAMS)
        figures.add("processor of both workers, of one core", f"{core:.3f}")
        figures.add("delay p50, p99, ms", [round(found[key] / 1000, 2) for key in ("p50_us", "p99_us")])
        assert found["faults"] == []
        assert found["delivered"] == found["expected"]
        assert gained / STREAMS <= MOST_BYTES
        assert core <= MOST_OF_A_CORE
