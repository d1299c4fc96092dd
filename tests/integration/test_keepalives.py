"""Signs of life in silent streams, as the official SDKs take them from a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.matrix.clients.anthropic import Messages
from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.clients.gemini import Gemini
from tests.integration.matrix.clients.ollama import Ollama
from tests.integration.matrix.clients.openai_chat import Chat
from tests.integration.matrix.clients.openai_responses import Responses
from tests.integration.matrix.terms import Request
from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial

pytestmark = pytest.mark.integration

FINISH = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
COMMENT = b": keepalive\n\n"
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def daemon(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    where = f"base_url: 'http://127.0.0.1:{provider.port}/v1', pool: {{max_idle: 0}}"
    config = (
        "server: {keepalive_s: 0.1}\n"
        "providers:\n"
        f"  up: {{type: openai, responses: false, {where}}}\n"
        f"  raw: {{type: openai, repair: false, {where}}}\n"
        "models: [{name: m, targets: [{provider: up, model: m}]}, {name: raw, targets: [{provider: raw, model: m}]}]\n"
    )
    with Daemon(tmp_path_factory.mktemp("silent"), config) as daemon:
        yield daemon


def event(words: str) -> bytes:
    return chunk([{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}])


def chunk(choices: list[Any], **more: Any) -> bytes:
    document = {**HEAD, "choices": choices, **more}
    data = b"data: " + json.dumps(document).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun(provider: Provider) -> Peer:
    """Return the provider's side of a stream that has begun and is silent."""
    upstream = provider.accept()
    upstream.message()
    upstream.send(STREAM_HEAD + event("Good"))
    return upstream


@pytest.mark.parametrize("kind", [Chat, Responses, Messages, Gemini, Ollama])
def test_official_clients_read_on_after_signs_of_life(daemon: Daemon, provider: Provider, kind: type[Client]) -> None:
    with kind(daemon.port) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ask, "m", Request(stream=True))
        with begun(provider) as upstream:
            with dial(daemon.port) as speaker:
                speaker.send(chat())
                with begun(provider):
                    # When this one has had two, the stream that was silent before it has had one.
                    speaker.until(COMMENT)
                    speaker.until(COMMENT)
            upstream.send(event(" bye") + chunk(FINISH) + chunk([], usage=USAGE) + END_OF_BODY)
            assert answer.result().text == "Good bye"


def numbered(*events: bytes) -> bytes:
    """Return events whose first field is an id, as one chunk."""
    data = b"".join(b"id: 1\n" + one.partition(b"\r\n")[2].removesuffix(b"\r\n") for one in events)
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_a_sign_of_life_behind_an_id_is_passed_over_too(daemon: Daemon, provider: Provider) -> None:
    with Chat(daemon.port) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ask, "raw", Request(stream=True))
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + numbered(event("Good")))
            with dial(daemon.port) as speaker:
                speaker.send(chat(model="raw"))
                with provider.accept() as other:
                    other.message()
                    other.send(STREAM_HEAD + numbered(event("Good")))
                    speaker.until(b": keepalive\n")
                    speaker.until(b": keepalive\n")
            upstream.send(numbered(event(" bye"), chunk(FINISH), chunk([], usage=USAGE)) + END_OF_BODY)
            assert answer.result().text == "Good bye"
