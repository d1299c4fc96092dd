"""How late the daemon answers while large bodies are recorded, segments rotate and the database is held (row 34)."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from netrunner.store.database import FILE
from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.dialogue import Provider, dial, whole

pytestmark = [pytest.mark.integration, pytest.mark.torture]
LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOST_S = 0.1


@pytest.mark.parametrize("mebibytes", [1, 10])
def test_nobody_waits_while_large_bodies_are_recorded(tmp_path: Path, mebibytes: int, figures: Figures) -> None:
    late: list[float] = []
    over = threading.Event()
    kept = f"journal: {{segment_bytes: {16 << 20}}}\nsinks: [{{type: database}}]\n"
    with Provider() as provider, Daemon(tmp_path / "daemon", provider.config + kept) as daemon:

        def ask() -> None:
            with dial(daemon.port) as peer:
                while not over.wait(0.005):
                    begun = time.monotonic()
                    peer.send(LIVE)
                    peer.message()
                    late.append(time.monotonic() - begun)

        other = sqlite3.connect(daemon.state / FILE, isolation_level=None)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            asking = threading.Thread(target=ask)
            asking.start()
            text = "x" * (mebibytes << 20)
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            for _ in range(5):
                with dial(daemon.port) as client:
                    client.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                    with provider.accept() as upstream:
                        upstream.message()
                        upstream.send(whole())
                        client.message()
            over.set()
            asking.join()
    figures.add(f"answers beside bodies of {mebibytes} MiB", len(late))
    figures.add("the latest one", f"{max(late) * 1000:.0f} ms")
    assert max(late) <= MOST_S
