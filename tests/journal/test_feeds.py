"""Sinks and their cursors: everything once, in order, from memory or from files, whatever a sink does."""

from __future__ import annotations

import fcntl
import os
import random
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.journal import cursor as cursors
from netrunner.journal import feed as module
from netrunner.journal.feeds import BATCH_S, LOCK_S, SAVE_S, Sink
from netrunner.journal.recovery import recover
from netrunner.journal.retention import retain
from netrunner.testing.fakes import FakeClock
from tests.journal.conftest import MakeJournal, complete, make_record
from tests.support.desk import Desk, Disk, Keeper
from tests.support.logs import FailureLog


@pytest.fixture
def desk(state: Path, journal_in: MakeJournal, clock: FakeClock) -> Desk:
    return Desk(state, journal_in(), clock)


def test_records_are_handed_over_in_batches_in_the_order_of_their_ends(desk: Desk) -> None:
    desk.start()
    desk.record(1, 2)
    desk.record(3)
    assert desk.keeper.batches == []
    desk.pass_time()
    assert desk.keeper.batches == [["01", "02", "03"]]
    desk.record(4)
    desk.pass_time()
    assert desk.keeper.batches[1:] == [["04"]]


def test_what_is_not_written_yet_is_not_handed_over(desk: Desk) -> None:
    desk.start()
    complete(desk.journal, 1)
    desk.pass_time(0.5)
    assert desk.keeper.all == []


def test_a_sink_that_raises_is_asked_again_with_growing_pauses_and_loses_nothing(
    desk: Desk, logged_failures: FailureLog
) -> None:
    desk.start()
    desk.keeper.failing = True
    desk.record(1, 2)
    desk.pass_time(10)
    [feed] = desk.feeds.feeds
    assert 3 <= feed.failures <= 6
    assert feed.lag == 2
    assert len(logged_failures.flush(ValueError)) == 1
    desk.keeper.failing = False
    desk.record(3)
    desk.pass_time(30)
    assert desk.keeper.all == ["01", "02", "03"]
    assert (feed.lag, feed.failures) == (0, 0)


def test_a_slow_sink_is_given_one_batch_at_a_time(desk: Desk) -> None:
    desk.start()
    waiting: Deferred[None] = Deferred()
    desk.keeper.waiting = waiting
    desk.record(1)
    desk.pass_time()
    desk.record(2, 3)
    desk.pass_time(1)
    assert desk.keeper.batches == []
    desk.keeper.waiting = None
    waiting.callback(None)
    assert desk.keeper.batches == [["01"], ["02", "03"]]


def test_a_sink_that_fell_out_of_memory_reads_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    monkeypatch.setattr("netrunner.journal.tail.MAX_RECORDS", 4)
    monkeypatch.setattr(module, "MAX_BATCH", 3)
    desk.start()
    desk.keeper.failing = True
    for number in range(1, 21):
        desk.record(number)
    desk.pass_time(2)
    logged_failures.flush(ValueError)
    desk.keeper.failing = False
    desk.pass_time(60)
    assert desk.keeper.all == [f"{number:02x}" for number in range(1, 21)]
    assert max(map(len, desk.keeper.batches)) == 3


def test_both_lanes_are_handed_over(desk: Desk) -> None:
    desk.start()
    desk.journal.ended(make_record(9, outcome="refused", error="invalid_token"), True)
    desk.record(1)
    desk.pass_time()
    assert sorted(desk.keeper.all) == ["01", "09"]


