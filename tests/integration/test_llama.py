"""The official SDK through netrunner to a real llama.cpp: what a user has who serves a model of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import openai
import pytest

from tests.support.daemon import Daemon
from tests.support.llama import ENDLESS, MODEL, Llama
from tests.support.sdk import Records, async_client, client, named, said, text_of

pytestmark = pytest.mark.integration

SAME = {"temperature": 0, "seed": 1, "max_tokens": 40}
"""Makes the model answer alike every time."""
WRONG: Any = {"type": "no such type"}
LAST_WORDS: Any = {"include_usage": True}


class Served(NamedTuple):
    """llama.cpp, the daemon before it, and a client of each."""

    llama: Llama
    daemon: Daemon
    records: Records
    proxied: Any
    direct: Any


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("llama")
    records = Records(folder / "records.jsonl")
    with (
        Llama(folder) as llama,
        Daemon(folder / "daemon", _config(llama.port) + records.config) as daemon,
        client(daemon.port) as proxied,
        client(llama.port) as direct,
    ):
        yield Served(llama, daemon, records, proxied, direct)


def _config(port: int) -> str:
    return (
        f"providers: {{llama: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', repair: false}}}}\n"
        f"models: [{{name: alias, targets: [{{provider: llama, model: {MODEL}}}]}}]\n"
    )


def without_what_always_differs(body: bytes) -> bytes:
    """Return an answer of llama.cpp without its id, its time and its durations; every other byte as it was."""
    body = re.sub(rb'"id":"chatcmpl-\w+"', b'"id":""', body)
    body = re.sub(rb'"created":\d+', b'"created":0', body)
    return re.sub(rb'"timings":\{[^}]*\}', b'"timings":{}', body)


def test_an_answer_is_byte_for_byte_what_llama_says_itself(served: Served) -> None:
    through = served.proxied.chat.completions.with_raw_response.create(model="alias", messages=said("Hi"), **SAME)
    itself = served.direct.chat.completions.with_raw_response.create(model=MODEL, messages=said("Hi"), **SAME)
    assert without_what_always_differs(through.content) == without_what_always_differs(itself.content)
    assert b"timings" in through.content


def test_a_stream_has_the_same_chunks_as_llamas_own(served: Served) -> None:
    def chunks(asked: Any, model: str) -> list[dict[str, Any]]:
        stream = asked.chat.completions.create(
            model=model, messages=said("Hi"), stream=True, stream_options=LAST_WORDS, **SAME
        )
        own = [chunk.model_dump(exclude_unset=True) for chunk in stream]
        return [{name: chunk[name] for name in chunk.keys() - {"id", "created", "timings"}} for chunk in own]

    through = chunks(served.proxied, "alias")
    assert through == chunks(served.direct, MODEL)
    assert through[-1]["usage"]["completion_tokens"] == SAME["max_tokens"]


def test_a_stream_says_what_the_whole_answer_says(served: Served) -> None:
    whole = served.proxied.chat.completions.create(model="alias", messages=said("Hi"), **SAME)
    stream = served.proxied.chat.completions.create(model="alias", messages=said("Hi"), stream=True, **SAME)
    assert text_of(stream) == whole.choices[0].message.content != ""


@pytest.mark.parametrize("streaming", [False, True])
def test_the_record_of_a_chat_tells_usage_and_finish_reason(served: Served, streaming: bool) -> None:
    options = {"stream": True, "stream_options": LAST_WORDS} if streaming else {}
    answer = served.proxied.chat.completions.create(
        model="alias", messages=said("Hi"), extra_headers=named(f"chat-{streaming}"), **SAME, **options
    )
    if streaming:
        list(answer)
    record = served.records.of(f"chat-{streaming}", served.daemon)
    assert (record["outcome"], record["status_code"], record["streaming"]) == ("done", 200, streaming)
    assert (record["model"], record["upstream_model"], record["provider"]) == ("alias", MODEL, "llama")
    assert record["finish_reason"] == "length"
    assert record["usage"]["output_total"] == SAME["max_tokens"]
    assert record["usage"]["input_total"] > 0


@pytest.mark.parametrize("streaming", [False, True])
def test_completions_are_served_and_recorded(served: Served, streaming: bool) -> None:
    answer = served.proxied.completions.create(
        model="alias", prompt="Once", stream=streaming, extra_headers=named(f"completion-{streaming}"), **SAME
    )
    text = "".join(part.choices[0].text for part in (answer if streaming else [answer]))
    record = served.records.of(f"completion-{streaming}", served.daemon)
    direct = served.direct.completions.create(model=MODEL, prompt="Once", **SAME)
    assert text == direct.choices[0].text
    assert (record["endpoint"], record["finish_reason"]) == ("/v1/completions", "length")


def test_a_json_schema_reaches_the_grammar_of_llama(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {"digit": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["digit"],
        "additionalProperties": False,
    }
    answer = served.proxied.chat.completions.create(
        model="alias",
        messages=said("Hi"),
        max_tokens=500,
        response_format={"type": "json_schema", "json_schema": {"name": "digit", "schema": schema}},
    )
    content = json.loads(answer.choices[0].message.content or "")
    assert list(content) == ["digit"]
    assert content["digit"] in range(10)


def test_the_servers_own_refusal_is_what_the_sdk_raises(served: Served) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.proxied.chat.completions.create(model="alias", messages=said("Hi"), response_format=WRONG)
    with pytest.raises(openai.BadRequestError) as itself:
        served.direct.chat.completions.create(model=MODEL, messages=said("Hi"), response_format=WRONG)
    assert refused.value.body == itself.value.body


def test_a_client_that_leaves_a_stream_cancels_the_task_in_llama(served: Served) -> None:
    stream = served.proxied.chat.completions.create(
        model="alias", messages=said("Hi"), stream=True, extra_headers=named("left-stream"), extra_body=ENDLESS
    )
    next(stream)
    stream.close()
    record = served.records.of("left-stream", served.daemon)
    served.llama.wait_until_cancelled()
    assert (record["outcome"], record["status_code"], record["error"]) == ("client_gone", 200, "client_gone")


def test_a_client_that_leaves_before_an_answer_cancels_the_task_in_llama(served: Served) -> None:
    before = len(served.llama.tasks("begun"))

    async def ask(impatient: Any) -> None:
        await impatient.chat.completions.create(
            model="alias", messages=said("Hi"), extra_headers=named("left"), extra_body=ENDLESS
        )

    async def leave() -> None:
        async with async_client(served.daemon.port) as impatient, anyio.create_task_group() as group:
            group.start_soon(ask, impatient)
            await anyio.to_thread.run_sync(served.llama.wait_for, lambda: len(served.llama.tasks("begun")) > before)
            group.cancel_scope.cancel()

    anyio.run(leave)
    record = served.records.of("left", served.daemon)
    served.llama.wait_until_cancelled()
    assert (record["outcome"], record["status_code"]) == ("client_gone", 499)
