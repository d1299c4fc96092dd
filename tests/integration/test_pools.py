"""Pools over real sockets: a dead target beside a real llama.cpp, breakers, the budget for retries."""

from __future__ import annotations

import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import Counting
from tests.support.daemon import Daemon
from tests.support.llama import MODEL, Llama

pytestmark = pytest.mark.integration
BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


def post(port: int, model: str, count: int = 1) -> Counter[int]:
    """Ask ``count`` times over one connection; return how often each status was the answer."""
    statuses: Counter[int] = Counter()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"model": model, **BODY})
    for _ in range(count):
        client.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = client.getresponse()
        content = answer.read()
        assert content, answer.status
        statuses[answer.status] += 1
    client.close()
    return statuses


def crowd(port: int, model: str, count: int, clients: int = 8) -> Counter[int]:
    with ThreadPoolExecutor(clients) as threads:
        shares = threads.map(lambda _: post(port, model, count // clients), range(clients))
        return sum(shares, Counter())


def targets(daemon: Daemon) -> dict[str, dict[str, Any]]:
    client = daemon.connect()
    client.request("GET", "/api/health/targets")
    answer = client.getresponse()
    assert answer.status == 200
    told = json.loads(answer.read())["targets"]
    client.close()
    return {one["provider"]: one for one in told}


def config(urls: dict[str, str], models: list[dict[str, Any]], **more: Any) -> str:
    providers = {name: {"type": "openai", "base_url": url} for name, url in urls.items()}
    keys = {"providers": providers, "models": models, "sinks": [], **more}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())


def pair(name: str, *providers: str) -> dict[str, Any]:
    return {
        "name": name,
        "targets": [{"provider": one, "model": MODEL, "priority": n} for n, one in enumerate(providers)],
    }


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections: it is bound, and nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_a_real_llama_serves_while_the_other_target_is_dead(tmp_path: Path, closed_port: int) -> None:
    with Llama(tmp_path) as llama:
        urls = {"dead": f"http://127.0.0.1:{closed_port}/v1", "llama": f"http://127.0.0.1:{llama.port}/v1"}
        text = config(urls, [pair("m", "dead", "llama")], health={"pause_s": 0})
        with Daemon(tmp_path / "daemon", text) as daemon:
            assert crowd(daemon.port, "m", 40) == {200: 40}
            told = targets(daemon)
            assert (told["dead"]["state"], told["llama"]["state"]) == ("open", "closed")
            assert told["dead"]["failures_in_a_row"] >= 5
            assert told["llama"]["attempts"] == 40
            assert told["llama"]["in_flight"] == told["dead"]["in_flight"] == 0
            before = told["dead"]["attempts"]
            assert post(daemon.port, "m", 10) == {200: 10}
            assert targets(daemon)["dead"]["attempts"] == before


def test_a_target_that_takes_requests_and_never_answers_costs_five_errors_at_most(tmp_path: Path) -> None:
    with Counting(lambda _: 0) as mute, Counting(lambda _: 200) as well:
        text = config({"a": mute.url, "b": well.url}, [pair("m", "a", "b")], health={"pause_s": 0})
        with Daemon(tmp_path / "daemon", text) as daemon:
            statuses = post(daemon.port, "m", 100)
            assert (statuses, mute.posts, well.posts) == ({502: 5, 200: 95}, 5, 95)


@pytest.mark.parametrize("posts", [200, pytest.param(5_000, marks=pytest.mark.torture)])
def test_a_target_that_always_fails_is_left_alone_and_nobody_sees_it(tmp_path: Path, posts: int) -> None:
    with Counting(lambda _: 503) as failing, Counting(lambda _: 200) as well:
        text = config({"a": failing.url, "b": well.url}, [pair("m", "a", "b")], health={"pause_s": 0, "open_s": 600})
        with Daemon(tmp_path / "daemon", text) as daemon:
            assert post(daemon.port, "m", 10) == {200: 10}
            assert failing.posts == 5
            assert crowd(daemon.port, "m", posts) == {200: posts}
            assert (failing.posts, well.posts) == (5, posts + 10)
            assert targets(daemon)["a"]["state"] == "open"
            # What is known of it outlives a reload.
            daemon.control("reload")
            assert post(daemon.port, "m", 10) == {200: 10}
            assert failing.posts == 5


@pytest.mark.parametrize("posts", [200, pytest.param(5_000, marks=pytest.mark.torture)])
@pytest.mark.parametrize("share", [2, 1])
def test_retries_are_a_fifth_of_the_load_at_most(tmp_path: Path, share: int, posts: int) -> None:
    retry = {"type": "retry", "attempts": 3, "base_delay_s": 0.001, "max_delay_s": 0.001}
    with Counting(lambda number: 503 if number % share == 0 else 200) as failing:
        text = config({"a": failing.url}, [pair("m", "a")], filters=[retry])
        with Daemon(tmp_path / "daemon", text) as daemon:
            statuses = crowd(daemon.port, "m", posts)
    assert statuses.total() == posts
    assert posts < failing.posts <= posts * 1.2
    if share == 1:
        assert statuses == {503: posts}


def test_a_look_finds_out_that_a_provider_is_there_again(tmp_path: Path) -> None:
    with Counting(lambda number: 503 if number < 5 else 200) as once:
        text = config({"a": once.url}, [pair("m", "a")], health={"alone": True, "open_s": 600, "look_every_s": 0.1})
        with Daemon(tmp_path / "daemon", text) as daemon:
            assert post(daemon.port, "m", 5) == {503: 5}
            daemon.wait_for(lambda: once.looks > 0 and targets(daemon)["a"]["state"] == "probing")
            assert post(daemon.port, "m", 2) == {200: 2}
            assert targets(daemon)["a"]["state"] == "closed"
