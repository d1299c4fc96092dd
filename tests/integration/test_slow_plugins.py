"""A plugin that blocks the daemon is named in its log before it lets go, and everybody is served afterwards."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.support.daemon import PATIENCE_S, Daemon
from tests.support.dialogue import chat, dial

pytestmark = pytest.mark.integration

BLOCKING = """
import dataclasses
import os
import time

from zope.interface import implementer

from netrunner.interfaces import IRequestPhase
from netrunner.offers import FilterFactory
from netrunner.settings import setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    until: str = setting(doc="A file.", form="path")


@implementer(IRequestPhase)
class Blocks:
    def __init__(self, settings, environment):
        self.until = settings.until

    async def on_request(self, exchange):
        while not os.path.exists(self.until):
            time.sleep(0.01)


blocks = FilterFactory(name="blocks", build=Blocks, settings=Settings, doc="Blocks until there is a file.")
"""


def said(daemon: Daemon, text: str) -> str:
    """Return the first line of the log with ``text``, which comes while the daemon answers nothing."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.05)):
        for line in daemon.log().splitlines():
            if text in line:
                return line
        pause.wait(0.05)
    raise AssertionError(daemon.log())


def test_a_filter_that_blocks_is_named_while_it_does(tmp_path: Path) -> None:
    plugins, released = tmp_path / "plugins", tmp_path / "released"
    plugins.mkdir(mode=0o755)
    (plugins / "blocking.py").write_text(BLOCKING)
    config = (
        "providers: {echo: {type: echo}}\nmodels: [{name: m, targets: [{provider: echo, model: echo}]}]\n"
        f"plugins: {{directories: ['{plugins}']}}\nfilters: [{{type: blocks, until: '{released}'}}]\n"
    )
    with Daemon(tmp_path / "daemon", config) as daemon, dial(daemon.port) as client:
        client.send(chat(stream=False))
        assert re.search(r"\.blocking:2[45] on_request < ", said(daemon, "everything waits, for "))
        released.touch()
        assert client.message()[0].startswith(b"HTTP/1.1 200")
        assert daemon.request("GET", "/live")[0] == 200
        assert daemon.log().count(".blocking:") == 1
