"""A receiver of records that is away in every way for minutes, while requests go on (row 25)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.accounting import cpu_s
from benchmarks.figures import percentile
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
        """Of each that was answered, in order."""

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


class Pair:
    """The daemon whose receiver is moody, and the one beside it whose receiver is well.

    Args:
        daemons: Both of them.
        loads: What they are asked.
        figures: Where what is measured goes.
    """

    def __init__(self, daemons: Sequence[Daemon], loads: Sequence[Steady], figures: Figures) -> None:
        self.daemons, self.loads, self.figures = daemons, loads, figures
        self._before = self._most = [resident_bytes(one) for one in daemons]
        self._used = [cpu_s(one.pid) for one in daemons]
        self._asked = [len(one.acknowledged) for one in loads]

    def look(self) -> None:
        """Look how much memory they have."""
        self._most = [max(most, resident_bytes(one)) for most, one in zip(self._most, self.daemons, strict=True)]

    @property
    def gained_mib(self) -> list[float]:
        """What they have had at the most beyond what they had at first."""
        return [round((most - before) / (1 << 20), 1) for most, before in zip(self._most, self._before, strict=True)]

    @property
    def cost_us(self) -> list[int]:
        """CPU time of each request."""
        spent = [cpu_s(one.pid) - used for one, used in zip(self.daemons, self._used, strict=True)]
        asked = [len(one.acknowledged) - before for one, before in zip(self.loads, self._asked, strict=True)]
        return [round(cpu / count * 1e6) for cpu, count in zip(spent, asked, strict=True)]

    def tell_times(self, phase: str, since: Sequence[int]) -> None:
        """Note how long the requests took that were answered after so many."""
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            pieces = [one.took_s[begin:] for one, begin in zip(self.loads, since, strict=True)]
            here, beside = (percentile(took_s, share) * 1000 for took_s in pieces)
            told = [round(here, 2), round(beside, 2), round(here / beside, 3)]
            self.figures.add(f"{phase}: ms, {name}, beside it, ratio", told)

    @property
    def answered(self) -> list[int]:
        """How many requests were answered as they should."""
        return [len(one.took_s) for one in self.loads]


def be_in_each_mood(moody: MoodyProcess, load: Load, pair: Pair) -> None:
    """Let the receiver be in each bad mood for its part of the time."""
    begun = pair.answered
    for mood in OUTAGE:
        before, since = moody.count, pair.answered
        moody.become(mood)
        load.run_for(MINUTES * 60 / len(OUTAGE), pair.look)
        came = [now - then for now, then in zip(moody.count, before, strict=True)]
        pair.figures.add(f"{mood}: batches, records sent, taken", came)
        pair.figures.add(f"{mood}: MiB gained so far", pair.gained_mib[0])
        pair.tell_times(mood, since)
    pair.tell_times("all of it", begun)
    pair.figures.add("us of CPU a request, and beside it", pair.cost_us)


def drain(moody: MoodyProcess, load: Load, pair: Pair) -> float:
    """Let the receiver be well; return the seconds until it has everything that came before."""
    goal, since = len(pair.loads[0].acknowledged), pair.answered
    pair.figures.add("records behind when it came back", goal - moody.count.owned)
    moody.become(Mood.WELL)
    back = time.monotonic()

    def drained() -> bool:
        pair.look()
        assert time.monotonic() - back < PATIENCE_S
        return moody.count.owned >= goal

    load.run(drained)
    took_s = time.monotonic() - back
    pair.tell_times("draining", since)
    pair.figures.add("drained after, s", round(took_s, 1))
    return took_s


def kept(daemon: Daemon, records: int) -> tuple[int, int]:
    """Return how many rows the database has, and how many ids, when it has so many."""
    with closing(sqlite3.connect(daemon.state / FILE)) as database:
        count = "SELECT count(*), count(DISTINCT id) FROM records"
        daemon.wait_for(lambda: bool(database.execute(count).fetchone()[0] >= records))
        rows, ids = database.execute(count).fetchone()
        return rows, ids


def test_a_receiver_in_a_bad_mood_for_minutes_loses_nothing_and_holds_up_nobody(
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
        asked, compared = loads = Steady(crowd, "a"), Steady(others, "b")
        load = Load(*loads)
        load.run_for(WARM_S, lambda: None)
        pair = Pair((daemon, beside), loads, figures)
        figures.add("minutes, requests a second", [MINUTES, RATE])
        be_in_each_mood(moody, load, pair)
        took_s = drain(moody, load, pair)
        for one in loads:
            one.finish()
        records = {record.id: record.request_id for record in newest_first(daemon.state)}
        daemon.wait_for(lambda: moody.count.owned >= len(records))
        owned, rows = moody.owned, kept(daemon, len(records))
        figures.add("acknowledged, failed", [len(asked.acknowledged), len(asked.failed)])
        figures.add("records, taken, taken twice", [len(records), len(owned), owned.total() - len(owned)])
        figures.add("records sent in all, rows beside it", [moody.count.seen, rows[0]])
        figures.add("MiB gained, and beside it", pair.gained_mib)
    assert asked.failed == compared.failed == []
    assert asked.acknowledged <= set(records.values())
    assert owned.keys() == records.keys()
    assert owned.total() == len(owned)
    assert rows == (len(records), len(records))
    assert pair.gained_mib[0] < MOST_GAINED_MIB
    assert took_s <= MOST_DRAIN_S
