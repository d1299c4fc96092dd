"""The sink ``database``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.errors import StoreError
from netrunner.figures import Point, Stats
from netrunner.interfaces import ILogStore
from netrunner.sinks.database import DAY_S, TIDY_S, Database, DatabaseSettings
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Record
from tests.support.logs import WarningLog

NOW_S = 1_000_000_000.0


@implementer(ILogStore)
class FakeStore:
    """Notes what it is asked, and fails when it is told to."""

    def __init__(self) -> None:
        self.added: list[Record] = []
        self.forgotten: list[tuple[float, bool]] = []
        self.error: StoreError | None = None
        self.held: Deferred[None] | None = None

    async def add(self, records: Sequence[Record]) -> None:
        if self.error is not None:
            raise self.error
        self.added += records

    async def forget(self, before_s: float, vacuum: bool = True) -> int:
        self.forgotten.append((before_s, vacuum))
        if self.held is not None:
            await self.held
        if self.error is not None:
            raise self.error
        return 0

    async def page(self, query: object, limit: int) -> list[Record]:
        return []

    async def one(self, id: str) -> None:
        return None

    async def count(self, query: object) -> int:
        return 0

    async def stats(self, now_s: float) -> Stats:
        return Stats(0, 0, {})

    async def performance(self, query: object, limit: int) -> list[Point]:
        return []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_s=NOW_S)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def make(clock: FakeClock, store: FakeStore) -> Callable[..., Database]:
    return lambda **settings: Database(DatabaseSettings(**settings), FakeEnvironment(clock=clock, store=store))


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The reasons of warnings logged meanwhile."""
    with WarningLog() as log:
        yield log.reasons


Run = Callable[[Coroutine[Any, Any, Any]], None]


def test_what_is_written_is_in_the_store(
    make: Callable[..., Database], store: FakeStore, record: Callable[..., Record], run: Run
) -> None:
    one = record()
    run(make().write([one]))
    assert store.added == [one]


def test_a_store_that_does_not_take_records_fails_the_write(
    make: Callable[..., Database], store: FakeStore, record: Callable[..., Record], run: Run
) -> None:
    store.error = StoreError("down")
    with pytest.raises(StoreError, match="down"):
        run(make().write([record()]))


def test_old_records_are_forgotten_at_the_start_and_every_hour(
    make: Callable[..., Database], store: FakeStore, clock: FakeClock
) -> None:
    sink = make(keep_days=2.0, vacuum=False)
    sink.start()
    assert store.forgotten == [(NOW_S - 2 * DAY_S, False)]
    clock.advance(TIDY_S - 1)
    assert len(store.forgotten) == 1
    clock.advance(1)
    assert store.forgotten[1:] == [(NOW_S + TIDY_S - 2 * DAY_S, False)]
    sink.stop()


def test_a_store_that_cannot_forget_is_asked_again_in_an_hour(
    make: Callable[..., Database], store: FakeStore, clock: FakeClock, warnings: list[str]
) -> None:
    store.error = StoreError("down")
    sink = make()
    sink.start()
    assert warnings == ["down"]
    store.error = None
    clock.advance(TIDY_S)
    assert len(store.forgotten) == 2
    assert warnings == ["down"]
    sink.stop()


def test_a_stopped_sink_leaves_nothing_behind(
    make: Callable[..., Database], store: FakeStore, clock: FakeClock, warnings: list[str]
) -> None:
    store.held = Deferred()
    sink = make()
    sink.start()
    sink.stop()
    sink.stop()
    store.error = StoreError("closed")
    store.held.callback(None)
    assert warnings == []
    assert clock.getDelayedCalls() == []
