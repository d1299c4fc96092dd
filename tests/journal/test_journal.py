"""The journal: what is written when, what is read again, what happens without room."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from netrunner.errors import Expired, Overloaded
from netrunner.http.flush import Flush
from netrunner.journal import journal as module
from netrunner.journal.copies import Copies
from netrunner.journal.entry import HOLD_BYTES, RESPONSE
from netrunner.journal.frames import Damage, Frame, Kind
from netrunner.journal.journal import Journal
from netrunner.journal.records import walk
from netrunner.journal.segments import Reader
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from tests.journal.conftest import MakeJournal, begin, complete, head, make_record, same, tell
from tests.support.logs import FailureLog


def frames_of(journal: Journal, lane: str = "main") -> list[Frame | Damage]:
    reader = Reader(journal.folder, lane)
    try:
        return list(reader.scan(0))
    finally:
        reader.close()


def kinds(journal: Journal, lane: str = "main") -> list[int]:
    return [one.kind for one in frames_of(journal, lane) if isinstance(one, Frame)]


def records(journal: Journal, lane: str = "main") -> list[Record]:
    reader = Reader(journal.folder, lane)
    try:
        return [step.record for step in walk(reader, 0) if step.record is not None]
    finally:
        reader.close()


def body(journal: Journal, copy: Any) -> bytes:
    return b"".join(Copies(journal.folder.parent).pieces(copy))


def test_nothing_is_written_before_the_turn_ends_and_one_write_holds_all_of_it(
    journal_in: MakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in()
    complete(journal, 1)
    complete(journal, 2)
    assert list(journal.folder.iterdir()) == []
    writes: list[int] = []
    write = os.write

    def noted(file: int, data: bytes) -> int:
        writes.append(len(data))
        return write(file, data)

    monkeypatch.setattr(os, "write", noted)
    assert journal.commit() == 0
    assert len(writes) == 2, "the file's beginning, and everything that was collected"
    assert kinds(journal) == [Kind.CHECKPOINT, *[Kind.INTENT, Kind.OUTCOME] * 2, Kind.SEAL]


def test_of_an_exchange_that_flows_and_ends_in_one_turn_the_intent_comes_first(journal_in: MakeJournal) -> None:
    journal = journal_in()
    large = b"x" * 2 * HOLD_BYTES
    complete(journal, 1, request=large, response=large)
    journal.commit()
    assert kinds(journal) == [Kind.CHECKPOINT, Kind.INTENT, Kind.PIECE, Kind.PIECE, Kind.OUTCOME, Kind.SEAL]
    [record] = records(journal)
    assert record.request_sha256 == record.response_sha256 == sha256(large).hexdigest()
    assert body(journal, record.request_copy) == body(journal, record.response_copy) == large


def test_a_record_that_cannot_be_written_is_refused_before_anything_leaves_and_others_are_written(
    journal_in: MakeJournal, logged_failures: FailureLog
) -> None:
    journal = journal_in()
    lost: list[str] = []
    complete(journal, 1)
    unwritable = make_record(2, token="\ud800")
    journal.begin(lambda: unwritable, lambda: lost.append("intent"), head, b"", b"")
    complete(journal, 3)
    journal.commit()
    assert lost == ["intent"]
    assert len(logged_failures.flush(UnicodeEncodeError)) == 1
    assert journal.counts["unrecorded"] == 1
    assert [record.id for record in records(journal)] == [make_record(1).id, make_record(3).id]


def test_an_outcome_that_cannot_be_written_leaves_its_exchange_open(
    journal_in: MakeJournal, logged_failures: FailureLog
) -> None:
    journal = journal_in()
    entry = begin(journal, 1, lost=lambda: pytest.fail("its provider was called long ago"))
    journal.commit()
    entry.end(lambda: make_record(1, token="\ud800"))
    complete(journal, 2)
    journal.commit()
    assert len(logged_failures.flush(UnicodeEncodeError)) == 1
    assert journal.counts["unrecorded"] == 1
    assert kinds(journal) == [Kind.CHECKPOINT, Kind.INTENT, Kind.SEAL, Kind.INTENT, Kind.OUTCOME, Kind.SEAL]
    assert [number for number, *_ in journal._in_progress()] == [1]


def test_a_turn_without_anything_to_record_writes_nothing(journal_in: MakeJournal) -> None:
    journal = journal_in()
    journal.commit()
    journal.commit_now()
    assert list(journal.folder.iterdir()) == []


def test_a_record_says_where_its_messages_are_and_what_they_were(journal_in: MakeJournal) -> None:
    journal = journal_in()
    record = complete(journal, 7, request=b"q" * 100, response=b"a" * 200_000)
    journal.commit()
    assert same(records(journal)[0], record)
    assert record.request_sha256 == sha256(b"q" * 100).hexdigest()
    assert record.response_sha256 == sha256(b"a" * 200_000).hexdigest()
    assert record.request_copy is not None
    assert record.response_copy is not None
    assert (record.response_copy.bytes, record.response_copy.complete) == (200_000, True)
    assert body(journal, record.request_copy) == b"q" * 100
    assert body(journal, record.response_copy) == b"a" * 200_000
    head = Copies(journal.folder.parent).head(record.response_copy)
    assert (head.start, head.headers) == (b"HTTP/1.1 200 OK", [(b"x-number", b"7")])


def test_pieces_are_collected_until_there_are_enough_or_a_second_has_passed(
    journal_in: MakeJournal, clock: FakeClock
) -> None:
    journal = journal_in()
    journal.start()
    entry = tell(journal, 1)
    message = entry.message(RESPONSE)
    for _ in range(10):
        message.keep(b"x" * 100)
    journal.commit()
    assert Kind.PIECE not in kinds(journal)
    clock.advance(module.TICK_S)
    journal.commit()
    assert kinds(journal).count(Kind.PIECE) == 1
    message.keep(b"x" * HOLD_BYTES)
    journal.commit()
    assert kinds(journal).count(Kind.PIECE) == 2
    journal.stop()


def test_streams_that_say_nothing_are_not_looked_at(journal_in: MakeJournal, clock: FakeClock) -> None:
    journal = journal_in()
    journal.start()
    stream = tell(journal, 1)
    complete(journal, 2)
    journal.commit()
    assert journal.holding == {stream}
    clock.advance(module.TICK_S)
    assert journal.holding == set()
    journal.stop()


def test_exchanges_that_end_just_before_the_tick_are_written_once_and_whole(
    journal_in: MakeJournal, clock: FakeClock
) -> None:
    journal = journal_in()
    journal.start()
    for number in (1, 2, 3):
        complete(journal, number)
    clock.advance(module.TICK_S)
    journal.commit()
    assert kinds(journal).count(Kind.OUTCOME) == 3
    assert Kind.PIECE not in kinds(journal)
    assert all(body(journal, one.response_copy) == b"answer" for one in records(journal) if one.response_copy)
    journal.stop()


@pytest.mark.parametrize(
    ("policy", "kept"), [({"keep_bytes": 4}, b"answ"), ({"keep_bytes": 0}, b""), ({"keep_bytes": None}, b"answer")]
)
def test_the_policy_decides_what_is_kept_of_a_body_and_the_digest_is_of_all_of_it(
    journal_in: MakeJournal, policy: dict[str, Any], kept: bytes
) -> None:
    journal = journal_in(**policy)
    record = complete(journal, 1)
    journal.commit()
    assert record.response_copy is not None
    assert body(journal, record.response_copy) == kept
    assert record.response_copy.complete is (kept == b"answer")
    assert record.response_sha256 == sha256(b"answer").hexdigest()


def test_without_messages_nothing_but_records_is_written(journal_in: MakeJournal) -> None:
    journal = journal_in(messages=False)
    record = complete(journal, 1)
    journal.commit()
    assert kinds(journal) == [Kind.CHECKPOINT, Kind.INTENT, Kind.OUTCOME, Kind.SEAL]
    assert record.response_copy is None
    assert record.response_sha256 is not None


def test_a_new_segment_begins_with_what_is_open(journal_in: MakeJournal) -> None:
    journal = journal_in(segment_bytes=2000)
    entry = tell(journal, 1, response=b"a" * HOLD_BYTES)
    journal.commit()
    record = make_record(1)
    entry.end(lambda: record)
    complete(journal, 2)
    journal.commit()
    assert len(list(journal.folder.glob("main.*.seg"))) == 2
    assert [one.id[-1] for one in records(journal)] == ["1", "2"]
    assert record.response_copy is not None
    assert body(journal, record.response_copy) == b"a" * HOLD_BYTES


def test_what_was_refused_has_a_lane_of_its_own_and_a_flood_is_only_counted(
    journal_in: MakeJournal, clock: FakeClock
) -> None:
    journal = journal_in()
    for number in range(module.MAX_REFUSED_PER_S + 50):
        journal.ended(make_record(number, outcome="refused", error="invalid_token"), True)
    journal.commit()
    assert len(records(journal, "refused")) == module.MAX_REFUSED_PER_S
    assert journal.counts["refusals_aggregated"] == 50
    clock.advance(1)
    journal.ended(make_record(999, outcome="refused", error="invalid_token"), True)
    journal.commit()
    assert kinds(journal, "refused").count(Kind.REFUSALS) == 1
    assert records(journal, "refused")[-1].id == make_record(999).id
    assert records(journal) == []


def is_full(journal: Journal) -> bool:
    return journal.full


# What cannot be written.


class Disk:
    """Makes writes fail from outside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write = os.write
        self.errors: list[int | None] = []
        self.short: int | None = None
        monkeypatch.setattr(os, "write", self.write)

    def write(self, file: int, data: Any) -> int:
        if self.short is not None:
            return self._write(file, bytes(data)[: self.short])
        if self.errors and (error := self.errors.pop(0)) is not None:
            self._write(file, bytes(data)[: len(data) // 2])
            raise OSError(error, os.strerror(error))
        return self._write(file, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_short_writes_are_gone_on_with(journal_in: MakeJournal, disk: Disk) -> None:
    journal = journal_in()
    complete(journal, 1)
    journal.commit()
    disk.short = 7
    complete(journal, 2)
    journal.commit()
    assert [one.id[-1] for one in records(journal)] == ["1", "2"]
    assert [one for one in frames_of(journal) if isinstance(one, Damage)] == []


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_write_that_fails_half_way_is_written_again_and_read_once(
    journal_in: MakeJournal, disk: Disk, error: int
) -> None:
    journal = journal_in()
    journal.start()
    first = complete(journal, 1)
    journal.commit()
    disk.errors = [error]
    second = complete(journal, 2, response=b"b" * 5000)
    journal.commit()
    third = complete(journal, 3)
    journal.commit()
    assert [one.id for one in records(journal)] == [first.id, second.id, third.id]
    assert [one for one in frames_of(journal) if isinstance(one, Damage)] == []
    assert second.response_copy is not None
    assert body(journal, second.response_copy) == b"b" * 5000
    assert journal.counts["write_errors"] == 1
    journal.stop()


def test_without_room_requests_are_refused_and_those_whose_intent_was_lost_are_told(
    journal_in: MakeJournal, disk: Disk, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in()
    journal.start()
    lost: list[int] = []
    entry = begin(journal, 1, lost=lambda: lost.append(1))
    journal.commit()
    disk.errors = [errno.ENOSPC] * 4
    begin(journal, 2, lost=lambda: lost.append(2))
    journal.commit()
    assert lost == [2]
    assert is_full(journal)
    with pytest.raises(Overloaded) as raised:
        begin(journal, 3)
    assert raised.value.code == "journal_full"
    assert journal.counts["refused"] == 1
    disk.errors = []
    entry.end(lambda: make_record(1))
    clock.advance(module.TICK_S)
    assert not is_full(journal)
    journal.commit()
    assert [one.id for one in records(journal)] == [make_record(1).id]
    journal.stop()


def test_when_told_to_drop_requests_go_on_unrecorded_and_are_counted(journal_in: MakeJournal) -> None:
    journal = journal_in(refuse=False)
    journal.full = True
    assert journal.begin(lambda: make_record(1), lambda: None, head, b"", b"") is None
    journal.ended(make_record(1), False)
    journal.commit()
    assert journal.counts["unrecorded"] == 1
    assert records(journal) == []


def test_a_full_journal_keeps_outcomes_and_cuts_bodies(journal_in: MakeJournal) -> None:
    journal = journal_in()
    entry = tell(journal, 1)
    journal.full = True
    entry.message(RESPONSE).keep(b"more")
    record = make_record(1)
    entry.end(lambda: record)
    journal.commit()
    assert record.response_copy is not None
    assert not record.response_copy.complete
    assert body(journal, record.response_copy) == b"answer"


# The order of things.


class Socket:
    """Notes when it was let out."""

    def __init__(self, out: list[str], name: str) -> None:
        self._out, self._name = out, name

    def flush(self) -> None:
        self._out.append(self._name)


def test_the_journal_is_written_before_any_socket(journal_in: MakeJournal, clock: FakeClock) -> None:
    journal = journal_in()
    flush = Flush(clock)
    flush.precede(journal)
    out: list[str] = []
    flush.add(Socket(out, "call"))
    begin(journal, 1)
    flush.run()
    assert out == ["call"]
    assert Kind.INTENT in kinds(journal)


class Syncer:
    """Syncs when the test says so."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def ask(self, descriptor: int, offset: int) -> None:
        self.asked.append(offset)

    def stop(self) -> None:
        pass


def test_with_durability_disk_nothing_leaves_before_it_is_on_the_disk(
    journal_in: MakeJournal, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in(disk=True)
    syncer = Syncer()
    monkeypatch.setattr(journal, "_syncer", syncer)
    flush = Flush(clock)
    journal.gate = flush
    flush.precede(journal)
    out: list[str] = []
    begin(journal, 1)
    flush.add(Socket(out, "call"))
    flush.run()
    flush.add(Socket(out, "another"))
    flush.run()
    assert out == ["another"], "what needs no record waits for nothing"
    journal._synced(syncer.asked[0], None)
    assert out == ["another", "call"]
    assert len(syncer.asked) == 1


def test_what_a_failed_sync_may_have_lost_is_written_to_another_file(
    journal_in: MakeJournal, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in(disk=True)
    monkeypatch.setattr(journal, "_syncer", Syncer())
    complete(journal, 1)
    journal.commit()
    journal._synced(journal.lane.written, None)
    complete(journal, 2)
    journal.commit()
    [first] = journal.folder.glob("main.*.seg")
    journal._synced(journal.lane.written, OSError(errno.EIO, "lost"))
    complete(journal, 3)
    journal.commit()
    assert journal.counts["sync_errors"] == 1
    assert len(list(journal.folder.glob("main.*.seg"))) == 2
    os.truncate(first, 300)  # whatever became of it
    with_first = records(journal)
    assert [one.id[-1] for one in with_first][-2:] == ["2", "3"]


def test_a_message_is_gone_when_its_segment_is(journal_in: MakeJournal) -> None:
    journal = journal_in()
    record = complete(journal, 1)
    journal.commit()
    for path in journal.folder.glob("main.*"):
        path.unlink()
    assert record.request_copy is not None
    with pytest.raises(Expired):
        body(journal, record.request_copy)
    with pytest.raises(Expired):
        Copies(Path("/nowhere")).head(record.request_copy)
