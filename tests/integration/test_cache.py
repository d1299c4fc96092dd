"""The filter ``cache`` in real daemons: ``docs/cache.md``, official SDKs, several workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.daemon import PATIENCE_S, ROOT, Daemon
from tests.support.sdk import client, said

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "cache.md").read_text()
(CONFIG,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
ASK, PURGE = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
(TOLD,) = re.findall(r"(?ms)^```text\n(.*?)^```$", PAGE)
PUBLIC = {"Cache-Control": "public"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("cache"), CONFIG) as daemon:
        yield daemon


def shell(daemon: Daemon, command: str) -> str:
    command = command.replace("8080", str(daemon.port)).replace("--state var", f"--state {daemon.state}")
    command = re.sub("^netrunner", str(Path(sys.executable).with_name("netrunner")), command)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout


def test_curl_is_told_what_the_page_says(daemon: Daemon) -> None:
    miss, hit = TOLD.splitlines()
    first, second = shell(daemon, ASK), shell(daemon, ASK)
    assert miss in first
    assert re.search(hit.replace("599", "(599|600)"), second)
    assert first.partition("\r\n\r\n")[2] == second.partition("\r\n\r\n")[2]


def test_all_workers_forget_when_they_are_told_to(tmp_path: Path) -> None:
    with Daemon(tmp_path, f"{CONFIG}workers: 2\n") as daemon:
        while "netrunner; hit" not in shell(daemon, ASK):
            pass  # Each worker has a memory of its own.
        assert re.fullmatch(r"[12] answers forgotten\n", shell(daemon, PURGE))
        assert "netrunner; fwd=miss" in shell(daemon, ASK)


def test_openais_sdk_reads_a_stream_from_memory(daemon: Daemon) -> None:
    with client(daemon.port) as sdk:
        texts, statuses = [], []
        for _ in range(3):
            raw = sdk.chat.completions.with_raw_response.create(
                model="echo", messages=said("a stream, please"), stream=True, extra_headers=PUBLIC
            )
            statuses.append(raw.headers["cache-status"].partition("; ttl")[0])
            texts.append("".join(one.choices[0].delta.content or "" for one in raw.parse() if one.choices))
    assert statuses == ["netrunner; fwd=miss", "netrunner; hit", "netrunner; hit"]
    assert texts == ["a stream, please"] * 3


def test_anthropics_sdk_does_too(daemon: Daemon) -> None:
    with anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{daemon.port}", api_key="k", default_headers=PUBLIC, max_retries=0
    ) as sdk:
        texts = []
        question: Any = said("and so do I")
        for _ in range(2):
            with sdk.messages.stream(model="echo", max_tokens=50, messages=question) as stream:
                texts.append(stream.get_final_text())
            assert "netrunner; " in stream.response.headers["cache-status"]
        assert "netrunner; hit" in stream.response.headers["cache-status"]
    assert texts == ["and so do I"] * 2


def test_the_log_tells_whose_answer_it_was(daemon: Daemon) -> None:
    with client(daemon.port) as sdk:
        for _ in range(2):
            sdk.chat.completions.create(model="echo", messages=said("for the log"), extra_headers=PUBLIC)

    def rows() -> list[dict[str, object]]:
        _, _, body = daemon.request("GET", "/api/logs?limit=2")
        found: list[dict[str, object]] = json.loads(body)
        return found

    daemon.wait_for(lambda: len(rows()) == 2 and rows()[0]["cached"] is not None)
    second, first = rows()
    assert second["cached"] == first["id"]
