"""Streams through a real daemon: cut, late, evil, and unread."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event, whole

pytestmark = pytest.mark.integration
MIB = 1 << 20
QUICK = "{connect_s: 1, first_byte_s: 1, between_bytes_s: 1}"
"""Soon over, and still longer than a busy machine makes one of us wait for its turn."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def config(provider: Provider, folder: Path, timeouts: str = "{}") -> str:
    """Return a configuration that records to ``records`` in ``folder``."""
    base_url = f"http://127.0.0.1:{provider.port}/v1"
    return (
        f"providers: {{up: {{type: openai, base_url: '{base_url}', timeouts: {timeouts}, repair: false}}}}\n"
        "models: [{name: m, targets: [{provider: up, model: m}]}]\n"
        f"sinks: [{{type: jsonl, path: {json.dumps(str(folder / 'records'))}}}]\n"
    )


def records(folder: Path) -> list[dict[str, Any]]:
    """Return what was recorded; complete once the daemon has ended."""
    return [json.loads(line) for line in (folder / "records").read_text().splitlines()]


def rss(daemon: Daemon) -> int:
    """Return the daemon's resident bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


# Cut.


@pytest.mark.parametrize("reset", [False, True])
def test_a_stream_cut_by_its_provider_never_ends_cleanly(tmp_path: Path, provider: Provider, reset: bool) -> None:
    with Daemon(tmp_path, config(provider, tmp_path)) as daemon, dial(daemon.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("one"))
            client.until(b"one")
            upstream.send(b"40\r\ndata: half an ev")
            client.until(b"half an ev")
            if reset:
                upstream.reset()
        told = client.rest()
        assert b'"code":"upstream_truncated"' in told
        assert not told.endswith(END_OF_BODY)
    assert [record["outcome"] for record in records(tmp_path)] == ["upstream_truncated"]


# Late.


def answer_of(client: Peer) -> tuple[int, dict[str, Any]]:
    """Return status and error of a refusal."""
    head, body = client.message()
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_provider_that_does_not_accept_is_a_timeout(tmp_path: Path) -> None:
    with Provider() as full, ExitStack() as stack:
        full._sock.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", full.port))
        with Daemon(tmp_path, config(full, tmp_path, QUICK)) as daemon, dial(daemon.port) as client:
            client.send(chat())
            status, error = answer_of(client)
            assert (status, error["code"]) == (504, "upstream_timeout")
    assert [record["outcome"] for record in records(tmp_path)] == ["upstream_failed"]


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: te", STREAM_HEAD, STREAM_HEAD + b"5\r\ndata:\r\n"]
)
def test_a_provider_that_falls_silent_before_its_first_event_is_a_timeout(
    tmp_path: Path, provider: Provider, said: bytes
) -> None:
    with Daemon(tmp_path, config(provider, tmp_path, QUICK)) as daemon, dial(daemon.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(said)
            status, error = answer_of(client)
            assert (status, error["code"]) == (504, "upstream_timeout")
            assert upstream.gone()
    assert [record["error"] for record in records(tmp_path)] == ["upstream_timeout"]


def test_a_provider_that_stalls_in_the_middle_is_told_as_an_event(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, config(provider, tmp_path, QUICK)) as daemon, dial(daemon.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("one"))
            told = client.rest()
            assert b'"code":"upstream_timeout"' in told
            assert not told.endswith(END_OF_BODY)
            assert upstream.gone()
    assert [record["outcome"] for record in records(tmp_path)] == ["upstream_truncated"]


# Evil.


def _headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for _ in range(300):
        yield b"".join(b"x-%d: y\r\n" % number for number in range(1000))


def _interim() -> Iterator[bytes]:
    for _ in range(100):
        yield b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 1000


def _bomb(kind: bytes) -> Iterator[bytes]:
    packed = gzip.compress(bytes(256 * MIB), 9)
    yield b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (
        kind,
        len(packed),
    )
    yield packed


def _line() -> Iterator[bytes]:
    yield STREAM_HEAD + b"7\r\ndata: {\r\n"
    for _ in range(1024):
        yield b"10000\r\n" + b"x" * 65536 + b"\r\n"


def _extension() -> Iterator[bytes]:
    yield STREAM_HEAD + b"5;"
    for _ in range(256):
        yield b"a" * 65536


def _long_length() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n"


def _trailing_gzip() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n" + gzip.compress(b"{}")
    for _ in range(256):
        yield bytes(65536)


EVIL: dict[str, Callable[[], Iterator[bytes]]] = {
    "300k header fields": _headers,
    "100k interim answers": _interim,
    "a gzip bomb": lambda: _bomb(b"application/json"),
    "a gzip bomb as a stream": lambda: _bomb(b"text/event-stream"),
    "one endless line": _line,
    "an endless chunk extension": _extension,
    "a length of 5000 digits": _long_length,
    "bytes behind the end of gzip": _trailing_gzip,
    "no HTTP": lambda: iter([b"SSH-2.0-x\r\n"]),
    "another version": lambda: iter([b"HTTP/2.0 200 OK\r\n\r\n"]),
    "status 99": lambda: iter([b"HTTP/1.1 99 Low\r\n\r\n"]),
    "two lengths": lambda: iter([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"]),
    "a NUL in a field": lambda: iter([b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n"]),
}


def drain(client: Peer) -> bytes:
    """Return the beginning of what comes until the connection ends or falls silent after an answer."""
    begun = b""
    with ExitStack() as stack:
        stack.callback(client._sock.settimeout, client._sock.gettimeout())
        while data := client._sock.recv(65536):
            begun = (begun + data)[:65536]
    return begun


def test_evil_upstreams_cost_neither_memory_nor_the_daemon(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, config(provider, tmp_path)) as daemon:
        for kind, said in EVIL.items():
            with dial(daemon.port) as warm:
                warm.send(chat("Connection: close", stream=False))
                with provider.accept() as upstream:
                    upstream.message()
                    upstream.send(whole())
                    assert warm.rest().startswith(b"HTTP/1.1 200 "), kind
            before = rss(daemon)
            with dial(daemon.port) as client:
                client.send(chat("Connection: close"))
                with provider.accept() as upstream:
                    upstream.message()
                    sending = in_background(lambda u=upstream, s=said: _send_all(u, s()))  # type: ignore[misc]  # bound now
                    told = drain(client)
                    sending.join()
            assert rss(daemon) - before <= 8 * MIB, kind
            refused = told.startswith(b"HTTP/1.1 502 ")
            assert refused or not told.endswith(END_OF_BODY), (kind, told[:200])
            assert refused or kind in {"one endless line", "a gzip bomb", "bytes behind the end of gzip"}, (
                kind,
                told[:200],
            )
        daemon.wait_for(lambda: daemon.control("inflight") == {"inflight": []})


def _send_all(upstream: Peer, said: Iterator[bytes]) -> None:
    try:
        for piece in said:
            upstream.send(piece)
        upstream._sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # refused, as it should be


# Unread.


def test_clients_that_do_not_read_hold_their_providers_back_and_cost_little(tmp_path: Path, provider: Provider) -> None:
    clients = 40
    with Daemon(tmp_path, config(provider, tmp_path)) as daemon, ExitStack() as stack:
        before = 0
        upstreams = {}
        for number in range(1 + clients):
            if number == 1:
                before = rss(daemon)  # with all that the first request loads
            client = stack.enter_context(dial(daemon.port))
            client.send(chat())
            upstream = stack.enter_context(provider.accept())
            upstream.message()
            upstream.send(STREAM_HEAD)
            upstream._sock.setblocking(False)
            upstreams[upstream._sock] = 0
        data = event("x" * 60_000)
        while writable := select.select([], list(upstreams), [], 1.0)[1]:
            for sock in writable:
                upstreams[sock] += sock.send(data)
                assert upstreams[sock] < 64 * MIB
        assert rss(daemon) - before <= clients * 256 * 1024 + 6 * MIB  # which the allocator may keep of its own
        assert daemon.request("GET", "/live")[0] == 200


# Raw.

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def routed(provider: Provider, folder: Path) -> str:
    """Return a configuration with a raw route to the provider besides."""
    route = f"{{name: raw, source: /raw/, destination: 'http://127.0.0.1:{provider.port}'}}"
    return config(provider, folder) + f"routes: [{route}]\n"


@pytest.mark.parametrize("who", ["client", "upstream", "client resets", "upstream resets"])
@pytest.mark.parametrize("path", [b"/v1/realtime?model=m", b"/raw/socket"])
def test_a_websocket_passes_and_ends_from_either_side(
    tmp_path: Path, provider: Provider, path: bytes, who: str
) -> None:
    with Daemon(tmp_path, routed(provider, tmp_path)) as daemon, dial(daemon.port) as client:
        client.send(UPGRADE % path + b"early")
        with provider.accept() as upstream:
            assert b"sec-websocket-key: dghlihnhbxbszsbub25jzq==" in upstream.until(b"\r\n\r\n").lower()
            upstream.send(SWITCH + b"hello")
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
            assert client.exactly(5) == b"hello"
            assert upstream.exactly(5) == b"early"
            large = random.Random(1).randbytes(3 * MIB)
            for sender, receiver in ((client, upstream), (upstream, client)):
                sending = in_background(lambda one=sender: one.send(large))  # type: ignore[misc]  # bound now
                assert receiver.exactly(len(large)) == large
                sending.join()
            if who == "client":
                client.send(b"bye")
                client._sock.shutdown(socket.SHUT_WR)
                assert upstream.rest() == b"bye"
                upstream.send(b"you too")
                upstream._sock.close()
                assert client.rest() == b"you too"
            elif who == "upstream":
                upstream.send(b"bye")
                upstream._sock.shutdown(socket.SHUT_WR)
                assert client.rest() == b"bye"
                assert upstream.gone()
            elif who == "client resets":
                client.reset()
                assert upstream.gone()
            else:
                upstream.reset()
                assert client.gone()
    [record] = records(tmp_path)
    assert (record["status_code"], record["bytes_in"] >= 3 * MIB) == (101, True)


def test_an_upload_waits_for_its_upstream_in_little_memory_and_arrives_whole(
    tmp_path: Path, provider: Provider
) -> None:
    size = 64 * MIB
    piece = random.Random(2).randbytes(MIB)
    with Daemon(tmp_path, routed(provider, tmp_path)) as daemon, dial(daemon.port) as client:
        before = rss(daemon)
        client.send(b"PUT /raw/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        with provider.accept() as upstream:
            upstream.until(b"\r\n\r\n")
            sent = 0
            client._sock.setblocking(False)
            while select.select([], [client._sock], [], 1.0)[1]:
                sent += client._sock.send(piece[sent % MIB :])
                assert sent < 32 * MIB
            assert rss(daemon) - before <= 4 * MIB
            client._sock.settimeout(20)
            rest = piece[sent % MIB :] + piece * ((size - sent - 1) // MIB)
            sending = in_background(lambda: client.send(rest))
            digest, expected = hashlib.sha256(), hashlib.sha256(piece * (size // MIB))
            for _ in range(size // MIB):
                digest.update(upstream.exactly(MIB))
            sending.join()
            assert digest.digest() == expected.digest()
            upstream.send(whole())
            assert client.message()[0].startswith(b"HTTP/1.1 200 ")
    [record] = records(tmp_path)
    assert (record["outcome"], record["bytes_in"]) == ("done", size)
