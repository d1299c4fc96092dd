"""Seals of calls that a client drops, over restarts and from daemon to daemon: a scripted Gemini, a real Redis."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netrunner.process.control import ask as ask_control
from netrunner.process.state import control_path
from tests.support.crowd import wait_until
from tests.support.daemon import Daemon
from tests.support.dialogue import Peer, Provider, chat, dial, whole
from tests.support.redis import RedisServer
from tests.support.upgrades import end, replaced

pytestmark = pytest.mark.integration

SEAL = "c2VhbCBvZiB0aGUgY2FsbA=="
KEY = "Authorization: Bearer canary-of-the-caller"
QUESTION = {"role": "user", "content": "Hi"}
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": SEAL}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def gemini() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def config(gemini: Provider, more: str) -> str:
    up = f"{{type: gemini, base_url: 'http://127.0.0.1:{gemini.port}/v1beta', api_key: passthrough}}"
    models = "models: [{name: m, targets: [{provider: up, model: gemini-3-pro}]}]"
    return f"providers: {{up: {up}}}\n{models}\n{more}\n"


def answer(*parts: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
    return whole(json.dumps({"candidates": [candidate]}).encode())


def question(messages: list[Any], *fields: str) -> bytes:
    """Return a request that nothing follows on its connection."""
    return chat("Connection: close", *fields, stream=False, messages=messages)


def answered(gemini: Provider, client: Peer, *parts: Any) -> tuple[Any, Any]:
    """Let Gemini answer with these parts; return what it was asked, and the message that came to the client."""
    with gemini.accept() as upstream:
        _, body = upstream.message()
        upstream.send(answer(*parts).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        _, told = client.message()
    return json.loads(body), json.loads(told)["choices"][0]["message"]


def ask(daemon: Daemon, gemini: Provider, messages: list[Any], *parts: Any, key: str = KEY) -> tuple[Any, Any]:
    """Ask through a daemon for an answer of these parts; return as ``answered`` does."""
    with dial(daemon.port) as client:
        client.send(question(messages, key))
        return answered(gemini, client, *parts)


def results(message: Any) -> list[Any]:
    """Return the messages of a client that gives back a call it was told without its seal, and the call's result."""
    (call,) = message["tool_calls"]
    made = {"id": call["id"], "type": "function", "function": call["function"]}
    return [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call["id"], "content": "7"},
    ]


def seal_in(body: Any) -> Any:
    """Return the seal of the call that Gemini was told of."""
    (part,) = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
    return part.get("thoughtSignature")


def test_a_seal_outlives_a_reload_and_is_found_by_another_daemon_but_by_no_other_caller(
    tmp_path: Path, gemini: Provider, redis: RedisServer
) -> None:
    with (
        Daemon(tmp_path / "one", config(gemini, f"shared: {redis.url}")) as one,
        Daemon(tmp_path / "two", config(gemini, f"shared: {redis.url}")) as two,
    ):
        _, message = ask(one, gemini, [QUESTION], CALL)
        one.write_config(config(gemini, f"shared: {redis.url}\nmodel_map: {{n: m}}"))
        one.signal(signal.SIGHUP)
        one.wait_for(lambda: "configuration reloaded" in one.log())
        one.wait_for(lambda: redis.ask("DBSIZE") == 1)
        (name,) = [key.decode() for key in redis.ask("KEYS", "*")]
        assert re.fullmatch("netrunner:kept:seals:1:[0-9a-f]{64}", name)
        assert 86_000_000 < redis.ask("PTTL", name) <= 86_400_000
        again = results(message)
        body, _ = ask(two, gemini, again, {"text": "done"}, key="Authorization: Bearer another")
        assert seal_in(body) != SEAL
        body, _ = ask(two, gemini, again, {"text": "done"})
        assert seal_in(body) == SEAL
        metrics = two.request("GET", "/metrics")[2]
        assert b'netrunner_seals_asked_total{outcome="found"} 1.0' in metrics
        assert b'netrunner_seals_asked_total{outcome="missing"} 1.0' in metrics

        # Without Redis, what a process has itself is there, and the rest goes on without.
        redis.kill()
        two.wait_for(lambda: b"netrunner_seals_available 0.0" in two.request("GET", "/metrics")[2])
        body, _ = ask(one, gemini, again, {"text": "done"})
        assert seal_in(body) == SEAL
        again[1]["tool_calls"][0]["id"] = again[2]["tool_call_id"] = "call_of_nobody"
        body, _ = ask(two, gemini, again, {"text": "done"})
        assert seal_in(body) != SEAL
        metrics = two.request("GET", "/metrics")[2]
        assert b'netrunner_seals_asked_total{outcome="unavailable"} 1.0' in metrics
        redis.start()
        two.wait_for(lambda: b"netrunner_seals_available 1.0" in two.request("GET", "/metrics")[2])


