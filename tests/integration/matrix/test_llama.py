"""The official SDK of every inbound dialect through netrunner to a real llama.cpp, which no test has written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini
from tests.integration.matrix.clients.ollama import Ollama
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_completions import Completions
from tests.integration.matrix.clients.openai_responses import Responses
from tests.integration.matrix.terms import Request
from tests.support.daemon import Daemon
from tests.support.llama import MODEL, Llama

pytestmark = pytest.mark.integration

CLIENTS: dict[str, type[Client]] = {one.name: one for one in (Chat, Completions, Responses, Messages, Gemini, Ollama)}
CHATTING = [name for name, client in CLIENTS.items() if client.chats]
TOKENS = 40


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("llama")
    with Llama(folder) as llama:
        config = (
            f"providers: {{llama: {{type: openai, base_url: 'http://127.0.0.1:{llama.port}/v1', responses: false}}}}\n"
            f"models: [{{name: alias, targets: [{{provider: llama, model: {MODEL}}}]}}]\n"
        )
        with Daemon(folder / "daemon", config) as daemon:
            yield daemon


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_llama_answers_until_it_has_said_as_much_as_it_may(daemon: Daemon, client: str, streaming: bool) -> None:
    with CLIENTS[client](daemon.port) as sdk:
        result = sdk.ask("alias", Request(stream=streaming, max_tokens=TOKENS, temperature=None))
    assert result.text
    assert result.finish == "other"
    assert result.tokens[0] > 0
    assert result.tokens[1] == TOKENS
    assert result.pieces > 1 or not streaming
    assert result.dropped == ()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", CHATTING)
def test_llamas_grammar_forces_the_form_that_was_asked_for(daemon: Daemon, client: str, streaming: bool) -> None:
    with CLIENTS[client](daemon.port) as sdk:
        result = sdk.ask("alias", Request(stream=streaming, schema=True, temperature=None))
    answer = json.loads(result.text)
    assert list(answer) == ["sky"]
    assert answer["sky"] in ("clear", "grey")
    assert result.finish == "stop"
