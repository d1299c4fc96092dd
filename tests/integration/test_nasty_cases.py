"""What breaks other gateways (docs/wire-cases.md has the list), where sockets matter, through a real daemon."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.support import sdk
from tests.support.client import answers
from tests.support.clients import CLIENTS, MODEL, STREAM_PATHS, WHOLE_PATHS, asked, broken, refused, streamed
from tests.support.daemon import Daemon
from tests.support.dialogue import ANSWER, END_OF_BODY, STREAM_HEAD, Peer, Provider, dial, whole
from tests.support.stage import request

pytestmark = pytest.mark.integration
everybody = pytest.mark.parametrize("client", CLIENTS)

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "gpt"}
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
DAYS = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
    b"Retry-After: 287441\r\nContent-Length: 2\r\n\r\n{}"
)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def daemon(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The model of most tests, ``m``, is a chat's of OpenAI's; ``claude`` and ``llama`` are of other dialects."""
    where = f"base_url: 'http://127.0.0.1:{provider.port}/v1', pool: {{max_idle: 0}}"
    config = (
        "providers:\n"
        f"  up: {{type: openai, responses: false, {where}}}\n"
        f"  anthropic: {{type: anthropic, {where}}}\n"
        f"  ollama: {{type: ollama, {where}}}\n"
        "models:\n"
        f"  - {{name: {MODEL}, targets: [{{provider: up, model: m}}]}}\n"
        "  - {name: claude, targets: [{provider: anthropic, model: claude}]}\n"
        "  - {name: llama, targets: [{provider: ollama, model: llama}]}\n"
    )
    with Daemon(tmp_path_factory.mktemp("nasty"), config) as daemon:
        yield daemon


