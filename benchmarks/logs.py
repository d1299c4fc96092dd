"""Finding records: ``python -m benchmarks.logs [--records N] [--store URL] [--folder FOLDER] [--json FILE]``.

Fills an empty database with made-up traffic, then reads pages as the dashboard and the log API do, in both directions,
first alone and then while a writer adds as fast as it can.

This module must not measure anything through the daemon.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from benchmarks.accounting import Others
from benchmarks.figures import percentile
from netrunner.ids import uuid7
from netrunner.query import Query, parse
from netrunner.store import figures, search, writing
from netrunner.store.database import Database, locate
from netrunner.store.migrate import migrate
from netrunner.store.tables import documents as documents_table
from netrunner.store.tables import records as records_table
from netrunner.values import Attempt, Copy, Record, Usage

BATCH = 500
FILL_BATCH = 10_000
PAGE = 100
ROUNDS = 40
START_S = 1_700_000_000.0
MODELS = [f"{family}-{size}" for family in ("gpt-4o", "claude", "llama3", "qwen", "mistral") for size in range(8)]
NEEDLES = 20
"""Records, evenly spread, whose model nobody else uses."""
RETIRED_SHARE = 0.1
"""The oldest records are of a model that is no longer called."""

Make = Callable[[int], Record]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of page, in seconds."""

    name: str
    p50_s: float
    p95_s: float
    cpu_p95_s: float
    """Of the reading thread alone."""


