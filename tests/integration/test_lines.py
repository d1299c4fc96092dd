"""Requests that wait for a limit in a line of several processes: two real daemons and a real Redis."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import Peer, Provider, chat, dial, whole
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration
LAST = whole().replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
LINE = "netrunner:limits:rate_limit||line"


class Crossing:
    """Two daemons with one place between them, held by a request of the first; a context manager."""

    def __init__(self, folder: Path, redis: RedisServer, more: str = "") -> None:
        self._folder = folder
        self._redis = redis
        self._more = more

    def __enter__(self) -> Crossing:
        with ExitStack() as stack:
            self._stack = stack
            self.provider = stack.enter_context(Provider())
            limit = "filters: [{type: rate_limit, per: global, concurrency: 1, queue: {max_wait_s: 60}}]\n"
            config = f"{self.provider.config}shared: '{self._redis.url}'\n{self._more}{limit}"
            self.daemons = [stack.enter_context(Daemon(self._folder / name, config)) for name in ("one", "two")]
            self.ask(0, "holds")
            self.holder = self.next("holds")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, where: int, text: str) -> Peer:
        """Ask one of them."""
        client = self._stack.enter_context(dial(self.daemons[where].port))
        client.send(chat(stream=False, messages=[{"role": "user", "content": text}]))
        return client

    def wait(self, where: int, text: str, behind: int = 0) -> Peer:
        """Ask one of them, and return when the request stands in the line behind so many."""
        client = self.ask(where, text)
        self.stand(behind + 1)
        return client

    def stand(self, count: int) -> None:
        """Return when so many stand in the line."""
        self.daemons[0].wait_for(lambda: self._redis.ask("ZCARD", LINE) == count)

    def next(self, text: str) -> Peer:
        """Return the provider's end of the request that is let in next."""
        upstream = self._stack.enter_context(self.provider.accept())
        _, body = upstream.message()
        assert json.loads(body)["messages"][0]["content"] == text
        return upstream


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    server.flush()
    return server


def test_who_came_first_goes_first_whichever_process_it_came_to(tmp_path: Path, redis: RedisServer) -> None:
    with Crossing(tmp_path, redis) as crossing:
        clients = [crossing.wait(where, f"number {n}", n) for n, where in enumerate((1, 0, 1, 1, 0))]
        upstream = crossing.holder
        for number in range(len(clients)):
            upstream.send(LAST)
            upstream = crossing.next(f"number {number}")
            crossing.stand(len(clients) - number - 1)
            assert crossing.provider.untouched()
        upstream.send(LAST)
        for client in clients:
            assert client.message()[0].startswith(b"HTTP/1.1 200")


def test_a_client_that_leaves_gives_its_place_up_at_once(tmp_path: Path, redis: RedisServer) -> None:
    with Crossing(tmp_path, redis) as crossing:
        leaves, stays = crossing.wait(1, "leaves"), crossing.wait(0, "stays", 1)
        leaves.__exit__()
        crossing.stand(1)
        crossing.holder.send(LAST)
        crossing.next("stays").send(LAST)
        assert stays.message()[0].startswith(b"HTTP/1.1 200")


def test_those_who_wait_in_a_process_that_dies_hold_nobody_up(tmp_path: Path, redis: RedisServer) -> None:
    with Crossing(tmp_path, redis) as crossing:
        crossing.wait(1, "dies")
        crossing.wait(1, "dies too", 1)
        crossing.wait(0, "lives", 2)
        crossing.daemons[1].signal(signal.SIGKILL)
        crossing.daemons[1].wait()
        crossing.holder.send(LAST)
        redis.age(3)
        crossing.next("lives")


@pytest.mark.parametrize(("choice", "status"), [("refuse", b"503"), ("local", b"200")])
def test_those_who_wait_when_redis_goes_are_treated_as_configured(tmp_path: Path, choice: str, status: bytes) -> None:
    with RedisServer() as redis, Crossing(tmp_path, redis, f"shared_down: {choice}\n") as crossing:
        client = crossing.wait(1, "waits")
        redis.kill()
        if choice == "local":
            crossing.next("waits").send(LAST)
        head, body = client.message()
        assert head.split()[1] == status
        assert (b"counters_unavailable" in body) == (choice == "refuse")
