"""Streams that begin while their callers wait for a limit, as the official SDKs take them from a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini
from tests.integration.matrix.clients.ollama import Ollama
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_responses import Responses
from tests.integration.matrix.terms import Refused, Request, Result
from tests.integration.test_keepalives import COMMENT, FINISH, USAGE, chunk, event
from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, whole

pytestmark = pytest.mark.integration

LAST = whole().replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
REFUSAL = json.dumps({"error": {"message": "The model has caught fire.", "type": "server_error"}}).encode()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def daemon(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = (
        f"providers: {{up: {{type: openai, responses: false, base_url: 'http://127.0.0.1:{provider.port}/v1'}}}}\n"
        "models: [{name: m, targets: [{provider: up, model: m}]}]\n"
        "filters: [{type: rate_limit, per: global, concurrency: 1, queue: {max_wait_s: 60, keepalive_s: 0.1}}]\n"
    )
    with Daemon(tmp_path_factory.mktemp("waiting"), config) as daemon:
        yield daemon


class Waiting:
    """A client whose stream has begun while it waits for the one place there is; a context manager."""

    def __init__(self, daemon: Daemon, provider: Provider, kind: type[Client]) -> None:
        self._daemon = daemon
        self._provider = provider
        self._kind = kind

    def __enter__(self) -> Waiting:
        with ExitStack() as stack:
            holder = stack.enter_context(dial(self._daemon.port))
            holder.send(chat(stream=False))
            upstream = self.next(stack)
            client = stack.enter_context(self._kind(self._daemon.port))
            self.answer: Future[Result] = stack.enter_context(ThreadPoolExecutor(1)).submit(
                client.ask, "m", Request(stream=True)
            )
            self._daemon.wait_for(lambda: len(self._daemon.control("inflight")["inflight"]) == 2)
            with dial(self._daemon.port) as speaker:
                speaker.send(chat())
                # When this one has had two, the one that waits before it has had one.
                speaker.until(COMMENT)
                speaker.until(COMMENT)
            upstream.send(LAST)
            self.upstream = self.next(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self, stack: ExitStack) -> Peer:
        """Return the provider's end of the next request."""
        upstream = stack.enter_context(self._provider.accept())
        upstream.message()
        return upstream


@pytest.mark.parametrize("kind", [Chat, Responses, Messages, Gemini, Ollama])
def test_official_clients_read_the_answer_behind_signs_of_life(
    daemon: Daemon, provider: Provider, kind: type[Client]
) -> None:
    with Waiting(daemon, provider, kind) as waiting:
        told = event("Good") + event(" bye") + chunk(FINISH) + chunk([], usage=USAGE)
        waiting.upstream.send(STREAM_HEAD + told + END_OF_BODY)
        assert waiting.answer.result().text == "Good bye"


@pytest.mark.parametrize("kind", [Chat, Messages])
def test_official_clients_raise_what_is_told_behind_signs_of_life(
    daemon: Daemon, provider: Provider, kind: type[Client]
) -> None:
    with Waiting(daemon, provider, kind) as waiting:
        waiting.upstream.send(whole(REFUSAL).replace(b"200 OK", b"500 Broken", 1))
        with pytest.raises(Refused) as raised:
            waiting.answer.result()
    assert "The model has caught fire." in raised.value.message
    assert raised.value.status in (None, 200)