def maker(records: int) -> Make:
    """Return what makes the record of a number: 1,000 clients, 500 tokens, 40 models, 2 % errors, one each 0.5 s."""
    chance = random.Random(1)
    needles = {records * n // NEEDLES + records // 50: n for n in range(NEEDLES)}

    def make(number: int) -> Record:
        at = START_S + number * 0.5
        id = uuid7(at, chance.getrandbits)
        model = chance.choice(MODELS)
        failed = chance.random() < 0.02
        provider = model.partition("-")[0]
        asked = "retired" if number < records * RETIRED_SHARE else model
        if number in needles:
            asked = f"needle-{needles[number]}"
        return Record(
            id=id,
            request_id=f"app-{chance.getrandbits(64):x}" if number % 3 == 0 else id,
            correlation_id=None,
            at_accept=at,
            source=f"10.0.{chance.randrange(4)}.{chance.randrange(250)}",
            method="POST",
            path=chance.choice(["/v1/chat/completions"] * 8 + ["/v1/embeddings", "/v1/completions"]),
            route="models",
            dialect=chance.choice(["openai", "openai", "ollama"]),
            streaming=number % 2 == 0,
            model=asked,
            upstream_model=f"{model}-2026-01-01",
            provider=provider,
            upstream=f"https://{provider}.example:443",
            attempts=[Attempt(provider, model, 500 if failed else 200, None, True)],
            status=502 if failed else 200,
            outcome="upstream_failed" if failed else "done",
            error="upstream_connection_failed" if failed else None,
            finish_reason="stop",
            usage=Usage(chance.randrange(4000), chance.randrange(1000)),
            bytes_in=chance.randrange(20_000),
            bytes_out=chance.randrange(5_000),
            duration_s=chance.expovariate(0.5),
            timings={"body": 0.001, "upstream_sent": 0.002, "first_byte": 0.4, "last_byte": 1.9},
            token=f"nr-{chance.randrange(500):04}...",
            project=f"team-{chance.randrange(40)}",
            request_sha256=f"{chance.getrandbits(256):064x}",
            response_sha256=f"{chance.getrandbits(256):064x}",
            request_copy=Copy("boot", number, 1000, True),
            response_copy=Copy("boot", number, 2000, True),
        )

    return make


def filters(records: int) -> dict[str, Callable[[random.Random], Query]]:
    """Return what is asked for: a name, and a query of that kind."""

    def typed(form: Callable[[random.Random], str]) -> Callable[[random.Random], Query]:
        return lambda chance: Query(terms=parse(form(chance)))

    def somewhere(chance: random.Random) -> str:
        return uuid7(START_S + chance.randrange(records) * 0.5, chance.getrandbits)

    return {
        "first page": lambda chance: Query(),
        "a page far down": lambda chance: Query(before=somewhere(chance)),
        "the page before one far down": lambda chance: Query(after=somewhere(chance)),
        "the same of model:gpt": lambda chance: Query(after=somewhere(chance), terms=parse("model:gpt")),
        "common: model:gpt": typed(lambda chance: "model:gpt"),
        "common bare word: llama": typed(lambda chance: "llama"),
        "one client: host:10.0.x.y": typed(lambda chance: f"host:10.0.{chance.randrange(4)}.{chance.randrange(250)}"),
        "failures: status:502": typed(lambda chance: "status:502"),
        "two terms: identity:x model:y": typed(
            lambda chance: f"identity:nr-{chance.randrange(500):04} model:{chance.choice(MODELS)}"
        ),
        "rare: model:needle-x": typed(lambda chance: f"model:needle-{chance.randrange(NEEDLES)}"),
        "rare bare word: needle-x": typed(lambda chance: f"needle-{chance.randrange(NEEDLES)}"),
        "common long ago: model:retired": typed(lambda chance: "model:retired"),
        "absent: model:x": typed(lambda chance: f"model:absent{chance.randrange(1000)}"),
        "absent bare word": typed(lambda chance: f"absent{chance.randrange(1000)}"),
        "two common ones that never meet": typed(lambda chance: "provider:qwen model:mistral"),
        "the same before some time": lambda chance: Query(
            terms=parse("provider:qwen model:mistral"), until_s=START_S + chance.randrange(records) * 0.5
        ),
        "the same newer than far down": lambda chance: Query(
            terms=parse("provider:qwen model:mistral"), after=somewhere(chance)
        ),
        "two common bare words that never meet": typed(lambda chance: "qwen mistral"),
    }


def measure(database: Database, records: int, rounds: int) -> Iterator[Row]:
    """Yield what each kind of page took."""
    chance = random.Random(2)
    kinds = filters(records)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    # In turns, so that no kind finds the pages of its own last round at hand.
    for _ in range(rounds):
        for name, ask in kinds.items():
            query = ask(chance)
            began, cpu_began = time.perf_counter(), time.thread_time()
            database.read(search.page, query, PAGE)
            taken[name].append((time.perf_counter() - began, time.thread_time() - cpu_began))
    for name, pairs in taken.items():
        times, cpu_times = zip(*pairs, strict=True)
        yield Row(name, percentile(times, 0.5), percentile(times, 0.95), percentile(cpu_times, 0.95))


def fill(database: Database, make: Make, numbers: range) -> tuple[float, float]:
    """Add records to a database that has few; return how many a second, by the clock and by CPU time of this process.

    The rows are those that the sink writes. Their indexes are made when all are there, which takes a few seconds where
    each of a million rows in its turn would touch all of them.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    database.write(_drop_indexes)
    for start in range(numbers.start, numbers.stop, FILL_BATCH):
        database.write(_copy, [make(number) for number in range(start, min(start + FILL_BATCH, numbers.stop))])
    database.write(_make_indexes)
    return len(numbers) / (time.perf_counter() - began), len(numbers) / (time.process_time() - cpu_began)


def _drop_indexes(connection: Connection) -> None:
    for index in records_table.indexes:
        index.drop(connection)


def _make_indexes(connection: Connection) -> None:
    for index in records_table.indexes:
        index.create(connection)
    if connection.dialect.name == "postgresql":
        # As its autovacuum does after a while.
        connection.exec_driver_sql("ANALYZE")


def _copy(connection: Connection, new: Sequence[Record]) -> None:
    """Write records none of which is there."""
    for table, rows in zip((records_table, documents_table), writing.rows(connection, new), strict=True):
        writing.put(connection, table, rows)


def read_while_writing(database: Database, make: Make, records: int, rounds: int) -> tuple[list[Row], float]:
    """Measure while a thread adds batches; return that, and how many records a second it added."""
    ending = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not ending.is_set():
            start = records + written
            database.write(writing.add, [make(number) for number in range(start, start + BATCH)])
            written += BATCH

    writer = threading.Thread(target=write)
    began = time.perf_counter()
    writer.start()
    try:
        rows = show(measure(database, records, rounds))
    finally:
        ending.set()
        writer.join()
    return rows, written / (time.perf_counter() - began)


def show(rows: Iterable[Row]) -> list[Row]:
    """Print the rows in milliseconds; return them."""
    print(f"\n| {'page of 100':<34} | p50 ms | p95 ms | CPU p95 ms |\n| {'---':<34} | ---: | ---: | ---: |")
    shown = []
    for row in rows:
        times = (row.p50_s, row.p95_s, row.cpu_p95_s)
        print(f"| {row.name:<34} | {' | '.join(f'{one * 1000:6.1f}' for one in times)} |", flush=True)
        shown.append(row)
    return shown


def run(store: str, folder: Path, records: int, rounds: int) -> dict[str, Any]:
    """Fill a database, read from it, and return what was measured."""
    url = locate(store, folder)
    migrate(url.render_as_string(hide_password=False))
    database = Database(url, lambda _: None, time.monotonic)
    make = maker(records)
    there = database.read(search.count, Query())
    others = Others()
    filled = None
    if there < records:
        filled, by_cpu = fill(database, make, range(there, records))
        print(f"{records - there:,} records added at {filled:,.0f} a second, {by_cpu:,.0f} a second of CPU")
    alone = show(measure(database, records, rounds))
    began = time.perf_counter()
    database.read(figures.stats, START_S + records * 0.5)
    stats_s = time.perf_counter() - began
    print(f"\nall figures of the dashboard: {stats_s * 1000:.0f} ms")
    busy, rate = read_while_writing(database, make, max(records, there), rounds)
    print(f"\nmeanwhile {rate:,.0f} records a second were added")
    if url.drivername == "sqlite":
        print(f"the file: {os.path.getsize(str(url.database)) / 2**20:,.0f} MiB")
    print(f"other processes kept {others.cores():.2f} cores busy")
    database.close()
    rows = {"alone": [asdict(row) for row in alone], "while_adding": [asdict(row) for row in busy]}
    return {"records": records, "filled_per_s": filled, "stats_s": stats_s, "added_per_s": rate, **rows}


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logs", description="Measure how records are found.")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--store", default="sqlite", help="sqlite, or a postgresql:// URL of an empty database")
    parser.add_argument("--folder", type=Path, help="keeps the file of SQLite for another run")
    parser.add_argument("--json", type=Path, help="writes what was measured there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netrunner-logs-") as folder:
        measured = run(options.store, options.folder or Path(folder), options.records, options.rounds)
    if options.json is not None:
        options.json.write_text(json.dumps(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
