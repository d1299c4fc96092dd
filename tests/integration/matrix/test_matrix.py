"""Every inbound dialect, by its official SDK, to every outbound one, through the real daemon.

What comes of each cell is what ``docs/compatibility.md`` says; ``make matrix`` writes it there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.matrix import table
from tests.integration.matrix.matrix import INBOUND, OUTBOUND, Matrix
from tests.integration.matrix.scenarios import OF_COMPLETIONS, SCENARIOS
from tests.integration.matrix.table import PAGE, Place

pytestmark = pytest.mark.integration

WRITE = os.environ.get("NETRUNNER_WRITE_MATRIX") == "1"
"""Whether the run writes the table instead of comparing with it."""

PLACES = [
    Place(inbound, scenario, outbound)
    for inbound in INBOUND
    for scenario in (SCENARIOS if INBOUND[inbound].chats else OF_COMPLETIONS)
    for outbound in OUTBOUND
]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with Matrix(tmp_path_factory.mktemp("matrix") / "daemon") as matrix:
        yield matrix


@pytest.fixture(scope="module")
def documented() -> Iterator[dict[Place, str]]:
    """The cells as the page says; what a run puts into them is written, if it is to be."""
    cells = table.read(PAGE.read_text())
    yield cells
    if WRITE:
        known = {place: cells.get(place, table.UNKNOWN) for place in PLACES}
        PAGE.write_text(table.written(PAGE.read_text(), known))


@pytest.mark.parametrize("place", PLACES, ids=["-".join(place).replace(" ", "_") for place in PLACES])
def test_a_cell_is_what_the_page_says(matrix: Matrix, documented: dict[Place, str], place: Place) -> None:
    found = matrix.run(place)
    if WRITE:
        documented[place] = found
    assert documented[place] == found


def test_the_page_has_every_cell_and_no_other() -> None:
    page = PAGE.read_text()
    assert list(table.read(page)) == PLACES
    assert table.written(page, table.read(page)) == page
