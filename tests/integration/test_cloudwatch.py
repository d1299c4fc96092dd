"""The sink ``cloudwatch``: boto3 against a server that enforces the limits of PutLogEvents; nothing is lost."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with
from twisted.internet.defer import Deferred

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.environment import Environment
from netrunner.sinks.cloudwatch import CloudWatch, CloudWatchSettings
from netrunner.sinks.delivery import Undelivered
from netrunner.values import Record
from tests.support.cloudwatch import DAY_MS, CloudWatchLogs, Fault
from tests.support.records import make_record

pytestmark = pytest.mark.integration

NOW = time.time()
Run = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds: made-up keys, and nothing of this machine's."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "secret-canary",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def logs() -> Iterator[CloudWatchLogs]:
    with CloudWatchLogs() as logs:
        yield logs


@pytest.fixture
def make(logs: CloudWatchLogs, tmp_path: Path) -> Iterator[Callable[..., CloudWatch]]:
    """Return a maker of sinks, on the real reactor and in threads of their own."""
    made = []

    def make(**changes: Any) -> CloudWatch:
        settings = {
            "log_group": "llm",
            "region": "eu-west-1",
            "endpoint_url": logs.url,
            "timeout_s": 5.0,
            "dead_letters": str(tmp_path / "dead"),
            **changes,
        }
        environment = Environment("cloudwatch", reactor, SystemClock(reactor), random.Random(0))
        sink = CloudWatch(CloudWatchSettings(**settings), environment)
        sink.start()
        made.append(sink)
        return sink

    yield make
    for sink in made:
        pytest_twisted.blockon(sink.stop())


def some(first: int, end: int, **changes: Any) -> list[Record]:
    return [make_record(**{"id": str(number), "at_accept": NOW, **changes}) for number in range(first, end)]


def ids(logs: CloudWatchLogs) -> list[str]:
    return [json.loads(event.message)["id"] for event in logs.taken]


def dead(tmp_path: Path) -> list[tuple[str, str]]:
    letters = [json.loads(line) for line in (tmp_path / "dead").read_text().splitlines()]
    return [(letter["record"]["id"], letter["reason"]) for letter in letters]


@pytest_twisted.ensureDeferred
async def test_group_and_stream_are_made_and_the_events_arrive_signed(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    sink = make()
    await sink.write(some(0, 3))
    await sink.write(some(3, 5))
    assert list(logs.streams) == [("llm", "netrunner")]
    assert ids(logs) == ["0", "1", "2", "3", "4"]
    assert {event.timestamp for event in logs.taken} == {int(NOW * 1000)}
    made = ["PutLogEvents", "CreateLogGroup", "CreateLogStream", "PutLogEvents"]
    assert (logs.calls, logs.unsigned) == ([*made, "PutLogEvents"], 0)


@pytest_twisted.ensureDeferred
async def test_a_group_that_is_there_is_used(logs: CloudWatchLogs, make: Callable[..., CloudWatch]) -> None:
    logs.groups.add("llm")
    await make(log_stream="other").write(some(0, 1))
    assert list(logs.streams) == [("llm", "other")]
    assert ids(logs) == ["0"]


@pytest_twisted.ensureDeferred
async def test_the_reactor_goes_on_while_boto3_works(logs: CloudWatchLogs, make: Callable[..., CloudWatch]) -> None:
    threads: list[str] = []
    sink = make()
    put = sink._logs.put

    def noted(batch: Any) -> Any:
        threads.append(threading.current_thread().name)
        return put(batch)

    sink._logs.put = noted  # type: ignore[method-assign]
    await sink.write(some(0, 1))
    assert len(threads) == 1
    assert threads[0] != threading.current_thread().name
    assert "netrunner-cloudwatch" in threads[0]


@pytest_twisted.ensureDeferred
async def test_no_limit_is_passed_by_records_of_every_size_and_time(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    chance = random.Random(28)
    sent = [
        make_record(
            id=str(number),
            at_accept=NOW - chance.randrange(13 * 24 * 3600),
            path="/" + "p" * chance.choice([10, 1000, 100_000, 250_000]),
        )
        for number in range(60)
    ]
    await make().write(sent)
    assert logs.refused == []
    assert sorted(ids(logs), key=int) == [record.id for record in sent]


@pytest_twisted.ensureDeferred
async def test_more_events_than_a_batch_holds_arrive(logs: CloudWatchLogs, make: Callable[..., CloudWatch]) -> None:
    await make().write(some(0, 1500))
    assert logs.refused == []
    assert ids(logs) == [str(number) for number in range(1500)]


@pytest_twisted.ensureDeferred
async def test_a_record_too_large_for_an_event_can_be_joined_again(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    path = '/"' + "\u00e4\u2028" * 200_000
    await make().write(some(0, 1) + some(1, 2, path=path) + some(2, 3))
    assert logs.refused == []
    messages = [json.loads(event.message) for event in logs.taken]
    parts = sorted((one for one in messages if "part" in one), key=lambda one: one["part"])
    assert {(one["id"], one["parts"]) for one in parts} == {("1", len(parts))}
    assert json.loads("".join(one["text"] for one in parts))["endpoint"] == path
    assert [one["id"] for one in messages if "part" not in one] == ["0", "2"]


@pytest_twisted.ensureDeferred
async def test_what_is_too_old_or_too_new_goes_to_the_dead_letters(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch], tmp_path: Path
) -> None:
    sink = make()
    day = 24 * 3600
    await sink.write([*some(0, 1, at_accept=NOW - 15 * day), *some(1, 2), *some(2, 3, at_accept=NOW + day)])
    assert ids(logs) == ["1"]
    assert dead(tmp_path) == [("0", "too old"), ("2", "too new")]
    assert sink.dead_letters.count == 2


@pytest_twisted.ensureDeferred
async def test_what_the_server_rejects_of_a_batch_goes_to_the_dead_letters(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch], tmp_path: Path
) -> None:
    logs.now_ms += 10 * DAY_MS
    day = 24 * 3600
    old, new = some(0, 2, at_accept=NOW - 5 * day), some(2, 4, at_accept=NOW - 4.5 * day + day)
    await make().write([*new, *old])
    assert sorted(ids(logs)) == ["2", "3"]
    assert dead(tmp_path) == [("0", "too old"), ("1", "too old")]
    logs.now_ms -= 20 * DAY_MS
    await make().write(some(4, 6))
    assert dead(tmp_path)[2:] == [("4", "too new"), ("5", "too new")]


@pytest.mark.parametrize(
    "fault",
    [Fault(400, "ThrottlingException"), Fault(503, "ServiceUnavailableException"), Fault(403, "AccessDeniedException")],
    ids=lambda fault: fault.name,
)
@pytest_twisted.ensureDeferred
async def test_a_batch_that_is_not_taken_stays_and_is_taken_later(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch], fault: Fault, tmp_path: Path
) -> None:
    sink = make()
    await sink.write(some(0, 1))
    logs.faults = [fault, fault]
    for _ in range(2):
        with pytest.raises(Undelivered, match=fault.name) as raised:
            await sink.write(some(1, 3))
        assert "canary" not in str(raised.value)
    await sink.write(some(1, 3))
    assert ids(logs) == ["0", "1", "2"]
    assert logs.calls.count("PutLogEvents") == 5
    assert not (tmp_path / "dead").exists()


@pytest_twisted.ensureDeferred
async def test_batches_that_were_taken_are_not_sent_again(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    sink = make()
    await sink.write(some(0, 1))
    large = some(1, 9, path="/" + "p" * 250_000)
    logs.faults = [Fault(0, ""), Fault(400, "ThrottlingException")]
    with pytest.raises(Undelivered):
        await sink.write(large)
    await sink.write(large)
    assert ids(logs) == [str(number) for number in range(9)]


@pytest_twisted.ensureDeferred
async def test_a_record_of_which_some_parts_were_not_taken_comes_again_whole(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    sink = make()
    await sink.write(some(0, 1))
    large = some(1, 2, path="/" + "p" * 1_500_000)
    logs.faults = [Fault(0, ""), Fault(400, "ThrottlingException")]
    with pytest.raises(Undelivered):
        await sink.write(large)
    await sink.write(large)
    parts = [json.loads(event.message) for event in logs.taken[1:]]
    texts = {part["part"]: part["text"] for part in parts}
    assert len(texts) == parts[0]["parts"] < len(parts)
    assert json.loads("".join(texts[number] for number in sorted(texts)))["id"] == "1"


@pytest_twisted.ensureDeferred
async def test_a_record_that_comes_again_after_its_batch_was_over_is_sent_again(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch]
) -> None:
    sink = make()
    await sink.write(some(0, 1))
    await sink.write(some(0, 1))
    assert ids(logs) == ["0", "0"]


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_lost_loses_nothing(logs: CloudWatchLogs, make: Callable[..., CloudWatch]) -> None:
    sink = make()
    await sink.write(some(0, 1))
    logs.faults = [None]
    with pytest.raises(Undelivered):
        await sink.write(some(1, 2))
    await sink.write(some(1, 2))
    assert ids(logs) == ["0", "1", "1"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_away_loses_nothing(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch], tmp_path: Path
) -> None:
    with pytest.raises(Undelivered, match="EndpointConnectionError"):
        await make(endpoint_url="http://127.0.0.1:1").write(some(0, 1))
    assert not (tmp_path / "dead").exists()


@pytest_twisted.ensureDeferred
async def test_one_event_that_is_never_taken_is_found_and_put_aside(
    logs: CloudWatchLogs, make: Callable[..., CloudWatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = logs._check

    def strict(events: Any) -> None:
        if any('"id":"5"' in event.message for event in events):
            raise Fault(400, "InvalidParameterException")
        check(events)

    monkeypatch.setattr(logs, "_check", strict)
    await make().write(some(0, 8))
    assert ids(logs) == ["0", "1", "2", "3", "4", "6", "7"]
    assert dead(tmp_path) == [("5", "InvalidParameterException")]


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_the_batch_in_progress(logs: CloudWatchLogs, make: Callable[..., CloudWatch]) -> None:
    sink = make()
    writing = Deferred.fromCoroutine(sink.write(some(0, 1)))
    await sink.stop()
    assert ids(logs) == ["0"]
    await writing
    assert [thread.name for thread in threading.enumerate() if "netrunner-cloudwatch" in thread.name] == []
