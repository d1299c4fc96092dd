"""What is kept and how much: bodies by policy, a journal that has no room, large bodies, tunnels, and the sums."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from wsproto.events import BytesMessage, CloseConnection

from netrunner.journal.copies import Copies
from netrunner.journal.logs import newest_first
from netrunner.values import Copy, Record
from tests.integration.test_websocket import open_through
from tests.support.crowd import Figures, resident_bytes
from tests.support.daemon import Daemon, listening_socket
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event, whole

pytestmark = pytest.mark.integration
MIB = 1 << 20


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as one:
        yield one


def body(daemon: Daemon, copy: Copy | None) -> bytes:
    """Return what the journal has of a message's body."""
    return b"" if copy is None else b"".join(Copies(daemon.state / "journal").pieces(copy))


def records(daemon: Daemon) -> list[Record]:
    """Return what has ended, oldest first."""
    return list(newest_first(daemon.state))[::-1]


def converse(daemon: Daemon, provider: Provider, size: int = 0) -> bytes:
    """Let one chat be answered with ``size`` bytes of text; return the answer's status line."""
    with dial(daemon.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(whole(json.dumps({"object": "chat.completion", "text": "x" * size}).encode()))
            return client.message()[0].partition(b"\r\n")[0]


@pytest.mark.parametrize(("bodies", "most"), [("none", 0), ("10", 10), ("full", MIB)])
def test_bodies_are_kept_as_the_policy_says_and_their_digests_always(
    tmp_path: Path, provider: Provider, bodies: str, most: int
) -> None:
    text = provider.config + f"journal: {{bodies: {bodies}}}\nsinks: []\n"
    with Daemon(tmp_path / "daemon", text) as daemon:
        converse(daemon, provider, 1000)
        [record] = records(daemon)
        answer = json.dumps({"object": "chat.completion", "text": "x" * 1000}).encode()
        assert record.response_sha256 == hashlib.sha256(answer).hexdigest()
        assert body(daemon, record.response_copy) == answer[:most]
        assert len(body(daemon, record.request_copy)) == min(most, record.bytes_in)
        if record.response_copy is not None:
            assert record.response_copy.complete is (bodies == "full")


@pytest.mark.parametrize(("on_full", "status", "count"), [("refuse", 503, "refused"), ("drop", 200, "unrecorded")])
def test_what_a_required_sink_has_not_read_fills_the_journal(
    tmp_path: Path, provider: Provider, on_full: str, status: int, count: str
) -> None:
    with listening_socket() as taken:
        away = taken.getsockname()[1]
    sinks = [{"type": "http_batch", "url": f"http://127.0.0.1:{away}/", "required": True}]
    kept = f"journal: {{max_bytes: {MIB}, segment_bytes: 65536, on_full: {on_full}}}\n"
    with Daemon(tmp_path / "daemon", provider.config + kept + f"sinks: {json.dumps(sinks)}\n") as daemon:
        # Only with the last one there is more than there may be, whenever that is looked at.
        for _ in range(11):
            assert b" 200 " in converse(daemon, provider, 100_000)
        daemon.wait_for(lambda: daemon.control("status")["counts"]["journal_crowded"] == 1)
        if status == 503:
            refused, _, told = daemon.request("POST", "/v1/chat/completions", {"model": "m", "messages": []})
            assert (refused, json.loads(told)["error"]["code"]) == (503, "journal_full")
            assert provider.untouched()
        else:
            assert b" 200 " in converse(daemon, provider)
        assert daemon.control("status")["counts"][f"journal_{count}"] == 1
        assert len([one for one in records(daemon) if one.outcome == "done"]) == 11


def test_a_large_upload_through_a_route_is_recorded_byte_for_byte_in_little_memory(
    tmp_path: Path, provider: Provider, figures: Figures
) -> None:
    block, blocks = random.Random(1).randbytes(MIB), 100
    route = f"routes: [{{name: raw, source: /raw, destination: 'http://127.0.0.1:{provider.port}'}}]\nsinks: []\n"
    sha = hashlib.sha256()
    with Daemon(tmp_path / "daemon", provider.config + route) as daemon, dial(daemon.port) as client:
        before = resident_bytes(daemon)
        client.send(b"POST /raw/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (blocks * MIB))
        client.send(block[:1000])
        with provider.accept() as upstream:
            upstream.until(b"\r\n\r\n")
            upstream.exactly(1000)
            grown = 0
            for number in range(blocks):
                client.send(block[1000:] if number == 0 else block)
                assert upstream.exactly(MIB - 1000 if number == 0 else MIB) == (block[1000:] if not number else block)
                sha.update(block)
                grown = max(grown, resident_bytes(daemon) - before)
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB))
            for _ in range(4):
                upstream.send(block)
                assert client.until(b"\r\n\r\n") if _ == 0 else True
                assert client.exactly(MIB) == block
        [record] = records(daemon)
        assert record.request_sha256 == sha.hexdigest()
        assert record.request_copy is not None
        read = hashlib.sha256()
        for piece in Copies(daemon.state / "journal").pieces(record.request_copy):
            read.update(piece)
        assert read.hexdigest() == sha.hexdigest()
        assert body(daemon, record.response_copy) == block * 4
        assert record.response_sha256 == hashlib.sha256(block * 4).hexdigest()
    figures.add("memory gained by an upload of 100 MiB", f"{grown / MIB:.1f} MiB")
    assert grown < 32 * MIB