def ask(daemon: Daemon, client: str, *fields: str, stream: bool = True, **more: Any) -> Peer:
    """Return a connection on which a client has asked."""
    paths = STREAM_PATHS if stream else WHOLE_PATHS
    peer = dial(daemon.port)
    peer.send(request(paths[client], asked(client, stream, **more), "Content-Type: application/json", *fields))
    return peer


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(words: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if words is None else {"role": "assistant", "content": words}
    document = {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@everybody
@pytest.mark.parametrize("death", ["reset", "closed", "closed in a chunk", "ended cleanly"])
def test_case_17_a_stream_whose_provider_dies_ends_in_an_error_and_never_cleanly(
    daemon: Daemon, provider: Provider, client: str, death: str
) -> None:
    with ask(daemon, client) as speaker:
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + chunked(event("Good")))
            heard = speaker.until(b"Good")
            if death == "closed in a chunk":
                upstream.send(b'40\r\ndata: {"id":"c1","object":')
            elif death == "ended cleanly":
                upstream.send(b"0\r\n\r\n")
            elif death == "reset":
                upstream.reset()
        heard += speaker.rest()
    assert broken(client, heard)[1] == "upstream_truncated"


@everybody
def test_case_17_a_document_whose_provider_dies_is_a_bad_gateway(
    daemon: Daemon, provider: Provider, client: str
) -> None:
    with ask(daemon, client, "Connection: close", stream=False) as speaker:
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(whole()[:-9])
        assert refused(client, speaker.rest())[::2] == (502, "upstream_truncated")


GZIP = b"Content-Encoding: gzip\r\n"


@everybody
def test_case_35_packed_events_reach_the_client_as_they_come(daemon: Daemon, provider: Provider, client: str) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(event("Good day")) + packer.flush(zlib.Z_SYNC_FLUSH)
    rest = packer.compress(event(finish="stop") + b"data: [DONE]\n\n") + packer.flush()
    with ask(daemon, client, "Accept-Encoding: br, gzip") as speaker:
        with provider.accept() as upstream:
            head, _ = upstream.message()
            assert b"accept-encoding: identity" in head.lower()
            upstream.send(STREAM_HEAD[:-2] + GZIP + b"\r\n" + chunked(first))
            heard = speaker.until(b"Good day")
            upstream.send(chunked(rest) + b"0\r\n\r\n")
        heard += speaker.until(END_OF_BODY)
    assert b"content-encoding" not in heard.lower()
    assert streamed(client, heard).text == "Good day"


@everybody
@pytest.mark.parametrize("begun", ["before the head", "in a stream", "in a document"])
def test_case_36_a_client_that_leaves_stops_its_provider(
    daemon: Daemon, provider: Provider, client: str, begun: str
) -> None:
    with ask(daemon, client, stream=begun != "in a document") as speaker, provider.accept() as upstream:
        upstream.message()
        if begun == "in a stream":
            upstream.send(STREAM_HEAD + chunked(event("Good")))
            speaker.until(b"Good")
        elif begun == "in a document":
            upstream.send(JSON_HEAD + chunked(ANSWER[:40]))
        speaker.reset()
        assert upstream.gone()


@everybody
def test_case_37_a_wait_reaches_the_client_by_its_own_name(daemon: Daemon, provider: Provider, client: str) -> None:
    with ask(daemon, client) as speaker:
        with provider.accept() as upstream:
            upstream.message()
            body = b'{"error":{"message":"Please try again in 6.4s.","code":"rate_limit_exceeded"}}'
            upstream.send(
                b"HTTP/1.1 429 Slow Down\r\nContent-Type: application/json\r\nx-ratelimit-remaining-requests: 0\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        head, body = speaker.message() if client != "openai" else (speaker.until(b"\r\n\r\n"), b"")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert head.lower().count(b"\r\nretry-after: 7\r\n") == 1
    assert (b"\r\nx-ratelimit-remaining-requests: 0\r\n" in head) is (client == "openai")
    assert (b"\r\nx-netrunner-upstream-x-ratelimit-remaining-requests: 0\r\n" in head) is (client != "openai")


@pytest.mark.parametrize(("model", "status"), [("claude", 200), ("llama", 400)])
def test_case_38_an_image_by_address_is_never_fetched_here(
    daemon: Daemon, provider: Provider, model: str, status: int
) -> None:
    with Provider() as trap:
        address = f"http://127.0.0.1:{trap.port}/image.png"
        parts = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": "What is it?"}]
        messages = [{"role": "user", "content": parts}]
        with ask(daemon, "openai", "Connection: close", stream=False, model=model, messages=messages) as speaker:
            if status == 200:
                with provider.accept() as upstream:
                    _, body = upstream.message()
                    (image,) = [one for one in json.loads(body)["messages"][0]["content"] if one["type"] == "image"]
                    assert image["source"] == {"type": "url", "url": address}
                    upstream.send(whole(b'{"type":"message","content":[],"stop_reason":"end_turn","usage":{}}'))
            (answer,) = answers(speaker.rest(), b"POST")
        assert answer.status == status
        assert trap.untouched()
        assert provider.untouched()


@everybody
def test_case_45_no_stream_says_that_its_connection_closes_unless_the_client_did(
    daemon: Daemon, provider: Provider, client: str
) -> None:
    for fields, closes in (((), False), (("Connection: close",), True)):
        with ask(daemon, client, *fields) as speaker:
            with provider.accept() as upstream:
                upstream.message()
                upstream.send(STREAM_HEAD[:-2] + b"Connection: close\r\n\r\n" + chunked(event("Good")))
                head = speaker.until(b"\r\n\r\n")
                speaker.until(b"Good")
            speaker.rest()
        assert (b"\r\nconnection: close\r\n" in head.lower()) is closes


@everybody
@pytest.mark.parametrize("blank", [b"\n", b"\r\n\r\n"])
def test_case_46_signs_of_life_before_a_document_are_no_part_of_it(
    daemon: Daemon, provider: Provider, client: str, blank: bytes
) -> None:
    with ask(daemon, client, "Connection: close", stream=False) as speaker:
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(b"HTTP/1.1 102 Processing\r\n\r\n" + JSON_HEAD)
            for _ in range(3):
                upstream.send(chunked(blank))
            upstream.send(chunked(ANSWER) + b"0\r\n\r\n")
        (answer,) = answers(speaker.rest(), b"POST", closed=True)
    assert answer.status == 200
    assert "Hello" in json.dumps(json.loads(answer.body))


def official(daemon: Daemon) -> Any:
    """Return Anthropic's client, which asks again twice; untyped, since its types know only models of its own."""
    own = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{daemon.port}", api_key="x", max_retries=2, http_client=own)


ANTHROPICS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {"id": "x", "type": "message", "role": "assistant", "model": "c", "content": []},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Good day"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]


def test_case_42_the_official_client_reads_a_stream_that_ends_as_openais_do(daemon: Daemon, provider: Provider) -> None:
    begun = {**ANTHROPICS[0]["message"], "usage": {"input_tokens": 5, "output_tokens": 1}}
    told = [{"type": "message_start", "message": begun}, *ANTHROPICS[1:]]
    events = b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in told)
    stream = STREAM_HEAD + chunked(events) + chunked(b"event: data\ndata: [DONE]\n\n") + b"0\r\n\r\n"
    answering = answered(provider, stream)
    with official(daemon) as own, own.messages.stream(model="claude", max_tokens=64, messages=sdk.said("Hi")) as heard:
        assert heard.get_final_text() == "Good day"
    answering.join()


def answered(provider: Provider, said: bytes) -> threading.Thread:
    """Let the next request be answered so."""

    def answer() -> None:
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(said)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("model", [MODEL, "claude"])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_case_48_official_clients_do_not_sleep_for_days(
    daemon: Daemon, provider: Provider, client: str, model: str
) -> None:
    answering = answered(provider, DAYS)
    asked: dict[str, Any] = {"model": model, "max_tokens": 64, "messages": sdk.said("Hi")}
    with sdk.client(daemon.port, max_retries=2) as openais, official(daemon) as anthropics:
        ask = openais.chat.completions.create if client == "openai" else anthropics.messages.create
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
            ask(**asked)
    answering.join()
    error: Any = raised.value
    assert error.response.headers["retry-after"] == "3600"
    assert provider.untouched()