@contextmanager
def stopped(daemon: Daemon, pid: int) -> Iterator[None]:
    """Let a worker do nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        daemon.wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_asks_the_others_for_a_seal_that_it_lacks(tmp_path: Path, gemini: Provider) -> None:
    with Daemon(tmp_path, config(gemini, "workers: 2")) as daemon:
        first, second = [worker["pid"] for worker in daemon.control("workers")["workers"]]
        with stopped(daemon, second):
            _, message = ask(daemon, gemini, [QUESTION], CALL)
        with dial(daemon.port) as client:
            head, _, body = question(results(message), KEY, "Expect: 100-continue").partition(b"\r\n\r\n")
            with stopped(daemon, first):
                client.send(head + b"\r\n\r\n")
                assert b"100 Continue" in client.until(b"\r\n\r\n")
            client.send(body)
            told, _ = answered(gemini, client, {"text": "done"})
        assert seal_in(told) == SEAL


def left_in(daemon: Daemon) -> list[Path]:
    """Return the files of seals that there are."""
    return sorted((daemon.state / "seals").iterdir())


def test_a_seal_outlives_a_restart_an_upgrade_and_a_kill(tmp_path: Path, gemini: Provider) -> None:
    with Daemon(tmp_path, config(gemini, "")) as one:
        _, first = ask(one, gemini, [QUESTION], CALL)
    (left,) = left_in(one)
    assert left.stat().st_mode & 0o777 == 0o600
    told = left.read_bytes()
    assert SEAL.encode() in told
    assert b"canary" not in told

    with Daemon(tmp_path, config(gemini, "")) as two:
        body, _ = ask(two, gemini, results(first), {"text": "done"})
        assert seal_in(body) == SEAL
        # Its own file has everything that the one before has left.
        two.wait_for(lambda: not left.exists())
        # This one is in no file yet when another process is to know it.
        _, second = ask(two, gemini, [QUESTION], CALL)
        two.signal(signal.SIGUSR2)
        pid = replaced(two, two.pid)
        for message in (first, second):
            body, _ = ask(two, gemini, results(message), {"text": "done"})
            assert seal_in(body) == SEAL
        assert two.wait() == 0
        wait_until(lambda: len(left_in(two)) == 1, lambda: ask_control(control_path(two.state, pid), "ping", {}, 20.0))
        end(pid, signal.SIGKILL)

    with Daemon(tmp_path, config(gemini, "")) as three:
        for message in (first, second):
            body, _ = ask(three, gemini, results(message), {"text": "done"})
            assert seal_in(body) == SEAL
        _, late = ask(three, gemini, [QUESTION], CALL)
        three.signal(signal.SIGKILL)
        three.wait()
        damaged = left_in(three)
        for path in damaged:
            path.write_bytes(b"damaged")

    with Daemon(tmp_path, config(gemini, "")) as four:
        body, _ = ask(four, gemini, results(late), {"text": "done"})
        assert seal_in(body) != SEAL
        assert f"netrunner_seals_damaged_total {len(damaged)}.0" in four.request("GET", "/metrics")[2].decode()
