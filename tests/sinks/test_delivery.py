"""What sinks that ship records share."""

import json

import pytest
from twisted.logger import capturedLogs

from netrunner.sinks.delivery import DeadLetters, Parcel, Refused, Turn, Undelivered, deliver
from netrunner.testing.fakes import FakeEnvironment


class Desk:
    """Takes what holds nothing of ``poison``; ``closed_at`` is the call at which it takes nothing at all."""

    def __init__(self, poison=(), closed_at=None):
        self.poison = set(poison)
        self.closed_at = closed_at
        self.calls = []
        self.taken = []
        self.buried = []

    async def send(self, batch):
        self.calls.append(list(batch))
        if len(self.calls) == self.closed_at:
            raise Undelivered("closed")
        if self.poison & set(batch):
            raise Refused("poison")
        self.taken += batch

    def bury(self, one, reason):
        self.buried.append((one, reason))


def test_a_batch_that_is_taken_is_one_call(run):
    desk = Desk()
    run(deliver([1, 2, 3], desk.send, desk.bury))
    assert desk.calls == [[1, 2, 3]]


def test_an_empty_batch_is_sent_as_it_is(run):
    desk = Desk()
    run(deliver([], desk.send, desk.bury))
    assert desk.taken == []


@pytest.mark.parametrize("poison", [[0], [99], [50], [0, 99], [33, 34, 35], range(100)])
def test_everything_but_the_poison_is_taken_in_order(run, poison):
    desk = Desk(poison)
    run(deliver(list(range(100)), desk.send, desk.bury))
    assert desk.taken == [one for one in range(100) if one not in poison]
    assert desk.buried == [(one, "poison") for one in poison]


def test_one_of_a_hundred_is_found_in_a_few_calls(run):
    desk = Desk([70])
    run(deliver(list(range(100)), desk.send, desk.bury))
    assert len(desk.calls) <= 15


def test_a_desk_that_closes_ends_it_there(run):
    desk = Desk([0], closed_at=4)
    with pytest.raises(Undelivered):
        run(deliver(list(range(8)), desk.send, desk.bury))
    assert (desk.taken, desk.buried) == ([], [])


def test_a_letter_is_a_line_that_tells_when_and_why(tmp_path):
    letters = DeadLetters(str(tmp_path / "dead"), FakeEnvironment("sink-2"))
    letters.bury([Parcel("1", b'{"id":"1"}'), Parcel("2", b'{"id":"2"}')], "status 422")
    letters.close()
    assert [json.loads(line) for line in (tmp_path / "dead").read_text().splitlines()] == [
        {"at": 1_750_000_000.0, "sink": "sink-2", "reason": "status 422", "record": {"id": id}} for id in "12"
    ]
    assert letters.count == 2


def test_no_file_is_made_before_there_is_a_letter(tmp_path):
    DeadLetters(str(tmp_path / "dead"), FakeEnvironment()).close()
    assert list(tmp_path.iterdir()) == []


def test_the_log_tells_the_id_of_a_dead_letter_and_nothing_of_its_content(tmp_path):
    with capturedLogs() as events:
        letters = DeadLetters(str(tmp_path / "dead"), FakeEnvironment())
        letters.bury([Parcel("7", b'{"id":"7","endpoint":"/canary"}')], "status 422")
        letters.close()
    assert [event["id"] for event in events] == ["7"]
    assert "canary" not in repr(events)


def test_the_end_of_a_turn_can_be_waited_for():
    turn = Turn()
    seen = []
    turn.ended().addCallback(lambda _: seen.append("before"))
    with turn:
        turn.ended().addCallback(lambda _: seen.append("after"))
        assert seen == ["before"]
    assert seen == ["before", "after"]