def test_a_tunnel_is_recorded_byte_for_byte(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path / "daemon", provider.config + "sinks: []\n") as daemon:
        client, upstream, _, _ = open_through(daemon.port, provider)
        with client.peer, upstream.peer:
            client.say(BytesMessage(b"up" * 50_000))
            assert upstream.hear().data == b"up" * 50_000
            upstream.say(BytesMessage(b"down" * 1000))
            assert client.hear().data == b"down" * 1000
            upstream.say(CloseConnection(1000))
            client.hear()
            client.say(CloseConnection(1000))
            upstream.hear()
        daemon.wait_for(lambda: len(records(daemon)) == 1)
        [record] = records(daemon)
        up, down = body(daemon, record.request_copy), body(daemon, record.response_copy)
        assert (len(up), len(down)) == (record.bytes_in, record.bytes_out)
        assert hashlib.sha256(up).hexdigest() == record.request_sha256
        assert hashlib.sha256(down).hexdigest() == record.response_sha256
        assert b"down" * 1000 in down


def test_the_outcomes_in_the_journal_are_those_that_clients_saw(tmp_path: Path, provider: Provider) -> None:
    seen: Counter[str] = Counter()
    with Daemon(tmp_path / "daemon", provider.config + "sinks: []\n") as daemon:
        for number in range(40):
            if number % 4 == 0:
                daemon.request("POST", "/v1/chat/completions", {"model": "unknown"})
                seen["refused"] += 1
                continue
            with dial(daemon.port) as client:
                client.send(chat())
                with provider.accept() as upstream:
                    upstream.message()
                    if number % 4 == 1:
                        upstream.send(STREAM_HEAD + event("one") + event("[DONE]") + END_OF_BODY)
                        client.until(END_OF_BODY)
                        seen["done"] += 1
                    elif number % 4 == 2:
                        upstream.send(STREAM_HEAD + event("one"))
                        client.until(b"one")
                        upstream.reset()
                        assert b"upstream_truncated" in client.rest()
                        seen["upstream_truncated"] += 1
                    elif number % 8 == 3:
                        upstream.reset()
                        assert b" 502 " in client.message()[0]
                        seen["upstream_failed"] += 1
                    else:
                        upstream.send(STREAM_HEAD + event("one"))
                        client.until(b"one")
                        client.reset()
                        assert upstream.gone()
                        seen["client_gone"] += 1
        daemon.wait_for(lambda: len(records(daemon)) == 40)
        assert Counter(record.outcome for record in records(daemon)) == seen
