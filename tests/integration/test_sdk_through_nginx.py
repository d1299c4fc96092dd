"""The official SDK through nginx and netrunner: to a real llama.cpp, and to a provider that the test plays."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import openai
import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, event
from tests.support.llama import ENDLESS, MODEL, Llama
from tests.support.nginx import Nginx
from tests.support.sdk import Records, async_client, client, named, said, text_of

pytestmark = pytest.mark.integration

SAME = {"temperature": 0, "seed": 1, "max_tokens": 40}
TOKEN = "let-me-in-through-nginx"
CONFIG = """
providers:
  echo: {{type: echo}}
  llama: {{type: openai, base_url: "http://127.0.0.1:{llama}/v1"}}
  played: {{type: openai, base_url: "http://127.0.0.1:{played}/v1"}}
models:
  - {{name: echo, targets: [{{provider: echo, model: echo}}]}}
  - {{name: llama, targets: [{{provider: llama, model: {model}}}]}}
  - {{name: played, targets: [{{provider: played, model: played}}]}}
access: {{mode: token, token: {{env: TOKEN}}}}
"""


class Chain(NamedTuple):
    """Everything between the SDK and who answers."""

    nginx: Nginx
    daemon: Daemon
    records: Records
    llama: Llama
    provider: Provider
    sdk: Any


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    records = Records(folder / "records.jsonl")
    with Provider() as provider, Llama(folder) as llama:
        config = CONFIG.format(llama=llama.port, played=provider.port, model=MODEL) + records.config
        with (
            Daemon(folder / "daemon", config, environ={"TOKEN": TOKEN}) as daemon,
            Nginx(folder / "nginx", daemon.port) as nginx,
            client(nginx.port, api_key=TOKEN) as sdk,
        ):
            yield Chain(nginx, daemon, records, llama, provider, sdk)


def test_a_chat_is_answered_whole(chain: Chain) -> None:
    with client(chain.llama.port) as direct:
        itself = direct.chat.completions.create(model=MODEL, messages=said("Hi"), **SAME)
    answer = chain.sdk.chat.completions.create(model="llama", messages=said("Hi"), **SAME)
    assert answer.choices == itself.choices
    assert answer.usage == itself.usage


def test_a_chat_is_streamed(chain: Chain) -> None:
    whole = chain.sdk.chat.completions.create(model="llama", messages=said("Hi"), **SAME)
    stream = chain.sdk.chat.completions.create(model="llama", messages=said("Hi"), stream=True, **SAME)
    assert text_of(stream) == whole.choices[0].message.content


def test_the_first_event_arrives_before_the_second_is_made(chain: Chain) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(chain.sdk.chat.completions.create, model="played", messages=said("Hi"), stream=True)
        with chain.provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("one"))
            stream = asked.result()
            assert next(stream).choices[0].delta.content == "one"
            upstream.send(event("two") + event("[DONE]") + END_OF_BODY)
            assert text_of(stream) == "two"


def test_a_stream_that_breaks_raises(chain: Chain) -> None:
    stream = chain.sdk.chat.completions.create(model="echo", messages=said("/echo cut=1 one two"), stream=True)
    with pytest.raises(openai.APIError) as raised:
        list(stream)
    assert raised.value.code == "upstream_truncated"


def test_a_large_body_passes(chain: Chain) -> None:
    text = "word " * 400_000
    assert chain.sdk.chat.completions.create(model="echo", messages=said(text)).choices[0].message.content == text


def test_a_stranger_is_refused(chain: Chain) -> None:
    with client(chain.nginx.port) as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="echo", messages=said("Hi"))


def test_a_client_that_leaves_a_stream_cancels_the_task_in_llama(chain: Chain) -> None:
    stream = chain.sdk.chat.completions.create(
        model="llama", messages=said("Hi"), stream=True, extra_headers=named("left-stream"), extra_body=ENDLESS
    )
    next(stream)
    stream.close()
    record = chain.records.of("left-stream", chain.daemon)
    chain.llama.wait_until_cancelled()
    assert (record["outcome"], record["source"]) == ("client_gone", "127.0.0.1")


def test_a_client_that_leaves_before_an_answer_cancels_the_task_in_llama(chain: Chain) -> None:
    begun = len(chain.llama.tasks("begun"))

    async def ask(impatient: Any) -> None:
        await impatient.chat.completions.create(
            model="llama", messages=said("Hi"), extra_headers=named("left"), extra_body=ENDLESS
        )

    async def leave() -> None:
        async with (
            async_client(chain.nginx.port, api_key=TOKEN) as impatient,
            anyio.create_task_group() as group,
        ):
            group.start_soon(ask, impatient)
            await anyio.to_thread.run_sync(chain.llama.wait_for, lambda: len(chain.llama.tasks("begun")) > begun)
            group.cancel_scope.cancel()

    anyio.run(leave)
    record = chain.records.of("left", chain.daemon)
    chain.llama.wait_until_cancelled()
    assert (record["outcome"], record["status_code"]) == ("client_gone", 499)
