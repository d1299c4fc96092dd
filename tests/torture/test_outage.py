"""A receiver of records that is away in every way for minutes, while requests go on (row 25)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.accounting import cpu_s
from netrunner.journal.logs import newest_first
from netrunner.store.database import FILE
from tests.support.crowd import Crowd, Figures, Visitor, resident_bytes
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import chat
from tests.support.moody import Mood, MoodyProcess

pytestmark = [pytest.mark.integration, pytest.mark.torture]
MINUTES = float(os.environ.get("NETRUNNER_OUTAGE_MINUTES", "10"))
RATE = float(os.environ.get("NETRUNNER_OUTAGE_RATE", "200"))
"""Requests a second."""
OUTAGE = (Mood.SLOW, Mood.DROPS, Mood.BUSY, Mood.FAILS, Mood.HANGS, Mood.REFUSES)
"""What takes something comes first, so that the last pause before the next try is as long as it can get."""
WARM_S = 20.0
MOST_GAINED_MIB = 20
MOST_DRAIN_S = 120.0
PATIENCE_S = 600.0
"""Before a receiver that is not drained to is given up."""
QUESTION = chat(
    "Connection: close",
    "X-Request-ID: {id}",
    stream=False,
    model="echo",
    messages=[{"role": "user", "content": "Hello"}],
)


class Steady:
    """So many requests a second of one daemon, each on a connection of its own, whatever becomes of those before.

    Args:
        crowd: Asks them.
        name: Begins the ids of requests.
    """

    def __init__(self, crowd: Crowd, name: str) -> None:
        self._crowd = crowd
        self._name = name
        self._open: list[tuple[str, Visitor]] = []
        self._asked = 0
        self.acknowledged: set[str] = set()
        self.failed: list[int] = []
        """Statuses of what was not answered as it should."""
        self.took_s: list[float] = []
        """Of each that was answered since this was emptied last."""

    def turn(self, due: int) -> None:
        """Ask until ``due`` requests were asked in all, and take what was answered."""
        ids = [f"{self._name}-{number}" for number in range(self._asked, due)]
        self._asked += len(ids)
        asked = self._crowd.ask([QUESTION.replace(b"{id}", id.encode()) for id in ids])
        self._open += zip(ids, asked, strict=True)
        self._crowd.listen(0.001)
        still = []
        for id, visitor in self._open:
            if not visitor.over:
                still.append((id, visitor))
            elif visitor.status == 200 and b'"finish_reason"' in visitor.heard:
                self.acknowledged.add(id)
                self.took_s.append(visitor.took_s)
            else:
                self.failed.append(visitor.status)
        self._open = still

    def finish(self) -> None:
        """Wait for what is under way."""
        self._crowd.wait([visitor for _, visitor in self._open], b"}]}")
        while self._open:
            self.turn(self._asked)


class Load:
    """Two daemons asked in turns, so that what the machine does to one it does to the other."""

    def __init__(self, *loads: Steady) -> None:
        self._loads = loads
        self._began = time.monotonic()

    def run(self, until: Callable[[], bool]) -> None:
        """Ask until something has happened; that is looked at four times a second."""
        look = 0.0
        while (now := time.monotonic()) < look or not until():
            if now >= look:
                look = now + 0.25
            for load in self._loads:
                load.turn(int((now - self._began) * RATE))

    def run_for(self, seconds: float, watch: Callable[[], object]) -> None:
        """Ask for so long, and watch meanwhile."""
        end = time.monotonic() + seconds

        def over() -> bool:
            watch()
            return time.monotonic() >= end

        self.run(over)


def config(port: int) -> str:
    sinks = [{"type": "http_batch", "url": f"http://127.0.0.1:{port}/"}, {"type": "database"}]
    return f"{ECHO}sinks: {json.dumps(sinks)}\n"


def percentiles_ms(took_s: list[float]) -> list[float]:
    ordered = sorted(took_s)
    return [round(ordered[int(len(ordered) * part)] * 1000, 2) for part in (0.5, 0.99)]


def test_a_receiver_that_is_away_for_minutes_loses_nothing_and_holds_up_nobody(
    tmp_path: Path, figures: Figures
) -> None:
    with (
        MoodyProcess() as moody,
        MoodyProcess() as well,
        Daemon(tmp_path / "daemon", config(moody.port)) as daemon,
        Daemon(tmp_path / "beside", config(well.port)) as beside,
        Crowd(daemon.port) as crowd,
        Crowd(beside.port) as others,
    ):
        asked, compared = Steady(crowd, "a"), Steady(others, "b")
        load = Load(asked, compared)
        load.run_for(WARM_S, lambda: None)
        before = [resident_bytes(one) for one in (daemon, beside)]
        most = list(before)

        def look() -> None:
            for number, one in enumerate((daemon, beside)):
                most[number] = max(most[number], resident_bytes(one))

        asked.took_s, compared.took_s = [], []
        used = [cpu_s(one.pid) for one in (daemon, beside)]
        for mood in OUTAGE:
            earlier = moody.count
            begin = len(asked.took_s), len(compared.took_s)
            moody.become(mood)
            load.run_for(MINUTES * 60 / len(OUTAGE), look)
            now = moody.count
            figures.add(f"{mood}: batches, records sent, taken", [now[at] - earlier[at] for at in range(3)])
            here, there = percentiles_ms(asked.took_s[begin[0] :]), percentiles_ms(compared.took_s[begin[1] :])
            figures.add(f"{mood}: ms, p50 and p99; beside it", [here, there])
            figures.add(f"{mood}: MiB gained so far", round((most[0] - before[0]) / (1 << 20), 1))
        during, without = percentiles_ms(asked.took_s), percentiles_ms(compared.took_s)
        cost = [(cpu_s(one.pid) - spent) / len(asked.took_s) for one, spent in zip((daemon, beside), used, strict=True)]
        asked.took_s, compared.took_s = [], []
        goal, missing = len(asked.acknowledged), len(asked.acknowledged) - moody.count.owned
        moody.become(Mood.WELL)
        back = time.monotonic()

        def drained() -> bool:
            look()
            assert time.monotonic() - back < PATIENCE_S
            return moody.count.owned >= goal

        load.run(drained)
        took = time.monotonic() - back
        draining = percentiles_ms(asked.took_s), percentiles_ms(compared.took_s)
        asked.finish()
        compared.finish()
        records = {record.id: record.request_id for record in newest_first(daemon.state)}
        daemon.wait_for(lambda: moody.count.owned >= len(records))
        with closing(sqlite3.connect(daemon.state / FILE)) as database:
            count = "SELECT count(*), count(DISTINCT id) FROM records"
            daemon.wait_for(lambda: database.execute(count).fetchone()[0] >= len(records))
            kept = database.execute(count).fetchone()
        owned = moody.owned
        gained = [(high - low) / (1 << 20) for high, low in zip(most, before, strict=True)]
        figures.add("minutes, requests a second", [MINUTES, RATE])
        figures.add("acknowledged, failed", [len(asked.acknowledged), len(asked.failed)])
        figures.add("records; taken; taken twice", [len(records), len(owned), owned.total() - len(owned)])
        figures.add("records sent in all", moody.count.seen)
        figures.add("rows in the database beside it", kept[0])
        figures.add("behind when it came back, and drained after, s", [missing, round(took, 1)])
        figures.add("MiB gained; beside it", [round(one, 1) for one in gained])
        figures.add("ms, p50 and p99, during; beside it", [during, without])
        figures.add("ratio of p50, of p99", [round(during[at] / without[at], 3) for at in range(2)])
        figures.add("us of CPU a request; beside it", [round(one * 1e6) for one in cost])
        figures.add("ms, p50 and p99, draining; beside it", list(draining))
    assert asked.failed == compared.failed == []
    assert asked.acknowledged <= set(records.values())
    assert owned.keys() == records.keys()
    assert owned.total() == len(owned)
    assert kept == (len(records), len(records))
    assert gained[0] < MOST_GAINED_MIB
    assert took <= MOST_DRAIN_S
