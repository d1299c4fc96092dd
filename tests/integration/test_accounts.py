"""The sinks ``lunary`` and ``helicone`` of a real daemon, with stand-ins for both services on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest

from tests.support.daemon import ECHO, Daemon
from tests.support.sdk import client, said
from tests.support.services import Services

pytestmark = pytest.mark.integration

KEY = "canary-of-the-account-91c4"


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services(KEY) as services:
        yield services


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[Daemon]:
    shared = {"key": {"env": "KEY"}, "contents": True, "flush_s": 0}
    sinks = [
        {"type": "lunary", "url": f"{services.url}/v1/runs/ingest", **shared},
        {"type": "helicone", "url": f"{services.url}/custom/v1/log", **shared},
        {"type": "lunary", "url": f"{services.url}/v1/runs/ingest", "key": {"env": "WRONG"}},
    ]
    folder: Path = tmp_path_factory.mktemp("accounts")
    environ = {"KEY": KEY, "WRONG": f"{KEY}x"}
    with Daemon(folder, f"{ECHO}sinks: {json.dumps(sinks)}\n", environ=environ) as daemon:
        yield daemon


def test_both_are_told_what_sdks_of_two_dialects_said_and_were_answered(daemon: Daemon, services: Services) -> None:
    with client(daemon.port) as openai:
        stream = openai.chat.completions.create(model="echo", messages=said("whole or streamed"), stream=True)
        assert "".join(one.choices[0].delta.content or "" for one in stream if one.choices) == "whole or streamed"
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{daemon.port}", api_key="k", max_retries=0) as sdk:
        sdk.messages.create(model="echo", max_tokens=50, messages=[{"role": "user", "content": "and by another"}])
    daemon.wait_for(lambda: len(services.lunary) == 2 and len(services.helicone) == 2)
    daemon.wait_for(lambda: all(len(events) == 2 for events in services.lunary.values()))
    runs = [(start["input"][0]["content"], end["output"]["content"]) for start, end in services.lunary.values()]
    assert sorted(runs) == [("and by another",) * 2, ("whole or streamed",) * 2]
    counted, told = (end["tokensUsage"] for _, end in services.lunary.values())
    assert (counted["completion"], told) == (5, {"prompt": 3, "completion": 3})
    logs = [(log["providerRequest"]["json"], log["providerResponse"]["json"]) for log in services.helicone.values()]
    texts = [(asked["messages"][0]["content"], told["choices"][0]["message"]["content"]) for asked, told in logs]
    assert sorted(texts) == sorted(runs)
    assert services.lunary.keys() == services.helicone.keys()
    assert services.wrong == []


def test_failures_are_told_as_such(daemon: Daemon, services: Services) -> None:
    assert daemon.request("POST", "/v1/chat/completions", {"model": "nobody's", "messages": []})[0] == 404

    def errors() -> list[str]:
        return [events[1]["error"]["message"] for events in services.lunary.values() if "error" in events[-1]]

    daemon.wait_for(lambda: errors() == ["model_not_found"])
    assert services.wrong == []


def test_a_wrong_key_is_retried_counted_as_lag_and_told_nowhere(daemon: Daemon) -> None:
    daemon.request("POST", "/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "x"}]})
    waiting = b'netrunner_sink_lag_records{sink="lunary-2"}'
    daemon.wait_for(lambda: waiting in daemon.request("GET", "/metrics")[2])
    line = next(one for one in daemon.request("GET", "/metrics")[2].splitlines() if one.startswith(waiting))
    assert float(line.split()[-1]) >= 1
    daemon.wait_for(lambda: "status 401" in daemon.log())
    kept = [path for path in daemon.folder.rglob("*") if path.is_file()]
    assert [path for path in kept if KEY.encode() in path.read_bytes()] == []
