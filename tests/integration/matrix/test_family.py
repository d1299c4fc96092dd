"""SDKs of OpenAI's family through netrunner to a provider that speaks as OpenAI does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.family import Groq, HuggingFace, LangChain, Mistral
from tests.integration.matrix.scenarios import OK, SCENARIOS, Cell, run
from tests.integration.matrix.terms import MODEL
from tests.integration.matrix.upstreams.openai import OpenAI
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration

MEMBERS: dict[str, type[Client]] = {one.name: one for one in (Groq, Mistral, HuggingFace, LangChain)}


@pytest.fixture(scope="module")
def upstream() -> Iterator[OpenAI]:
    with OpenAI() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, upstream: OpenAI) -> Iterator[Daemon]:
    config = (
        f"providers: {{openai: {{{upstream.config}}}}}\n"
        f"models: [{{name: alias, targets: [{{provider: openai, model: {MODEL}}}]}}]\n"
    )
    with Daemon(tmp_path_factory.mktemp("family") / "daemon", config, environ={"MATRIX_KEY": "sk-matrix"}) as daemon:
        yield daemon


@pytest.mark.parametrize("scenario", ["text", "stream", "tool call"])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_openais_family_is_served(daemon: Daemon, upstream: OpenAI, member: str, scenario: str) -> None:
    with MEMBERS[member](daemon.port) as client:
        assert run(SCENARIOS[scenario], Cell(client, upstream, "alias")) == OK
