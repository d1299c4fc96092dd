"""Every inbound dialect, by its official SDK, to every outbound one, through the real daemon.

What comes of each cell is what ``docs/compatibility.md`` says; ``make matrix`` writes it there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.integration.matrix import table
from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini as GeminiClient
from tests.integration.matrix.clients.ollama import Ollama as OllamaClient
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_completions import Completions
from tests.integration.matrix.clients.openai_responses import Responses
from tests.integration.matrix.scenarios import OF_COMPLETIONS, SCENARIOS, Cell, run
from tests.integration.matrix.table import PAGE, Place
from tests.integration.matrix.terms import MODEL
from tests.integration.matrix.upstreams.anthropic import Anthropic
from tests.integration.matrix.upstreams.cohere import Cohere
from tests.integration.matrix.upstreams.gemini import Gemini
from tests.integration.matrix.upstreams.gigachat import GigaChat
from tests.integration.matrix.upstreams.ollama import Ollama
from tests.integration.matrix.upstreams.openai import OpenAI
from tests.integration.matrix.upstreams.server import Upstream
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration

WRITE = os.environ.get("NETRUNNER_WRITE_MATRIX") == "1"
"""Whether the run writes the table instead of comparing with it."""

INBOUND: dict[str, type[Client]] = {
    one.name: one for one in (Chat, Completions, Responses, Messages, GeminiClient, OllamaClient)
}
OUTBOUND: dict[str, type[Upstream]] = {one.name: one for one in (OpenAI, Anthropic, Gemini, Ollama, Cohere, GigaChat)}
PLACES = [
    Place(inbound, scenario, outbound)
    for inbound in INBOUND
    for scenario in (SCENARIOS if INBOUND[inbound].chats else OF_COMPLETIONS)
    for outbound in OUTBOUND
]


class Matrix:
    """One daemon, an upstream of each kind behind it, a client of each kind before it; a context manager.

    Args:
        folder: The daemon's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        upstreams = {name: enter(kind()) for name, kind in OUTBOUND.items()}
        providers = "".join(f"  {name}: {{{one.config}}}\n" for name, one in upstreams.items())
        models = "".join(
            f"  - {{name: {name}, targets: [{{provider: {name}, model: {MODEL}}}]}}\n" for name in upstreams
        )
        config = f"providers:\n{providers}models:\n{models}"
        self._daemon = enter(Daemon(self._folder, config, environ={"MATRIX_KEY": "sk-matrix"}))
        self._upstreams = upstreams
        self._clients = {name: enter(kind(self._daemon.port)) for name, kind in INBOUND.items()}
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def run(self, place: Place) -> str:
        """Return what comes of a cell."""
        cell = Cell(self._clients[place.inbound], self._upstreams[place.outbound], place.outbound)
        return run(SCENARIOS[place.scenario], cell)


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
