"""Twenty upgrades under load and a hundred dead workers (rows 4 and 57)."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from netrunner.journal.logs import newest_first
from tests.integration.test_handover import Load
from tests.support.crowd import Figures, Paced, providers, wait_until
from tests.support.daemon import Daemon
from tests.support.dialogue import chat
from tests.support.upgrades import end, replaced
from tests.torture.test_unread import good_streams

pytestmark = [pytest.mark.integration, pytest.mark.torture]
KILLS = 100


def in_flight(daemon: Daemon) -> int:
    """Return how many exchanges are in progress in all processes."""
    return int(json.loads(daemon.request("GET", "/api/stats")[2])["inflight_requests"])


@pytest.mark.parametrize("workers", [1, 2])
def test_twenty_upgrades_fail_no_request_and_cut_no_stream(tmp_path: Path, workers: int, figures: Figures) -> None:
    seconds = 120.0
    with Paced() as paced:
        config = providers({"m": {"type": "echo"}}, good=paced.port) + f"server: {{drain_s: 900}}\nworkers: {workers}\n"
        with Daemon(tmp_path, config) as daemon, good_streams(daemon, 500, seconds) as reading:
            wait_until(lambda: in_flight(daemon) == 500, lambda: daemon.control("ping"))
            began = time.monotonic()
            pid = daemon.pid
            load = Load(daemon.port, chat(stream=False), pace=240)
            with load.running():
                load.wait_for_more(200)
                for _ in range(20):
                    os.kill(pid, signal.SIGUSR2)
                    pid = replaced(daemon, pid)
                    assert daemon.notifications() == [f"MAINPID={pid}\nREADY=1"]
                    load.wait_for_more(200)
                    assert not load.failures, "\n".join(load.failures)
                took = time.monotonic() - began
                answers = load.answers
            told, _ = reading.communicate(timeout=seconds + 120)
            found: dict[str, Any] = json.loads(told)
            figures.add("upgrades", f"20 in {took:.0f} s, {workers} workers")
            figures.add("requests answered, failed", [load.answers, len(load.failures)])
            figures.add("requests a second", round(answers / took))
            figures.add("streams, events delivered", f"500, {found['delivered']} of {found['expected']}")
            assert load.failures == []
            assert found["faults"] == []
            assert found["delivered"] == found["expected"]
            assert daemon.wait(120) == 0
            end(pid)


def test_a_hundred_dead_workers_cost_their_own_streams_only(tmp_path: Path, figures: Figures) -> None:
    config = providers({"m": {"type": "echo"}}) + "workers: 2\n"
    answered = 0
    slowest: list[float] = []
    with Daemon(tmp_path, config) as daemon:
        request = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})

        def workers() -> dict[int, bool]:
            return {one["pid"]: one["serves"] for one in daemon.control("workers")["workers"]}

        for number in range(KILLS):
            victim = sorted(workers())[number % 2]
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            while True:
                # Nobody is refused meanwhile; the backlog of the socket is everybody's.
                with suppress(ConnectionResetError):
                    connection = daemon.connect()
                    connection.request("POST", "/v1/chat/completions", request, {"Content-Type": "application/json"})
                    assert connection.getresponse().status == 200
                    answered += 1
                    connection.close()
                now = workers()
                if victim not in now and list(now.values()) == [True, True]:
                    break
            slowest.append(time.monotonic() - killed)
        assert sum(record.outcome == "done" for record in newest_first(daemon.state)) == answered
    figures.add("workers killed, requests answered meanwhile", [KILLS, answered])
    figures.add("another one serves after, s: median, slowest", [sorted(slowest)[KILLS // 2], max(slowest)])


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path, figures: Figures) -> None:
    with Daemon(tmp_path, providers({"m": {"type": "echo"}}) + "workers: 2\n") as daemon:
        victim = daemon.control("workers")["workers"][0]["pid"]
        death = os.pidfd_open(victim)
        os.kill(victim, signal.SIGSTOP)
        stopped = time.monotonic()
        ended, _, _ = select.select([death], [], [], 60)
        os.close(death)
        assert ended
        figures.add("a worker that hangs is killed after, s", round(time.monotonic() - stopped))
        daemon.wait_for(lambda: daemon.control("status")["counts"]["serving"] == 2)
