"""The end of a daemon that everybody holds up: it comes in time, and everything is in the journal."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from netrunner.journal.logs import newest_first
from netrunner.journal.verify import journals, verify
from tests.support.daemon import Daemon
from tests.support.dialogue import STREAM_HEAD, Provider, chat, dial, event

pytestmark = pytest.mark.integration
DRAIN_S = 1.0


def config(provider: Provider, folder: Path, stuck: int) -> str:
    sinks = [
        {"type": "jsonl", "path": str(folder / "lines")},
        {"type": "http_batch", "url": f"http://127.0.0.1:{stuck}/", "timeout_s": 60, "flush_s": 0},
        {"type": "duplex", "server_url": f"http://127.0.0.1:{stuck}", "timeout_s": 60},
        {"type": "database"},
    ]
    return provider.config + f"server: {{drain_s: {DRAIN_S}}}\nsinks: {json.dumps(sinks)}\n"


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_a_daemon_ends_in_time_though_sinks_upstreams_and_clients_hang(tmp_path: Path, timed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stuck, Provider() as provider:
        text = config(provider, tmp_path, stuck.getsockname()[1])
        with Daemon(tmp_path / "daemon", text) as daemon, dial(daemon.port) as waiting, dial(daemon.port) as unread:
            assert daemon.request("POST", "/v1/chat/completions", {"model": "unknown"})[0] == 404
            waiting.send(chat())
            with provider.accept() as silent, dial(daemon.port) as streamed:
                silent.message()
                unread.send(chat())
                with provider.accept() as endless:
                    endless.message()
                    endless.send(STREAM_HEAD)
                    endless.flood(event("x" * 8000))
                    streamed.send(chat())
                    with provider.accept() as begun:
                        begun.message()
                        begun.send(STREAM_HEAD + event("one"))
                        streamed.until(b"one")
                        asked = time.monotonic()
                        daemon.signal(signal.SIGTERM)
                        assert daemon.wait() == 0
                        took_s = time.monotonic() - asked
                assert b"shutting_down" in streamed.rest()
                assert b"503" in waiting.rest()
    outcomes = Counter(record.outcome for record in newest_first(daemon.state))
    assert outcomes == {"refused": 1, "shut_down": 3}
    assert [finding for folder in journals(daemon.state) for finding in verify(folder)] == []
    assert len((tmp_path / "lines").read_text().splitlines()) == 4
    if timed:
        assert took_s <= DRAIN_S + 2.0
