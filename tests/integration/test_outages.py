"""Whoever is given records may be away, hang, fail or die: requests go on, and everything arrives in the end."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from netrunner.journal.logs import newest_first
from netrunner.store.database import FILE
from tests.support.daemon import Daemon
from tests.support.logserver import LogServerProcess
from tests.support.moody import Mood, MoodyReceiver
from tests.support.postgres import Postgres
from tests.support.reconcile import REPLY, Callers, CountingProvider, body_of

pytestmark = pytest.mark.integration
CLIENTS = 10


def config(port: int, *sinks: dict[str, Any], more: str = "") -> str:
    return (
        f"providers: {{up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', repair: false}}}}\n"
        f"models: [{{name: m, targets: [{{provider: up, model: m}}]}}]\nsinks: {json.dumps(sinks)}\n{more}"
    )


def ids(daemon: Daemon) -> Counter[str]:
    """Return the ids of all records in the journal; each is there once."""
    found = Counter(record.id for record in newest_first(daemon.state))
    assert set(found.values()) <= {1}
    return found


@pytest.fixture
def provider() -> Iterator[CountingProvider]:
    with CountingProvider() as one:
        yield one


def failures(daemon: Daemon) -> int:
    """Return how often in a row the receiver has taken nothing."""
    text = daemon.request("GET", "/metrics")[2].decode()
    return int(float(text.partition('netrunner_sink_failures{sink="http_batch"} ')[2].partition("\n")[0]))


def is_met(daemon: Daemon, receiver: MoodyReceiver) -> Callable[[], bool]:
    """Return what tells whether the receiver's mood of now has shown."""
    failed, batches = failures(daemon), receiver.count.batches
    return lambda: failures(daemon) > failed or receiver.count.batches > batches + 1


def test_a_receiver_of_every_mood_owns_each_record_once(tmp_path: Path, provider: CountingProvider) -> None:
    with MoodyReceiver(slow_s=0.2) as receiver:
        sink = {"type": "http_batch", "url": f"http://127.0.0.1:{receiver.port}/", "timeout_s": 2, "flush_s": 0}
        daemon = Daemon(tmp_path / "daemon", config(provider.port, sink))
        with daemon, Callers(daemon.port, "h", CLIENTS) as callers:
            callers.wait_for(50)
            # What takes something in between keeps the pauses short.
            for mood in (Mood.FAILS, Mood.SLOW, Mood.HANGS, Mood.DROPS, Mood.BUSY, Mood.REFUSES):
                receiver.become(mood)
                met = is_met(daemon, receiver)
                callers.wait_for(len(callers.acknowledged) + 20)
                daemon.wait_for(met)
            callers.stop()
            receiver.become(Mood.WELL)
            daemon.wait_for(lambda: len(receiver.owned) >= len(callers.acknowledged))
        assert callers.refused == []
        assert len(callers.acknowledged) == len(provider.seen)
        assert Counter(receiver.owned) == ids(daemon)


def rows(state: Path) -> int:
    """Return how many records SQLite has; 0 before there is a table for them."""
    with closing(sqlite3.connect(state / FILE)) as database:
        if database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'records'").fetchone() == (0,):
            return 0
        count: int = database.execute("SELECT count(*) FROM records").fetchone()[0]
        return count


def test_another_writer_of_sqlite_delays_records_and_no_request(tmp_path: Path, provider: CountingProvider) -> None:
    daemon = Daemon(tmp_path / "daemon", config(provider.port, {"type": "database"}))
    with daemon, Callers(daemon.port, "s", CLIENTS) as callers:
        callers.wait_for(20)
        daemon.wait_for(lambda: rows(daemon.state) > 0)
        with closing(sqlite3.connect(daemon.state / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = rows(daemon.state)
            callers.wait_for(len(callers.acknowledged) + 300)
            assert rows(daemon.state) == before
            other.execute("COMMIT")
            callers.stop()
        daemon.wait_for(lambda: rows(daemon.state) >= len(ids(daemon)))
        assert rows(daemon.state) == len(ids(daemon))
    assert callers.refused == []
    assert "database is locked" not in daemon.log()


def test_postgresql_that_is_down_at_the_start_and_restarts_later_gets_each_record_once(
    tmp_path: Path, provider: CountingProvider
) -> None:
    with Postgres() as postgres:
        store = postgres.database()
        postgres.stop()
        daemon = Daemon(tmp_path / "daemon", config(provider.port, {"type": "database"}, more=f"store: {store}\n"))
        with daemon, Callers(daemon.port, "p", CLIENTS) as callers:
            callers.wait_for(100)
            assert daemon.log().count("nothing is kept in the database for now") == 1
            postgres.start()
            for _ in range(2):
                callers.wait_for(len(callers.acknowledged) + 100)
                postgres.restart()
            callers.stop()

            def kept() -> Counter[str]:
                with psycopg.connect(store) as connection:
                    if connection.execute("SELECT to_regclass('records')").fetchone() == (None,):
                        return Counter()
                    return Counter(str(one) for (one,) in connection.execute("SELECT id FROM records").fetchall())

            daemon.wait_for(lambda: len(kept()) >= len(ids(daemon)))
            assert kept() == ids(daemon)
    assert callers.refused == []
    assert len(callers.acknowledged) == len(provider.seen)


def copies(server: LogServerProcess, type: str) -> list[bytes]:
    """Return the complete copies of one type."""
    found = []
    for path in sorted(server.logs.glob(f"*_{type}*_metadata.json")):
        # One that came a second time is removed when it is whole.
        with contextlib.suppress(FileNotFoundError):
            about = json.loads(path.read_bytes())
            if about["completed"] and not about["error"]:
                found.append(path.with_name(path.name.replace("_metadata.json", ".bin")).read_bytes())
    return found


def told(server: LogServerProcess) -> Counter[str]:
    """Return which requests there are complete copies of, each with a whole answer."""
    # What broke off has no last chunk.
    answers = [one for one in copies(server, "response") if one.endswith(b"\r\n0\r\n\r\n")]
    assert {body_of(answer) for answer in answers} <= {body_of(REPLY)}
    requests = [re.search(rb"This is ([^ ]+)\.\"", one) for one in copies(server, "request")]
    return Counter(found[1].decode() for found in requests if found is not None)


def test_a_logging_server_has_what_both_sides_saw_though_both_daemons_die(
    tmp_path: Path, provider: CountingProvider
) -> None:
    (tmp_path / "server").mkdir()
    server = LogServerProcess(tmp_path / "server")
    text = config(provider.port, {"type": "duplex", "server_url": server.url, "timeout_s": 2})
    acknowledged: list[str] = []
    with server:
        daemon = Daemon(tmp_path / "daemon", text).__enter__()
        with Callers(daemon.port, "a", CLIENTS) as callers:
            callers.wait_for(100)
            server.kill()
            callers.wait_for(len(callers.acknowledged) + 100)
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        daemon._supervisor.close()
        acknowledged += callers.acknowledged
        with Daemon(tmp_path / "daemon", text) as daemon, Callers(daemon.port, "b", CLIENTS) as callers:
            callers.wait_for(50)
            server.start()
            callers.wait_for(len(callers.acknowledged) + 50)
            callers.stop()
            acknowledged += callers.acknowledged
            daemon.wait_for(lambda: set(acknowledged) <= set(told(server)))
            assert callers.refused == []
            daemon.wait_for(lambda: len(copies(server, "response")) >= len(acknowledged))
        assert {id: count for id, count in told(server).items() if id in acknowledged and count != 1} == {}
        assert set(acknowledged) <= set(told(server))
