"""An exchange dies with its end: nothing of it is left to the collector of cycles, which is dear and late.

What a request makes should be freed by reference counts. A drop-in sink keeps the collector from running, and tells
what it would have had to free.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.crowd import wait_until
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import chat, dial

pytestmark = pytest.mark.integration

SINK = """
import dataclasses
import gc
from collections import Counter

from zope.interface import implementer

from netrunner.interfaces import ILogSink, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    path: str = setting(doc="Where to write what was found.", form="path")


@implementer(ILogSink, IStartable)
class Garbage:
    def __init__(self, settings, environment):
        self.path = settings.path

    def start(self):
        gc.collect()
        gc.disable()

    def stop(self):
        pass

    async def write(self, records):
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
        gc.garbage.clear()
        with open(self.path, "a") as file:
            file.write(f"{len(records), dict(found)}\\n")


garbage = SinkFactory(name="garbage", build=Garbage, settings=Settings, doc="Tells what only the collector would free.")
"""


LOOKED_AT = (
    "netrunner.dialects.",
    "netrunner.http.call.",
    "netrunner.http.channel.",
    "netrunner.http.reader.",
    "netrunner.http.request.",
    "netrunner.journal.",
    "netrunner.pipeline.",
    "netrunner.providers.",
)
"""Twisted's own connections to providers are a cycle once they are closed, with what reads answers on them."""


def ordered(orders: str, *fields: str, **more: Any) -> bytes:
    """Return a chat request that tells the provider what to do."""
    return chat(*fields, messages=[{"role": "user", "content": f"/echo {orders} hi"}], **more)


class Subject:
    """A daemon with the sink, before another one that answers as it is told.

    Args:
        daemon: Whose exchanges are looked at.
        told: What its sink writes to.
    """

    def __init__(self, daemon: Daemon, told: Path) -> None:
        self.daemon = daemon
        self._told = told
        self._records = self._read = 0

    def ask(self, model: str, orders: str, stream: bool) -> bytes:
        """Make a request on a connection of its own; return all of the answer."""
        with dial(self.daemon.port) as client:
            client.send(ordered(orders, "Connection: close", stream=stream, model=model))
            return client.rest()

    def left(self, count: int) -> Counter[str]:
        """Wait until ``count`` further exchanges are recorded; return what they left to the collector, by type."""
        self.ask("openai", "", stream=False)
        self._records += count + 1
        wait_until(
            lambda: sum(count for count, _ in self._lines()) >= self._records, lambda: self.daemon.control("ping")
        )
        lines = self._lines()
        found = Counter[str]()
        for _, types in lines[self._read :]:
            found.update({name: number for name, number in types.items() if name.startswith(LOOKED_AT)})
        self._read = len(lines)
        return found

    def _lines(self) -> list[Any]:
        return [ast.literal_eval(line) for line in self._told.read_text().splitlines()] if self._told.exists() else []


CONFIG = """
access: {{mode: open}}
plugins: {{directories: ['{plugins}']}}
sinks: [{{type: garbage, path: '{found}'}}, {{type: jsonl, path: '{folder}/requests.jsonl'}}]
providers:
  one: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: sk-of-the-operator}}
  untouched: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: sk-of-the-operator, repair: false}}
  two: {{type: anthropic, base_url: 'http://127.0.0.1:{port}/v1', api_key: sk-of-the-operator}}
  three: {{type: gemini, base_url: 'http://127.0.0.1:{port}/v1beta', api_key: sk-of-the-operator}}
  four: {{type: ollama, base_url: 'http://127.0.0.1:{port}'}}
models:
  - {{name: openai, targets: [{{provider: one, model: echo}}]}}
  - {{name: untouched, targets: [{{provider: untouched, model: echo}}]}}
  - {{name: anthropic, targets: [{{provider: two, model: echo}}]}}
  - {{name: gemini, targets: [{{provider: three, model: echo}}]}}
  - {{name: ollama, targets: [{{provider: four, model: echo}}]}}
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("garbage")
    plugins = folder / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "garbage.py").write_text(SINK)
    with Daemon(folder / "provider", ECHO) as provider:
        config = CONFIG.format(plugins=plugins, found=folder / "found", folder=folder, port=provider.port)
        with Daemon(folder / "daemon", config) as daemon:
            yield Subject(daemon, folder / "found")


MODELS = ["openai", "untouched", "anthropic", "gemini", "ollama"]
ORDERS = {
    "events=3": b"200",
    "think events=3": b"200",
    "tools": b"200",
    "error=400": b"400",
    "error=500": b"500",
    "events=3 fail=1": b"",
    "events=3 cut=2": b"",
}
"""What the provider is told to do, and how what it answers begins where that is the same of all."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_an_exchange_leaves_nothing_to_the_collector(subject: Subject, model: str, stream: bool) -> None:
    for orders, status in ORDERS.items():
        assert subject.ask(model, orders, stream).startswith(b"HTTP/1.1 " + status)
    assert subject.left(len(ORDERS)) == {}


@pytest.mark.parametrize("model", MODELS)
def test_neither_does_one_whose_client_leaves(subject: Subject, model: str) -> None:
    for orders, heard in [("events=99 delay=0.05", b"data: "), ("wait=5", b"")]:
        with dial(subject.daemon.port) as client:
            client.send(ordered(orders, model=model))
            client.until(heard)
    assert subject.left(2) == {}


def test_nor_one_that_is_refused(subject: Subject) -> None:
    assert subject.ask("nobody", "", stream=True).startswith(b"HTTP/1.1 404 ")
    with dial(subject.daemon.port) as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{")
        assert client.message()[0].startswith(b"HTTP/1.1 400 ")
    assert subject.left(2) == {}
