"""Streams that arrive as they were sent, byte for byte (row 15)."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial

pytestmark = pytest.mark.integration
MIB = 1 << 20


def events(chance: random.Random, count: int) -> bytes:
    """Return a stream of every shape that is allowed: line ends, comments, text of many bytes a character."""
    texts = ["a", "é", "\N{PILE OF POO}", "日本語", " ", "\\n", "\u2028"]
    parts = [b"data: {}\n\n"]
    for number in range(count):
        end = chance.choice([b"\n", b"\r\n", b"\r"])
        if chance.random() < 0.05:
            parts.append(b": a comment" + end + end)
        text = chance.choice(texts) * chance.randrange(1, 9)
        parts.append(b'data: {"n":%d,"t":"%b"}' % (number, text.encode()) + end + end)
    return b"".join(parts) + b"data: [DONE]\n\n"


def pieces(chance: random.Random, data: bytes, most: int) -> Iterator[bytes]:
    """Cut ``data`` anywhere, into pieces of one byte to ``most``."""
    position = 0
    while position < len(data):
        size = int(most ** chance.random())
        yield data[position : position + size]
        position += size


def send_all(upstream: Peer, segments: list[bytes]) -> None:
    for segment in segments:
        upstream.send(segment)


@pytest.mark.parametrize(
    ("count", "most"),
    [
        (100_000, 65536),
        (500, 12),
        pytest.param(1_000_000, 4096, marks=pytest.mark.torture),
        pytest.param(1_000_000, MIB, marks=pytest.mark.torture),
    ],
)
def test_a_stream_arrives_byte_for_byte(tmp_path: Path, count: int, most: int, figures: Figures) -> None:
    chance = random.Random(count)
    body = events(chance, count)
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(chance, body, most)]
    segments = list(pieces(chance, STREAM_HEAD + b"".join(chunks) + END_OF_BODY, most))
    records = tmp_path / "records"
    with Provider() as provider:
        sinks = f"sinks: [{{type: jsonl, path: {json.dumps(str(records))}}}]\n"
        with Daemon(tmp_path, provider.config + sinks) as daemon, dial(daemon.port) as client:
            client.send(chat("Connection: close"))
            with provider.accept() as upstream:
                upstream.message()
                began = time.monotonic()
                sending = threading.Thread(target=send_all, args=(upstream, segments), daemon=True)
                sending.start()
                reader = http.client.HTTPResponse(client._sock)
                reader.begin()
                heard = reader.read()
                took_s = time.monotonic() - began
                sending.join()
    assert hashlib.sha256(heard).digest() == hashlib.sha256(body).digest()
    assert [json.loads(line)["outcome"] for line in records.read_text().splitlines()] == ["done"]
    figures.add("events, bytes", f"{count}, {len(body)}")
    figures.add("chunks, writes", f"{len(chunks)}, {len(segments)}")
    figures.add("sha256 of both ends", hashlib.sha256(heard).hexdigest()[:16])
    figures.add("seconds", round(took_s, 1))
