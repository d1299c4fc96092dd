"""Each scripted upstream against the official SDK of its own dialect: it is a fair stand-in for the provider."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.cohere import Cohere as CohereClient
from tests.integration.matrix.clients.gemini import Gemini as GeminiClient
from tests.integration.matrix.clients.gigachat import GigaChat as GigaChatClient
from tests.integration.matrix.clients.ollama import Ollama as OllamaClient
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_completions import Completions
from tests.integration.matrix.scenarios import OF_COMPLETIONS, OK, SCENARIOS, Cell, run
from tests.integration.matrix.terms import MODEL, Request
from tests.integration.matrix.upstreams.anthropic import Anthropic
from tests.integration.matrix.upstreams.cohere import Cohere
from tests.integration.matrix.upstreams.gemini import Gemini
from tests.integration.matrix.upstreams.gigachat import GigaChat
from tests.integration.matrix.upstreams.ollama import Ollama
from tests.integration.matrix.upstreams.openai import OpenAI
from tests.integration.matrix.upstreams.server import Upstream

pytestmark = pytest.mark.integration

KEY = "sk-matrix"
Pair = tuple[type[Upstream], type[Client], str]
"""An upstream, its SDK, and the path of the API that the SDK is told."""

PAIRS: list[Pair] = [
    (OpenAI, Chat, "/v1"),
    (Anthropic, Messages, ""),
    (Gemini, GeminiClient, ""),
    (Ollama, OllamaClient, ""),
    (Cohere, CohereClient, ""),
    (GigaChat, GigaChatClient, "/v1"),
]
# No SDK notices every cut, nor tells every error in the middle of a stream.
FAIR = [name for name in SCENARIOS if name not in ("error", "cut mid-stream")]
FAIR_PAIRS = [(pair, name) for pair in PAIRS for name in FAIR]


@contextlib.contextmanager
def cell_of(pair: Pair) -> Iterator[Cell]:
    upstream_class, client_class, base = pair
    with upstream_class() as upstream, client_class(upstream.port, base, KEY) as client:
        yield Cell(client, upstream, MODEL)


@pytest.mark.parametrize(("pair", "scenario"), FAIR_PAIRS, ids=[f"{pair[0].name}-{name}" for pair, name in FAIR_PAIRS])
def test_the_official_sdk_takes_the_upstream_for_its_provider(pair: Pair, scenario: str) -> None:
    with cell_of(pair) as cell:
        assert run(SCENARIOS[scenario], cell) == OK + cell.remark


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("pair", PAIRS, ids=[pair[0].name for pair in PAIRS])
def test_the_official_sdk_understands_what_the_upstream_refuses(pair: Pair, streaming: bool) -> None:
    with cell_of(pair) as cell:
        assert cell.refused(Request(stream=streaming), "refuses").status == 429


@pytest.mark.parametrize("scenario", OF_COMPLETIONS[:2])
def test_the_upstream_of_openai_completes_a_text(scenario: str) -> None:
    with cell_of((OpenAI, Completions, "/v1")) as cell:
        assert run(SCENARIOS[scenario], cell) == OK
