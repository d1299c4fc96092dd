"""The official SDK of every inbound dialect through netrunner to a fake provider of others' making, in each dialect.

It is no oracle (its Gemini finishes with words that are none, its Anthropic counts nothing), so what matters is that
its answers are read, and that it understands what it is asked, as its journal tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.terms import OSLO, QUESTION, Request
from tests.support.aimock import Aimock
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration

CLIENTS: dict[str, type[Client]] = {one.name: one for one in (Chat, Messages, Gemini)}
TEXT = "It is fine in Oslo today, and will be so tomorrow."
FIXTURES: list[dict[str, Any]] = [
    {
        "match": {"userMessage": QUESTION, "toolName": OSLO.name},
        "response": {"toolCalls": [{"name": OSLO.name, "arguments": OSLO.arguments}]},
    },
    {"match": {"userMessage": QUESTION}, "response": {"content": TEXT}},
]
PROVIDERS = {
    "openai": "/v1",
    "azure_openai": "/openai/v1",
    "openrouter": "/api/v1",
    "anthropic": "/v1",
    "gemini": "/v1beta",
    "ollama": "/api",
    "cohere": "/v2",
}
"""Where the dialect of each type of providers is there."""
CELLS = [(client, provider) for client in CLIENTS for provider in PROVIDERS]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    with Aimock(tmp_path_factory.mktemp("aimock"), FIXTURES) as aimock:
        yield aimock


@pytest.fixture(scope="module")
def daemon(aimock: Aimock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = "providers:\n"
    for name, base in PROVIDERS.items():
        config += f"  {name}: {{type: {name}, base_url: 'http://127.0.0.1:{aimock.port}{base}', api_key: sk-fake}}\n"
    config += "models:\n"
    config += "".join(f"  - {{name: {name}, targets: [{{provider: {name}, model: m}}]}}\n" for name in PROVIDERS)
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
        yield daemon


@pytest.mark.parametrize(("client", "provider"), CELLS)
def test_a_stream_of_a_provider_that_others_wrote_is_read(
    daemon: Daemon, aimock: Aimock, client: str, provider: str
) -> None:
    aimock.journal()
    with CLIENTS[client](daemon.port) as sdk:
        result = sdk.ask(provider, Request(stream=True, temperature=None))
    assert (result.text, result.finish) == (TEXT, "stop")
    assert [asked["response"]["status"] for asked in aimock.journal()] == [200]


# Between two speakers of Gemini's dialect nothing is changed, and its word for this finish is none of Gemini's.
@pytest.mark.parametrize(("client", "provider"), [cell for cell in CELLS if cell != (Gemini.name, "gemini")])
def test_a_call_of_a_provider_that_others_wrote_is_read(daemon: Daemon, client: str, provider: str) -> None:
    with CLIENTS[client](daemon.port) as sdk:
        result = sdk.ask(provider, Request(tools=True, temperature=None))
    assert [(call.name, call.arguments) for call in result.calls] == [(OSLO.name, OSLO.arguments)]
    assert result.finish == "tool_calls"
