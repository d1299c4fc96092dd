"""Counters in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from netrunner.claims import Claim, Denial, Grant
from netrunner.limits.lines import SharedLines
from netrunner.limits.shared import SharedCounters
from tests.limits.contract import *  # noqa: F403 - every test there is
from tests.limits.contract import Counting
from tests.limits.drift import Drift
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
        self._granted: list[Any] = []
        redis: Any = Dialled(server)
        lines = SharedLines(redis, self.clock, "boot", lambda *_: redis)
        self.counters = SharedCounters(redis, self.clock, "boot", None, lines)
        self.counters.start()

    def advance(self, seconds: float) -> None:
        self._server.age(seconds)
        # The process lives, and renews its leases.
        self.clock.advance(seconds)
        # What was granted knows when its windows were opened.
        for grant in self._granted:
            grant.windows = [[(n, t, at - round(seconds * 1e6)) for n, t, at in its] for its in grant.windows]

    def ask(self, *claims: Claim, tokens: int = 0) -> Grant | Denial:
        answer = super().ask(*claims, tokens=tokens)
        if isinstance(answer, Grant):
            self._granted.append(answer)
        return answer


@pytest.fixture
def counting(server: RedisServer) -> Counting:
    server.flush()
    return Shared(server)


def test_whatever_happens_redis_counts_what_happened(server: RedisServer) -> None:
    class InRedis(Drift):
        def make(self) -> Counting:
            server.flush()
            return Shared(server)

    some = settings(max_examples=8, stateful_step_count=25, deadline=None, phases=[Phase.generate])
    run_state_machine_as_test(InRedis, settings=some)
