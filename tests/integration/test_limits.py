"""Limits as clients of real daemons meet them, alone and together with others that share a Redis."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.crowd import Crowd
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import Provider, chat, dial, whole
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer("p@ss word") as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    server.flush()
    return server


def config(limits: str, redis: RedisServer | None = None, more: str = "") -> str:
    shared = f"shared: '{redis.url}'\n" if redis else ""
    return f"{ECHO}{shared}{more}filters: [{{type: rate_limit, {limits}}}]\n"


def status(daemon: Daemon, text: str = "Hello") -> int:
    return daemon.request("POST", "/v1/chat/completions", document(text))[0]


def document(text: str) -> dict[str, object]:
    return {"model": "echo", "messages": [{"role": "user", "content": text}]}


def asked(text: str = "Hello", **more: object) -> bytes:
    return chat(**{**document(text), **more})  # type: ignore[arg-type]  # all but the fields


def statuses(daemons: list[Daemon], count: int, request: bytes) -> Counter[int]:
    """Ask that often of all of them, at once; return how often each status was answered."""
    with ExitStack() as stack:
        crowds = [(stack.enter_context(Crowd(daemon.port)), daemon) for daemon in daemons]
        visitors = [(crowd, crowd.ask([request] * (count // len(daemons)))) for crowd, _ in crowds]
        for crowd, visiting in visitors:
            crowd.wait(visiting, b"}")
        return Counter(visitor.status for _, visiting in visitors for visitor in visiting)


def test_200_parallel_clients_of_two_processes_get_exactly_what_the_limit_lets_in(
    tmp_path: Path, redis: RedisServer
) -> None:
    text = config("requests_per_hour: 120", redis)
    with Daemon(tmp_path / "one", text) as one, Daemon(tmp_path / "two", text) as two:
        assert statuses([one, two], 200, asked()) == {200: 120, 429: 80}


def test_requests_at_once_are_counted_across_processes_and_given_back_by_the_dead(
    tmp_path: Path, redis: RedisServer
) -> None:
    text = config("concurrency: 2", redis)
    with Daemon(tmp_path / "one", text) as one:
        dead = Daemon(tmp_path / "two", text)
        with dead as two, Crowd(one.port) as here, Crowd(two.port) as there:
            here.ask_one(asked("/echo events=3 delay=3600 Hello"))
            there.ask_one(asked("/echo events=3 delay=3600 Hello"))
            assert status(one) == status(two) == 429
            two.signal(signal.SIGKILL)
            two.wait()
            assert status(one) == 429
            # A lease and not much more; the one that lives renews its own.
            redis.age(14)
            one.wait_for(lambda: status(one) == 200)


def test_calls_of_one_provider_are_a_gap_apart_in_all_processes(tmp_path: Path, redis: RedisServer) -> None:
    with Provider() as provider:
        text = f"shared: '{redis.url}'\n{provider.config}".replace("repair: false", "min_gap_s: 60")
        with Daemon(tmp_path / "one", text) as one, Daemon(tmp_path / "two", text) as two:
            with dial(one.port) as first:
                first.send(chat(stream=False))
                with provider.accept() as upstream:
                    upstream.message()
                    upstream.send(whole())
                    assert first.message()[0].startswith(b"HTTP/1.1 200")
            code, headers, body = two.request("POST", "/v1/chat/completions", {**document("Hello"), "model": "m"})
            assert (code, json.loads(body)["error"]["code"]) == (429, "provider_busy")
            assert 1 <= int(headers["retry-after"]) <= 60
            redis.age(60)
            with dial(two.port) as second:
                second.send(chat(stream=False))
                with provider.accept() as upstream:
                    upstream.message()


def test_calls_at_once_of_one_provider_are_counted_in_all_processes_and_given_back_by_the_dead(
    tmp_path: Path, redis: RedisServer
) -> None:
    with Provider() as provider:
        text = f"shared: '{redis.url}'\n{provider.config}".replace("repair: false", "max_at_once: 1")
        dead = Daemon(tmp_path / "one", text)
        with dead as one, Daemon(tmp_path / "two", text) as two, dial(one.port) as first, dial(two.port) as second:
            first.send(chat())
            with provider.accept() as upstream:
                upstream.message()
                second.send(chat())
                two.wait_for(lambda: b'limit="concurrency"' in two.request("GET", "/metrics")[2])
                assert provider.untouched()
                one.signal(signal.SIGKILL)
                one.wait()
            redis.age(14)
            with provider.accept() as upstream:
                upstream.message()


def test_without_redis_what_is_limited_is_refused(tmp_path: Path) -> None:
    with RedisServer() as redis, Daemon(tmp_path, config("requests_per_hour: 3", redis)) as daemon:
        assert status(daemon) == 200
        redis.kill()
        code, headers, body = daemon.request("POST", "/v1/chat/completions", document("Hello"))
        assert (code, json.loads(body)["error"]["code"]) == (503, "counters_unavailable")
        assert headers["retry-after"] == "1"
        assert b"netrunner_counters_available 0.0" in daemon.request("GET", "/metrics")[2]
        assert "Redis at 127.0.0.1 cannot be used" in daemon.log()
        redis.start()
        daemon.wait_for(lambda: status(daemon) == 200)
        assert "answers again" in daemon.log()


def test_without_redis_a_process_may_count_by_itself(tmp_path: Path) -> None:
    with RedisServer() as redis:
        text = config("requests_per_hour: 3", redis, "shared_down: local\n")
        with Daemon(tmp_path, text) as daemon:
            assert status(daemon) == 200
            redis.kill()
            assert [status(daemon) for _ in range(4)] == [200, 200, 200, 429]
            metrics = daemon.request("GET", "/metrics")[2]
            assert b"netrunner_counted_locally_total 4.0" in metrics
            assert b'netrunner_limit_denials_total{limit="requests_per_hour",scope="rate_limit"} 1.0' in metrics
            redis.start()
            daemon.wait_for(lambda: b"netrunner_counters_available 1.0" in daemon.request("GET", "/metrics")[2])
            assert [status(daemon) for _ in range(4)] == [200, 200, 200, 429]


def test_a_daemon_starts_without_its_redis(tmp_path: Path) -> None:
    redis = RedisServer()
    with Daemon(tmp_path, config("requests_per_hour: 3", redis)) as daemon:
        assert status(daemon) == 503


def test_redis_that_forgot_the_scripts_is_told_them_again(tmp_path: Path, redis: RedisServer) -> None:
    with Daemon(tmp_path, config("requests_per_hour: 3", redis)) as daemon:
        assert status(daemon) == 200
        redis.ask("SCRIPT", "FLUSH")
        assert [status(daemon) for _ in range(3)] == [200, 200, 429]


def test_a_wrong_password_is_said_and_not_told(tmp_path: Path, redis: RedisServer) -> None:
    text = config("requests_per_hour: 3", redis).replace("p%40ss", "wr0ng-canary")
    with Daemon(tmp_path, text) as daemon:
        assert status(daemon) == 503
        assert "could not auth" in daemon.log()
        assert "canary" not in daemon.log()


def test_windows_outlive_a_reload(tmp_path: Path) -> None:
    with Daemon(tmp_path, config("requests_per_hour: 2")) as daemon:
        assert status(daemon) == 200
        daemon.control("reload")
        assert [status(daemon), status(daemon)] == [200, 429]
        daemon.write_config(config("requests_per_hour: 3"))
        daemon.control("reload")
        assert [status(daemon), status(daemon)] == [200, 429]


def test_windows_are_handed_over_to_a_successor(tmp_path: Path) -> None:
    with Daemon(tmp_path / "old", config("requests_per_hour: 3")) as old:
        assert [status(old), status(old)] == [200, 200]
        with Daemon(tmp_path / "new", config("requests_per_hour: 3"), take_over=old) as new:
            old.wait()
            new.wait_for(lambda: "took over" in new.log())
            assert [status(new), status(new)] == [200, 429]


def test_a_reload_may_take_counting_elsewhere(tmp_path: Path, redis: RedisServer) -> None:
    with Daemon(tmp_path, config("requests_per_hour: 1")) as daemon:
        assert [status(daemon), status(daemon)] == [200, 429]
        daemon.write_config(config("requests_per_hour: 1", redis))
        daemon.control("reload")
        assert [status(daemon), status(daemon)] == [200, 429]
        daemon.write_config(config("requests_per_hour: 1"))
        daemon.control("reload")
        assert [status(daemon), status(daemon)] == [200, 429]
