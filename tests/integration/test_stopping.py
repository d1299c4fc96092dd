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
from netrunner.parts import STOP_S
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import STREAM_HEAD, Provider, chat, dial, event

pytestmark = pytest.mark.integration
DRAIN_S = 1.0
STUBBORN = """
import dataclasses
from twisted.internet.defer import Deferred
from zope.interface import implementer
from netrunner.interfaces import ILogSink, IStartable
from netrunner.offers import SinkFactory

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    "None."

@implementer(ILogSink, IStartable)
class Stubborn:
    def __init__(self, settings, environment):
        pass

    def start(self):
        pass

    def stop(self):
        return Deferred()

    async def write(self, records):
        pass

stubborn = SinkFactory(name="stubborn", build=Stubborn, settings=Settings, doc="Never stops.")
"""


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


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_a_daemon_that_is_reloading_ends_in_time_though_sinks_hang(tmp_path: Path, timed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stuck, Provider() as provider:
        sinks = [
            {"type": "jsonl", "path": str(tmp_path / "lines")},
            {"type": "http_batch", "url": f"http://127.0.0.1:{stuck.getsockname()[1]}/", "timeout_s": 60, "flush_s": 0},
        ]
        with Daemon(tmp_path / "daemon", provider.config + f"sinks: {json.dumps(sinks)}\n") as daemon:
            assert daemon.request("POST", "/v1/chat/completions", {"model": "unknown"})[0] == 404
            with stuck.accept()[0]:
                for _ in range(3):
                    daemon.control("reload")
                assert daemon.request("POST", "/v1/chat/completions", {"model": "unknown"})[0] == 404
                asked = time.monotonic()
                daemon.signal(signal.SIGTERM)
                assert daemon.wait() == 0
                took_s = time.monotonic() - asked
    assert len((tmp_path / "lines").read_text().splitlines()) == 2
    if timed:
        assert took_s <= STOP_S + 2.0


def test_sinks_that_do_not_stop_for_a_reload_are_left_in_time_by_the_end(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "stubborn.py").write_text(STUBBORN)
    sinks = [{"type": "jsonl", "path": str(tmp_path / "lines")}, {"type": "stubborn"}]
    text = (
        f"{ECHO}plugins: {{directories: ['{tmp_path}/plugins']}}\nserver: {{drain_s: 0}}\nsinks: {json.dumps(sinks)}\n"
    )
    with Daemon(tmp_path / "daemon", text) as daemon:
        daemon.control("reload")
        assert daemon.request("POST", "/v1/chat/completions", {"model": "unknown"})[0] == 404
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "a plugin did not stop in time" in daemon.log()
    assert len((tmp_path / "lines").read_text().splitlines()) == 1
