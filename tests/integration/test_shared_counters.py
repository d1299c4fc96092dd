"""Counters in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netrunner.limits.shared import SharedCounters
from tests.limits.contract import *  # noqa: F403 - every test there is
from tests.limits.contract import Counting
from tests.support.redis import Dialled, RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Shared(Counting):
    """The same in Redis, whose time passes as it is told."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._server = server
        self.counters = SharedCounters(Dialled(server), self.clock, "boot", None)  # type: ignore[arg-type]  # as Redis

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._server.age(seconds)


@pytest.fixture
def counting(server: RedisServer) -> Counting:
    server.flush()
    return Shared(server)