def test_the_next_process_goes_on_where_the_last_one_was(
    desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    desk.start()
    desk.record(1)
    desk.pass_time()
    desk.record(2)
    desk.stop()
    desk.journal.stop()
    assert desk.keeper.all == ["01", "02"]
    again = Desk(state, journal_in(), clock).start()
    again.record(3)
    again.pass_time(2)
    assert again.keeper.all == ["03"]
    assert again.keeper.marks == ["after 02"]


def test_what_a_killed_process_had_not_handed_over_is_handed_over_by_the_next(
    desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    desk.start()
    desk.record(1)
    desk.pass_time(SAVE_S + 0.2)
    desk.record(2)
    desk.feeds._unlock()  # as the kernel does when a process dies
    recover(desk.journal.folder, clock.wall, random.Random(1).getrandbits)
    again = Desk(state, journal_in(), clock).start()
    again.pass_time(2)
    assert again.keeper.all == ["02"]


def test_a_new_sink_begins_with_the_present(desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock) -> None:
    desk.record(1)
    desk.journal.stop()
    later = Desk(state, journal_in(), clock).start()
    later.record(2)
    later.pass_time(2)
    assert later.keeper.all == ["02"]


def test_a_new_sink_is_given_the_records_of_a_process_beside_that_began_before(
    desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    lock = os.open(desk.journal.folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as a process does for as long as it lives
    later = Desk(state, journal_in(), clock).start()
    desk.record(1)
    later.record(2)
    later.pass_time(2)
    os.close(lock)
    assert sorted(later.keeper.all) == ["01", "02"]


def test_only_one_process_feeds_sinks_and_the_other_takes_over(
    desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    desk.start()
    other = Desk(state, journal_in(), clock).start()
    other.record(1)
    other.pass_time(2)
    assert other.keeper.all == []
    assert desk.keeper.all == ["01"], "the one that feeds reads the journal of the other"
    desk.record(2)
    desk.stop()
    desk.journal.stop()
    other.pass_time(LOCK_S + 0.1)
    other.record(3)
    other.pass_time(2)
    assert desk.keeper.all == ["01", "02"]
    assert other.keeper.all == ["03"]


def test_a_damaged_cursor_is_told_and_its_sink_begins_anew(desk: Desk, state: Path) -> None:
    (state / "cursors").mkdir()
    (state / "cursors" / "keeper.json").write_text("{")
    desk.start()
    desk.record(1)
    desk.pass_time()
    assert desk.keeper.all == ["01"]


def keep(desk: Desk, state: Path, **changes: Any) -> Any:
    gone = {path.name for path in (state / "journal").iterdir()} - {desk.journal.folder_name}
    arguments = {"max_bytes": 1 << 30, "oldest": 0.0, "gone": gone}
    reached = desk.feeds.reached()
    return retain(
        state / "journal", reached=lambda folder, lane: reached.get((folder, lane)), **{**arguments, **changes}
    )


def test_what_is_deleted_before_a_sink_read_it_is_counted(
    state: Path, journal_in: MakeJournal, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, logged_failures: FailureLog
) -> None:
    monkeypatch.setattr("netrunner.journal.tail.MAX_RECORDS", 4)
    desk = Desk(state, journal_in(segment_bytes=1000), clock).start()
    desk.keeper.failing = True
    for number in range(1, 7):
        desk.record(number)
    desk.pass_time(1)
    assert keep(desk, state, max_bytes=2000).deleted >= 3
    logged_failures.flush(ValueError)
    desk.keeper.failing = False
    desk.pass_time(60)
    [feed] = desk.feeds.feeds
    assert feed.dropped + len(desk.keeper.all) == 6
    assert feed.dropped >= 3
    assert desk.keeper.all == ["01", "02", "03", "04", "05", "06"][feed.dropped :]


def test_what_a_required_sink_has_not_read_stays_and_the_journal_is_crowded(
    state: Path, journal_in: MakeJournal, clock: FakeClock, logged_failures: FailureLog
) -> None:
    desk = Desk(state, journal_in(segment_bytes=1000), clock).start(required=True)
    desk.keeper.failing = True
    for number in range(1, 7):
        desk.record(number)
    desk.pass_time(1)
    room = keep(desk, state, max_bytes=2000)
    assert (room.crowded, room.deleted) == (True, 0)
    logged_failures.flush(ValueError)
    desk.keeper.failing = False
    desk.pass_time(60)
    room = keep(desk, state, max_bytes=2000)
    assert not room.crowded
    assert room.deleted >= 3
    assert desk.keeper.all == ["01", "02", "03", "04", "05", "06"]


def test_old_journals_go_with_their_folders_and_the_one_being_written_stays(
    desk: Desk, state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    gone = journal_in("a-earlier")
    complete(gone, 1)
    gone.commit()
    gone.stop()
    desk.record(2)
    room = keep(desk, state, oldest=4e9)
    assert room.deleted == 1
    assert [path.name for path in (state / "journal").iterdir()] == [desk.journal.folder_name]


def test_where_a_sink_begins_is_safe_before_it_is_given_anything(state: Path, desk: Desk, clock: FakeClock) -> None:
    desk.keeper.begins_at = "the beginning"
    desk.start().record(1)
    desk.pass_time()
    assert desk.keeper.all == ["01"]
    told = cursors.read(state / "cursors" / "keeper.json")
    assert told is not None
    assert (told.mark, told.places) == ("the beginning", {})


def test_what_another_process_left_is_handed_over_again_when_it_was_not_taken(
    desk: Desk, journal_in: MakeJournal, logged_failures: FailureLog
) -> None:
    desk.keeper.failing = True
    desk.start()
    other = journal_in("boot-9")
    complete(other, 7)
    other.stop()
    desk.pass_time(SAVE_S + BATCH_S)
    assert desk.keeper.all == []
    desk.keeper.failing = False
    desk.pass_time(5.0)
    assert desk.keeper.all == ["07"]
    logged_failures.flush(ValueError)


def test_a_sink_that_comes_back_goes_on_where_it_was_however_long_another_took_to_leave(desk: Desk) -> None:
    slow, back = Keeper(), Keeper()
    slow.waiting = Deferred()
    desk.feeds.start([Sink("keeper", desk.keeper), Sink("slow", slow)])
    desk.record(1)
    desk.pass_time()
    left = desk.feeds.finish(5.0)
    desk.pass_time(2 * SAVE_S)
    slow.waiting.callback(None)
    assert left.called
    desk.feeds.start([Sink("slow", slow)])
    desk.feeds.finish(5.0)
    desk.feeds.start([Sink("keeper", back)])
    desk.record(2)
    desk.pass_time(2 * BATCH_S)
    assert (desk.keeper.all, slow.all, back.all) == (["01"], ["01"], ["02"])
    assert back.marks == ["after 01"]


def test_what_a_leaving_sink_took_is_on_the_disk_however_long_another_takes(desk: Desk, state: Path) -> None:
    slow = Keeper()
    slow.waiting = Deferred()
    desk.feeds.start([Sink("keeper", desk.keeper), Sink("slow", slow)])
    desk.record(1)
    desk.pass_time()
    desk.feeds.finish(5.0)
    desk.pass_time(SAVE_S)
    told = cursors.read(state / "cursors" / "keeper.json")
    assert told is not None
    assert told.mark == "after 01"


def test_a_sink_that_comes_back_goes_on_where_it_was_however_slow_the_disk_is(
    state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    disk, back = Disk(), Keeper()
    desk = Desk(state, journal_in(), clock, disk).start()
    desk.record(1)
    desk.pass_time(SAVE_S)
    desk.feeds.finish(5.0).addCallback(lambda _: desk.feeds.start([Sink("keeper", back)]))
    disk.write()
    desk.record(2)
    desk.pass_time()
    assert (desk.keeper.all, back.all) == (["01"], ["02"])


def test_another_process_takes_over_when_all_cursors_are_on_the_disk(
    state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    disk = Disk()
    desk = Desk(state, journal_in(), clock, disk).start()
    other = Desk(state, journal_in(), clock).start()
    desk.record(1)
    desk.pass_time(SAVE_S)
    desk.stop()
    desk.journal.stop()
    other.record(2)
    other.pass_time(2)
    assert other.keeper.all == []
    disk.write()
    other.pass_time(2)
    assert (desk.keeper.all, other.keeper.all) == (["01"], ["02"])


def test_a_sink_that_hangs_is_given_up_and_hands_over_nothing_beside_the_one_after_it(
    desk: Desk, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 1)
    after = Keeper()
    hanging: Deferred[None] = Deferred()
    desk.keeper.waiting = hanging
    desk.start().record(1, 2)
    desk.pass_time()
    left = desk.feeds.finish(5.0)
    desk.pass_time(5.1)
    assert left.called
    desk.feeds.start([Sink("keeper", after)])
    desk.record(3)
    desk.pass_time()
    hanging.callback(None)
    desk.record(4)
    desk.pass_time(SAVE_S)
    assert (desk.keeper.all, after.all) == (["01"], ["01", "02", "03", "04"])
    told = cursors.read(state / "cursors" / "keeper.json")
    assert told is not None
    assert told.mark == "after 04"


def test_the_journal_keeps_what_a_required_sink_has_not_read_while_sinks_are_replaced(
    state: Path, journal_in: MakeJournal, clock: FakeClock
) -> None:
    desk = Desk(state, journal_in(segment_bytes=1000), clock).start(required=True)
    desk.keeper.waiting = Deferred()
    for number in range(1, 7):
        desk.record(number)
    desk.pass_time()
    desk.feeds.finish(5.0)
    room = keep(desk, state, max_bytes=2000)
    assert (room.crowded, room.deleted) == (True, 0)


def test_a_process_that_feeds_nothing_goes_by_what_the_one_that_does_has_written_down(
    state: Path, journal_in: MakeJournal, clock: FakeClock, logged_failures: FailureLog
) -> None:
    feeding = Desk(state, journal_in(segment_bytes=1000), clock).start(required=True)
    feeding.keeper.failing = True
    for number in range(1, 7):
        feeding.record(number)
    feeding.pass_time(1)
    waiting = Desk(state, journal_in("b-waiting"), clock).start(required=True)
    arguments = {"max_bytes": 2000, "gone": set()}
    assert (keep(waiting, state, **arguments).crowded, keep(waiting, state, **arguments).deleted) == (True, 0)
    logged_failures.flush(ValueError)
    feeding.keeper.failing = False
    feeding.pass_time(60)
    assert keep(waiting, state, **arguments).deleted >= 3
    assert waiting.keeper.all == []
