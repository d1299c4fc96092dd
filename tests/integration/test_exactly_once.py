"""What the sinks were given, against what clients saw: each record once, whatever becomes of the process."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from netrunner.journal.logs import newest_first
from netrunner.store.database import FILE
from tests.support.daemon import Daemon
from tests.support.reconcile import Callers, CountingProvider

pytestmark = pytest.mark.integration
CLIENTS = 20


class Books:
    """Everything that tells of a request, in one folder: the journal, the lines, and the database.

    Args:
        folder: Of the test.
        port: Of the provider.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.state = folder / "state"
        self._lines = folder / "lines"
        self.config = (
            f"providers: {{up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', repair: false}}}}\n"
            "models: [{name: m, targets: [{provider: up, model: m}]}]\njournal: {segment_bytes: 500000}\n"
            f"sinks: [{{type: jsonl, path: {json.dumps(str(self._lines))}, max_bytes: 200000, keep: 10000}},"
            " {type: database}]\n"
        )

    def daemon(self, folder: Path, **more: object) -> Daemon:
        """Return a daemon that keeps them."""
        return Daemon(folder, self.config, state=self.state, **more)  # type: ignore[arg-type]  # what Daemon takes

    def journal(self) -> list[str]:
        """Return the ids of all records in the journal."""
        return [record.id for record in newest_first(self.state)]

    def lines(self) -> list[str]:
        """Return the ids of all records in the files of lines."""
        paths = sorted(self._lines.parent.glob(f"{self._lines.name}*"))
        return [json.loads(line)["id"] for path in paths for line in path.read_bytes().splitlines()]

    def rows(self) -> list[str]:
        """Return the ids of all records in the database."""
        with closing(sqlite3.connect(f"{(self.state / FILE).as_uri()}?mode=ro", uri=True)) as database:
            return [
                "-".join((one[:8], one[8:12], one[12:16], one[16:20], one[20:])) if len(one) == 32 else one
                for (one,) in database.execute("SELECT id FROM records")
            ]

    def settled(self) -> bool:
        """Return whether every record of the journal has come everywhere."""
        count = len(self.journal())
        return len(self.rows()) >= count <= len(self.lines())

    def has_rows(self) -> bool:
        """Return whether there is a database, with a record in it."""
        try:
            return self.rows() != []
        except sqlite3.OperationalError:
            return False

    def reconcile(self, acknowledged: list[str]) -> None:
        """Assert that all of them tell the same, and tell of every acknowledged request."""
        records = {record.request_id: record for record in newest_first(self.state)}
        assert [id for id in acknowledged if records[id].outcome != "done"] == []
        ids = Counter(record.id for record in records.values())
        assert set(ids.values()) == {1}
        assert difference(Counter(self.lines()), ids) == {}
        assert difference(Counter(self.rows()), ids) == {}


def difference(found: Counter[str], wanted: Counter[str]) -> dict[str, int]:
    """Return what is there too often, and as a negative number what is not often enough."""
    return {id: found[id] - wanted[id] for id in found.keys() | wanted.keys() if found[id] != wanted[id]}


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.torture)])
def test_a_killed_daemon_leaves_each_record_once_in_every_sink(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    acknowledged: list[str] = []
    with CountingProvider() as provider:
        books = Books(tmp_path, provider.port)
        for kill in range(kills):
            daemon = books.daemon(tmp_path / "daemon").__enter__()
            with Callers(daemon.port, f"k{kill}", CLIENTS) as callers:
                callers.wait_for(chance.randrange(1, 20 * CLIENTS))
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            daemon._supervisor.close()
            daemon.assert_clean_log()
            acknowledged += callers.acknowledged
        with books.daemon(tmp_path / "daemon") as daemon:
            daemon.wait_for(books.settled)
        books.reconcile(acknowledged)


def test_restarts_leave_each_record_once_in_every_sink(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with CountingProvider() as provider:
        books = Books(tmp_path, provider.port)
        for number in range(4):
            with books.daemon(tmp_path / "daemon") as daemon, Callers(daemon.port, f"r{number}", CLIENTS) as callers:
                callers.wait_for(100)
                # Who ends waits a while for what writes records, which may be too short to make the database in.
                daemon.wait_for(books.has_rows)
                daemon.signal(signal.SIGTERM)
                assert daemon.wait() == 0
            acknowledged += callers.acknowledged
            # Each process hands over all of its records before it ends.
            books.reconcile(acknowledged)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.torture)])
def test_successors_leave_each_record_once_in_every_sink(tmp_path: Path, times: int) -> None:
    acknowledged: list[str] = []
    with CountingProvider() as provider, ExitStack() as daemons:
        books = Books(tmp_path, provider.port)
        old = daemons.enter_context(books.daemon(tmp_path / "first"))
        for number in range(times):
            with Callers(old.port, f"h{number}", CLIENTS) as callers:
                callers.wait_for(100)
                new = daemons.enter_context(books.daemon(tmp_path / str(number), take_over=old))
                assert old.wait() == 0
                callers.stop()
            acknowledged += callers.acknowledged
            with Callers(new.port, f"n{number}", CLIENTS) as callers:
                callers.wait_for(100)
                callers.stop()
            acknowledged += callers.acknowledged
            old = new
        old.signal(signal.SIGTERM)
        assert old.wait() == 0
        books.reconcile(acknowledged)


def test_sinks_that_come_and_go_with_reloads_have_each_record_once(tmp_path: Path) -> None:
    with CountingProvider() as provider:
        books = Books(tmp_path, provider.port)
        more = tmp_path / "more"
        with books.daemon(tmp_path / "daemon") as daemon, Callers(daemon.port, "c", CLIENTS) as callers:
            for number in range(6):
                callers.wait_for(len(callers.acknowledged) + 100)
                extra = f", {{type: access_line, path: {json.dumps(str(more))}}}]" if number % 2 == 0 else "]"
                daemon.write_config(books.config.replace(" {type: database}]", f" {{type: database}}{extra}"))
                daemon.control("reload")
            callers.stop()
        books.reconcile(callers.acknowledged)
        assert 0 < len(more.read_text().splitlines()) < len(callers.acknowledged) + 1
