"""The table for people and the JSON for machines.

This module must not measure.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import Row, Sample, summarise
from benchmarks.parts import RATE

BASE = "nginx"


def table(rows: Sequence[Row], relays: Sequence[str]) -> str:
    """Return the rows as a Markdown table: medians, then each relay's ratio to nginx."""
    compared = [relay for relay in relays if relay not in ("direct", BASE)]
    titles = ["", "unit", *relays, *(f"{relay} / {BASE}" for relay in compared), "aim"]
    lines = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 3) + ["---"]]
    for row in rows:
        values = [_figure(row.medians.get(relay)) for relay in relays]
        ratios = [_figure(row.ratios.get(relay)) for relay in compared]
        lines.append([row.measure.name, row.measure.unit, *values, *ratios, row.measure.aim])
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(_line(line, widths) for line in lines)


def versus(samples: Sequence[Sample], peer: str, aim: int) -> str:
    """Return lines that tell how many times as many requests our relays answered as ``peer`` did.

    Args:
        samples: What was found.
        peer: The relay compared with.
        aim: How many times as many it is to be.
    """
    rates = [sample for sample in samples if sample.measure == RATE]
    ratios = summarise(rates, peer)[0].ratios if rates else {}
    return "".join(
        f"{relay} answered {_figure(ratios[relay])} times as many requests as {peer}; aim >= {aim}.\n"
        for relay in ("netrunner", "recorded")
        if relay in ratios
    )


def document(rows: Sequence[Row], samples: Sequence[Sample], busy_cores: float) -> str:
    """Return everything as JSON: the machine, the rows, and each round's figures.

    Args:
        rows, samples: What was found.
        busy_cores: How many cores other processes kept busy meanwhile.
    """
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    content: dict[str, Any] = {
        "machine": machine,
        "busy_cores": busy_cores,
        "rows": [asdict(row) for row in rows],
        "samples": [asdict(sample) for sample in samples],
    }
    return json.dumps(content, indent=1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
