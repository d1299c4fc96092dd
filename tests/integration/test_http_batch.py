"""The sink ``http_batch`` against a receiver with moods, over real sockets: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.environment import Environment
from netrunner.settings import Secret
from netrunner.sinks.delivery import Undelivered
from netrunner.sinks.http_batch import HttpBatch, HttpBatchSettings
from netrunner.values import Record
from tests.support import receiver as moods
from tests.support.receiver import Mood, Receiver
from tests.support.records import make_record

pytestmark = pytest.mark.integration


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(reactor)
    made.listen()
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close()))


@pytest.fixture
def make(receiver: Receiver, tmp_path: Path) -> Callable[..., HttpBatch]:
    def make(**changes: Any) -> HttpBatch:
        settings = {
            "url": receiver.url,
            "flush_s": 0.0,
            "timeout_s": 20.0,
            "dead_letters": str(tmp_path / "dead"),
            **changes,
        }
        environment = Environment("http_batch", reactor, SystemClock(reactor), random.Random(0))
        return HttpBatch(HttpBatchSettings(**settings), environment)

    return make


def patience(mood: Mood) -> dict[str, float]:
    """Return the setting for a receiver whose answer is not to be waited for."""
    return {"timeout_s": 1.0} if mood is moods.hangs else {}


def some(first: int, end: int) -> list[Record]:
    return [make_record(id=str(number)) for number in range(first, end)]


async def feed(sink: HttpBatch, records: Sequence[Record]) -> int:
    """Hand over a batch again and again until it is taken, as the journal does; return how often it was not."""
    for failures in range(20):
        try:
            await sink.write(records)
        except Undelivered:
            await deferLater(reactor, 0.01)
        else:
            return failures
    raise AssertionError("the records were never taken")


@pytest_twisted.ensureDeferred
async def test_records_arrive_with_their_fields(receiver: Receiver, make: Callable[..., HttpBatch]) -> None:
    sink = make(headers={"authorization": Secret("Bearer t")}, gzip=True)
    await sink.write(some(0, 3))
    assert [record["id"] for record in receiver.batches[0]] == ["0", "1", "2"]
    head = receiver.heads[0]
    assert (head["authorization"], head["content-encoding"]) == ("Bearer t", "gzip")


@pytest_twisted.ensureDeferred
async def test_posting_writes_nothing_to_the_log(receiver: Receiver, make: Callable[..., HttpBatch]) -> None:
    with capturedLogs() as events:
        await make().write(some(0, 3))
    assert [event for event in events if event["log_namespace"].startswith("twisted.web.client")] == []


@pytest.mark.parametrize(
    ("mood", "failures"),
    [
        pytest.param(moods.takes(500), 1, id="500"),
        pytest.param(moods.takes(429), 1, id="429"),
        pytest.param(moods.redirects("/elsewhere"), 1, id="redirect"),
        pytest.param(moods.hangs, 1, id="hang"),
        pytest.param(moods.drops, 1, id="drop"),
        pytest.param(moods.drops_after_200, 0, id="200-then-drop"),
        pytest.param(moods.talks_a_lot, 0, id="200-and-much-talk"),
        pytest.param(moods.talks_for_ever, 0, id="200-and-no-end"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_every_record_arrives_once_in_order_whatever_the_mood(
    receiver: Receiver, make: Callable[..., HttpBatch], mood: Mood, failures: int
) -> None:
    sink = make(max_records=5, **patience(mood))
    receiver.moods = [moods.takes(200), mood]
    assert await feed(sink, some(0, 20)) == failures
    assert receiver.taken == [str(number) for number in range(20)]
    assert len(receiver.batches) == 4 + failures


@pytest.mark.parametrize("mood", [moods.talks_a_lot, moods.talks_for_ever, moods.hangs])
@pytest_twisted.ensureDeferred
async def test_no_connection_is_left_to_an_answer_that_does_not_end(
    receiver: Receiver, make: Callable[..., HttpBatch], mood: Mood
) -> None:
    receiver.moods = [mood]
    await feed(make(**patience(mood)), some(0, 1))
    assert await receiver.cut.get().addTimeout(20, reactor) == "ConnectionLost"


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_is_away_gets_everything_when_it_is_back(
    receiver: Receiver, make: Callable[..., HttpBatch]
) -> None:
    sink = make()
    await feed(sink, some(0, 5))
    await receiver.close()
    for _ in range(3):
        with pytest.raises(Undelivered, match="ConnectionRefusedError"):
            await sink.write(some(5, 10))
    receiver.listen()
    await feed(sink, some(5, 10))
    assert receiver.taken == [str(number) for number in range(10)]


@pytest_twisted.ensureDeferred
async def test_nothing_is_lost_and_nothing_comes_twice_through_an_outage_of_every_kind(
    receiver: Receiver, make: Callable[..., HttpBatch], tmp_path: Path
) -> None:
    sink = make(max_records=7)
    receiver.poison = {"13", "140"}
    chance = random.Random(25)
    bad: list[Mood] = [moods.takes(500), moods.takes(429), moods.drops, moods.redirects("/x"), moods.drops_after_200]
    for first in range(0, 200, 20):
        receiver.moods = [chance.choice(bad) for _ in range(chance.randrange(4))]
        await feed(sink, some(first, first + 20))
    letters = [json.loads(line)["record"]["id"] for line in (tmp_path / "dead").read_text().splitlines()]
    assert letters == ["13", "140"]
    through = [str(number) for number in range(200)]
    assert [id for id in receiver.taken if id not in receiver.poison] == [id for id in through if id not in letters]


@pytest_twisted.ensureDeferred
async def test_a_redirect_is_not_followed(receiver: Receiver, make: Callable[..., HttpBatch]) -> None:
    elsewhere = Receiver(reactor)
    elsewhere.listen()
    receiver.moods = [moods.redirects(elsewhere.url)]
    with pytest.raises(Undelivered, match="status 307"):
        await make(headers={"authorization": Secret("Bearer canary")}).write(some(0, 1))
    await elsewhere.close()
    assert elsewhere.batches == []
