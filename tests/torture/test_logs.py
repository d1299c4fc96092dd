"""No daemon of any test may log a failure (row 36): the harness looks, and here it is seen to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import ECHO, Daemon

pytestmark = pytest.mark.integration

BROKEN = """
import dataclasses

from twisted.internet.defer import fail
from zope.interface import implementer

from netrunner.interfaces import IHeadPhase
from netrunner.offers import FilterFactory


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    pass


@implementer(IHeadPhase)
class Broken:
    def __init__(self, settings, environment):
        pass

    async def on_head(self, exchange):
        BODY


broken = FilterFactory(name="broken", build=Broken, settings=Nothing, doc="Fails.")
"""


@pytest.mark.parametrize("body", ["1 / 0", "fail(KeyError('nobody asks'))"], ids=["raised", "failed unheard"])
def test_a_failure_that_a_daemon_logs_fails_its_test(tmp_path: Path, body: str) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "broken.py").write_text(BROKEN.replace("BODY", body))
    config = f"{ECHO}plugins: {{directories: ['{folder}']}}\nfilters: [{{type: broken}}]\n"
    with pytest.raises(AssertionError, match=r"Traceback|Unhandled"), Daemon(tmp_path, config) as daemon:
        daemon.request("POST", "/v1/chat/completions", {"model": "echo", "messages": []})
