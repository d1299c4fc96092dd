"""The filter ``cache`` in real daemons: ``docs/cache.md``, official SDKs, several workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.daemon import PATIENCE_S, ROOT, Daemon
from tests.support.redis import RedisServer
from tests.support.sdk import client, said

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "cache.md").read_text()
CONFIG, SHARED = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
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


# Two daemons, and a Redis.


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def shared(redis: RedisServer, more: str = "") -> str:
    return str(SHARED).replace("redis://127.0.0.1:6379/0", redis.url) + more


def status_of(daemon: Daemon, text: str, **headers: str) -> str:
    """Ask; return what the answer says of the cache, without its seconds."""
    question = {"model": "echo", "messages": said(text)}
    fields = {**PUBLIC, **{name.replace("_", "-"): value for name, value in headers.items()}}
    status, answered, _ = daemon.request("POST", "/v1/chat/completions", question, fields)
    assert status == 200
    return str(answered["cache-status"]).partition("; ttl")[0]


MISS, HIT, AWAY = "netrunner; fwd=miss", "netrunner; hit", "netrunner; fwd=miss; detail=store_unavailable"


def test_two_daemons_find_each_others_answers_but_no_callers_another_callers(
    tmp_path: Path, redis: RedisServer
) -> None:
    with Daemon(tmp_path / "one", shared(redis)) as one:
        with Daemon(tmp_path / "two", shared(redis)) as two:
            assert status_of(one, "for both", x_api_key="mine") == MISS
            one.wait_for(lambda: redis.ask("DBSIZE") == 1)
            assert status_of(two, "for both", x_api_key="mine") == HIT
            assert status_of(two, "for both", x_api_key="theirs") == MISS
            with client(one.port) as sdk:
                for port in (one.port, two.port):
                    sdk.base_url = f"http://127.0.0.1:{port}/v1"
                    stream = sdk.chat.completions.create(
                        model="echo", messages=said("streamed"), stream=True, extra_headers=PUBLIC
                    )
                    text = "".join(each.choices[0].delta.content or "" for each in stream if each.choices)
                    assert text == "streamed"
            # What is made by other filters is not the same answer.
            with Daemon(tmp_path / "other", shared(redis, "  - {type: strip_thinking}\n")) as other:
                assert status_of(other, "for both", x_api_key="mine") == MISS
        kept = int(redis.ask("DBSIZE"))
        assert kept == 4
        keys = [key.decode() for key in redis.ask("KEYS", "*")]
        assert all(0 < redis.ask("PTTL", key) <= 600_000 for key in keys)
        assert "mine" not in "".join(keys)
        assert shell(one, PURGE) == f"{kept} answers forgotten\n"
        assert redis.ask("DBSIZE") == 0
        assert status_of(one, "for both", x_api_key="mine") == MISS


def test_without_redis_everything_is_asked_and_afterwards_it_goes_on(tmp_path: Path) -> None:
    with RedisServer() as server, Daemon(tmp_path, shared(server)) as daemon:
        assert status_of(daemon, "before") == MISS
        server.kill()
        daemon.wait_for(lambda: status_of(daemon, "meanwhile") == AWAY)
        assert b"netrunner_cache_available 0.0" in daemon.request("GET", "/metrics")[2]
        command = [str(Path(sys.executable).with_name("netrunner")), "cache", "--state", str(daemon.state), "purge"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, "Traceback" in done.stderr, done.stderr != "") == (1, False, True)
        server.start()
        daemon.wait_for(lambda: status_of(daemon, "afterwards") == HIT)
        assert b"netrunner_cache_available 1.0" in daemon.request("GET", "/metrics")[2]


def test_many_who_ask_the_same_at_once_are_one_for_the_provider(tmp_path: Path) -> None:
    config = CONFIG.replace("{echo: {type: echo}}", "{echo: {type: echo, delay_s: 0.5}}")
    with Daemon(tmp_path, config) as daemon, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: status_of(daemon, "all at once"), range(8)))
        assert told.count(MISS) == 1
        assert set(told) <= {MISS, f"{MISS}; collapsed", HIT}
        assert f"{MISS}; collapsed" in told


def test_answers_cannot_be_shared_without_a_place_for_them(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SHARED.replace("shared: redis://127.0.0.1:6379/0\n", ""))
    command = [str(Path(sys.executable).with_name("netrunner")), "check", str(tmp_path / "x.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "x.yaml:4: store: shared needs shared: redis://HOST:PORT/DB" in done.stdout + done.stderr
