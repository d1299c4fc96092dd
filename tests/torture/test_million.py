"""A million records in the database: pages, filters and searches stay quick, in both directions and while it grows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.crowd import Figures
from tests.support.daemon import ROOT
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.torture]

RECORDS = 1_000_000
ROUNDS = 20
MOST_S = 0.150
"""What a page may take at p95 while nothing is written."""
PATIENCE_S = 3600


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        yield "sqlite" if request.param == "sqlite" else stack.enter_context(Postgres()).database()


def test_a_million_records_are_searched_as_a_few_are(store: str, tmp_path: Path, figures: Figures) -> None:
    found = measured(store, tmp_path)
    figures.add("records, filled a second", f"{found['records']:,}, {found['filled_per_s']:,.0f}")
    while_adding = {row["name"]: row for row in found["while_adding"]}
    for row in found["alone"]:
        name = row["name"]
        both = f"{milliseconds(row)}; while records are added {milliseconds(while_adding[name])}"
        figures.add(f"{name}, p50 and p95, ms", both)
    figures.add("added a second meanwhile", f"{found['added_per_s']:,.0f}")
    figures.add("all figures of the dashboard, ms", f"{found['stats_s'] * 1000:.0f}")
    slow = [row["name"] for row in found["alone"] if row["p95_s"] > MOST_S]
    assert slow == []


def measured(store: str, folder: Path) -> dict[str, Any]:
    """Fill a database in a process of its own and read from it there."""
    path = folder / "measured.json"
    command = [sys.executable, "-m", "benchmarks.logs", "--records", str(RECORDS), "--rounds", str(ROUNDS)]
    command += ["--store", store, "--folder", str(folder), "--json", str(path)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=PATIENCE_S, check=True)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def milliseconds(row: dict[str, Any]) -> str:
    return f"{row['p50_s'] * 1000:.1f} and {row['p95_s'] * 1000:.1f}"
