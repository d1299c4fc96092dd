"""One daemon with every kind of provider behind it, and a client of every dialect before it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Self

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini as GeminiClient
from tests.integration.matrix.clients.ollama import Ollama as OllamaClient
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_completions import Completions
from tests.integration.matrix.clients.openai_responses import Responses
from tests.integration.matrix.scenarios import SCENARIOS, Cell, run
from tests.integration.matrix.table import Place
from tests.integration.matrix.terms import MODEL
from tests.integration.matrix.upstreams.anthropic import Anthropic
from tests.integration.matrix.upstreams.cohere import Cohere
from tests.integration.matrix.upstreams.gemini import Gemini
from tests.integration.matrix.upstreams.gigachat import GigaChat
from tests.integration.matrix.upstreams.ollama import Ollama
from tests.integration.matrix.upstreams.openai import OpenAI
from tests.integration.matrix.upstreams.server import Upstream
from tests.support.daemon import Daemon

INBOUND: dict[str, type[Client]] = {
    one.name: one for one in (Chat, Completions, Responses, Messages, GeminiClient, OllamaClient)
}
OUTBOUND: dict[str, type[Upstream]] = {one.name: one for one in (OpenAI, Anthropic, Gemini, Ollama, Cohere, GigaChat)}


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
        self.upstreams = upstreams
        self._clients = {name: enter(kind(self._daemon.port)) for name, kind in INBOUND.items()}
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def port(self) -> int:
        """The daemon's."""
        return self._daemon.port

    def run(self, place: Place) -> str:
        """Return what comes of a cell."""
        cell = Cell(self._clients[place.inbound], self.upstreams[place.outbound], place.outbound)
        return run(SCENARIOS[place.scenario], cell)
