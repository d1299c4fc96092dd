"""The table of the matrix in ``docs/compatibility.md``: read by the test, written by ``make matrix``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"
_PART = re.compile(r"(?<=<!-- matrix -->\n).*(?=<!-- end of the matrix -->)", re.DOTALL)
UNKNOWN = "?"


class Place(NamedTuple):
    """Where a cell stands."""

    inbound: str
    scenario: str
    outbound: str


Cells = Mapping[Place, str]


def read(page: str) -> dict[Place, str]:
    """Return every cell of the page."""
    cells: dict[Place, str] = {}
    inbound: str = ""
    columns: list[str] = []
    for line in _part(page).splitlines():
        if line.startswith("### "):
            inbound, columns = line.removeprefix("### "), []
        elif line.startswith("|") and not line.startswith("|---"):
            first, *rest = (text.strip() for text in line.strip("|").split("|"))
            if columns:
                cells |= {Place(inbound, first, one): text for one, text in zip(columns, rest, strict=True)}
            else:
                columns = rest
    return cells


def written(page: str, cells: Cells) -> str:
    """Return the page with these cells, in their order, in place of its own."""
    inbounds, outbounds = _each(cells, 0), _each(cells, 2)
    lines = []
    for inbound in inbounds:
        lines += [f"### {inbound}", "", f"| | {' | '.join(outbounds)} |", f"|---|{'---|' * len(outbounds)}"]
        for scenario in _each([place for place in cells if place.inbound == inbound], 1):
            row = [cells.get(Place(inbound, scenario, one), UNKNOWN) for one in outbounds]
            lines.append(f"| {scenario} | {' | '.join(row)} |")
        lines.append("")
    return _PART.sub(lambda _: "\n" + "\n".join(lines) + "\n", page)


def _part(page: str) -> str:
    found = _PART.search(page)
    assert found is not None, "docs/compatibility.md has no place for the matrix"
    return found[0]


def _each(places: Iterable[Place], field: int) -> list[str]:
    return list(dict.fromkeys(place[field] for place in places))
