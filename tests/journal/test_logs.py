"""Finding records in the journal itself, and the command line that looks into it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pytest_twisted
from netrunner.cli.main import main
from netrunner.ids import uuid7
from netrunner.journal.journal import Journal
from netrunner.journal.logs import JournalLogs, newest_first
from netrunner.query import Found, Query, parse
from netrunner.testing.fakes import FakeClock
from tests.journal.conftest import MakeJournal, begin, make_record, tell


def id_at(second: float, number: int) -> str:
    return uuid7(second, lambda _: number)


@pytest.fixture
def logs(state: Path) -> JournalLogs:
    return JournalLogs(state)


def record(journal: Journal, clock: FakeClock, number: int, **changes: Any) -> str:
    """Record an exchange that begins and ends now; return its id."""
    id = id_at(clock.wall(), number)
    entry = begin(journal, number)
    entry.end(lambda: make_record(number, id=id, at_accept=clock.wall(), **changes))
    journal.commit()
    clock.advance(1)
    return id


@pytest_twisted.ensureDeferred
async def test_records_come_newest_first_across_segments_lanes_and_processes(
    journal_in: MakeJournal, clock: FakeClock, logs: JournalLogs
) -> None:
    ids = []
    for name in ("0191", "0192"):
        journal = journal_in(name, segment_bytes=1200)
        for number in range(5):
            ids.append(record(journal, clock, number))
            ids.append(id_at(clock.wall(), number))
            journal.ended(make_record(number, id=ids[-1], outcome="refused", error="x", status=401), True)
            journal.commit()
            clock.advance(1)
        assert len(list(journal.folder.glob("main.*"))) > 1
    assert [one.id for one in newest_first(logs._state)] == ids[::-1]
    assert [one.id for one in (await logs.page(Query(before=ids[10]), 4)).records] == ids[9:5:-1]
    assert [one.id for one in (await logs.page(Query(after=ids[5]), 4)).records] == ids[9:5:-1]
    assert [one.id for one in (await logs.page(Query(after=ids[-3]), 4)).records] == ids[:-3:-1]
    assert await logs.count(Query(failed=True)) == 10
    found = await logs.one(ids[3])
    assert found is not None
    assert found.id == ids[3]
    assert await logs.one(id_at(5, 5)) is None


@pytest_twisted.ensureDeferred
async def test_a_stream_that_ended_late_stands_where_it_began(
    journal_in: MakeJournal, clock: FakeClock, logs: JournalLogs
) -> None:
    journal = journal_in(segment_bytes=1200)
    early = id_at(clock.wall(), 0)
    entry = begin(journal, 100)
    clock.advance(1)
    ids = [record(journal, clock, number) for number in range(1, 8)]
    entry.end(lambda: make_record(0, id=early))
    journal.commit()
    assert [one.id for one in newest_first(logs._state)] == [*ids[::-1], early]


@pytest_twisted.ensureDeferred
async def test_a_filter_is_applied(journal_in: MakeJournal, clock: FakeClock, logs: JournalLogs) -> None:
    journal = journal_in("0190")
    record(journal, clock, 1, model="gpt-4o")
    wanted = record(journal, clock, 2, model="llama3")
    assert [one.id for one in (await logs.page(Query(terms=parse("model:LLAMA")), 10)).records] == [wanted]


@pytest_twisted.ensureDeferred
async def test_a_page_ends_where_as_many_were_looked_at_as_may_be(
    journal_in: MakeJournal, clock: FakeClock, state: Path
) -> None:
    journal = journal_in("0190")
    ids = [record(journal, clock, number, model="rare" if number == 2 else "m") for number in range(12)]
    logs = JournalLogs(state, most=4)
    query = Query(terms=parse("model:rare"))
    first = await logs.page(query, 3)
    assert first == Found([], ids[8])
    second = await logs.page(msgspec.structs.replace(query, before=first.searched), 3)
    third = await logs.page(msgspec.structs.replace(query, before=second.searched), 3)
    assert ([one.id for one in third.records], third.searched) == ([ids[2]], None)


async def upward(logs: JournalLogs, after: str, limit: int, **conditions: Any) -> list[tuple[list[str], bool]]:
    """Return the pages from an id upward, the last ids first, and whether each ended before it was full."""
    pages: list[tuple[list[str], bool]] = []
    further: Query | None = Query(after=after, **conditions)
    while further is not None:
        found = await logs.page(further, limit)
        pages.append(([one.id for one in found.records], found.searched is not None))
        further = found.onward(further, limit)
    return pages


@pytest_twisted.ensureDeferred
async def test_pages_lead_upward_over_early_ones_that_ended_late_and_each_is_bounded(
    journal_in: MakeJournal, clock: FakeClock, state: Path
) -> None:
    beside = journal_in("0190", segment_bytes=1200)
    journal = journal_in("0191", segment_bytes=1200)
    ids = [record(beside, clock, 0)]
    early, entry = id_at(clock.wall(), 1), begin(journal, 100)
    ids.append(early)
    for number in range(2, 40):
        clock.advance(2)
        ids.append(record(beside if number % 3 else journal, clock, number, model="rare" if number == 30 else "m"))
    entry.end(lambda: make_record(1, id=early))
    journal.commit()
    logs = JournalLogs(state)
    pages = await upward(logs, ids[0], 10)
    assert pages == [(ids[end - 9 : end + 1][::-1], False) for end in (10, 20, 30)] + [(ids[31:][::-1], False)]

    # First it is learned where they are, then looked for one among them.
    logs = JournalLogs(state, most=15)
    pages = await upward(logs, ids[0], 5, terms=parse("model:rare"))
    assert pages == [([], True), ([], True), ([], True), ([ids[30]], True), ([], False)]
    # What is known is not learned again, of segments that are whole and of those that grow.
    ids.append(record(journal, clock, 40, model="rare"))
    pages = await upward(logs, ids[0], 5, terms=parse("model:rare"))
    assert pages == [([], True), ([ids[30]], True), ([ids[40]], False)]
    assert await upward(logs, ids[39], 5) == [([ids[40]], False)]


@pytest_twisted.ensureDeferred
async def test_a_segment_that_was_written_before_is_not_read_on_the_way_upward(
    journal_in: MakeJournal, clock: FakeClock, state: Path
) -> None:
    journal = journal_in("0190", segment_bytes=1200)
    ids = [record(journal, clock, number) for number in range(20)]
    assert (await upward(JournalLogs(state, most=5), ids[18], 5))[0] == ([], True)
    for path in sorted(journal.folder.glob("main.*"))[:-1]:
        os.utime(path, (clock.wall() - 1000, clock.wall() - 1000))
    assert await upward(JournalLogs(state, most=5), ids[18], 5) == [([ids[19]], False)]


@pytest_twisted.ensureDeferred
async def test_nothing_is_looked_at_that_was_long_before_the_time_asked_for(
    journal_in: MakeJournal, clock: FakeClock, state: Path
) -> None:
    journal = journal_in("0190")
    for number in range(8):
        record(journal, clock, number)
    clock.advance(1000)
    since_s = clock.wall()
    ids = [record(journal, clock, number) for number in range(8, 10)]
    found = await JournalLogs(state, most=4).page(Query(since_s=since_s), 3)
    assert ([one.id for one in found.records], found.searched) == (ids[::-1], None)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["journal", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command_verifies_shows_and_exports(
    journal_in: MakeJournal, state: Path, clock: FakeClock, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    journal = journal_in("0190")
    id = id_at(clock.wall(), 1)
    entry = tell(journal, 1)
    entry.end(lambda: make_record(1, id=id))
    journal.stop()
    assert run("--state", str(state), "verify") == 0
    assert capfdbinary.readouterr().out == b"0190  ended  ok\n"
    assert run("--state", str(state), "show", id) == 0
    assert json.loads(capfdbinary.readouterr().out)["id"] == id
    assert run("--state", str(state), "show", "--response", id) == 0
    assert capfdbinary.readouterr().out == b"answer"
    assert run("--state", str(state), "show", "--request", id) == 0
    assert capfdbinary.readouterr().out == b"question"
    assert run("--state", str(state), "export", "--filter", "model:m") == 0
    assert [json.loads(line)["id"] for line in capfdbinary.readouterr().out.splitlines()] == [id]
    assert run("--state", str(state), "export", "--filter", "model:nothing") == 0
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize("count", [1, 200])
def test_whoever_reads_what_a_command_writes_may_leave(
    journal_in: MakeJournal, state: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    journal = journal_in("0190")
    for number in range(count):
        record(journal, clock, number)
    journal.stop()
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert run("--state", str(state), "export") == 1


def test_whoever_reads_the_help_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert run("--help") == 1


def test_the_command_says_what_it_may_not_read(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Any) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    (state / "journal").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(os, "listdir", refuse)
    assert [run("--state", str(state), command) for command in ("verify", "export")] == [1, 1]
    told = f"{state / 'journal'}: Permission denied; it belongs to the daemon's user\n"
    assert capsys.readouterr().err == told * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "--limit", "-1"), "'-1' is no number of records"),
        (("export", "--limit", "few"), "'few' is no number of records"),
        (("show", "--request", "--response", "x"), "--request and --response exclude each other"),
    ],
)
def test_the_command_refuses_what_means_nothing(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert told in capsys.readouterr().err


def test_the_command_finds_what_was_altered(
    journal_in: MakeJournal, state: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    journal = journal_in("0190")
    tell(journal, 1).end(lambda: make_record(1))
    journal.stop()
    [path] = journal.folder.glob("main.*")
    data = bytearray(path.read_bytes())
    data[data.index(b"answer")] ^= 1
    path.write_bytes(data)
    assert run("--state", str(state), "verify") == 1
    assert b"cannot be read" in capfdbinary.readouterr().out


def test_the_command_tells_what_was_only_counted(
    journal_in: MakeJournal, state: Path, clock: FakeClock, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    journal = journal_in("0190")
    for number in range(103):
        journal.ended(make_record(number, outcome="refused", error="invalid_token"), True)
    journal.stop()
    assert run("--state", str(state), "verify") == 0
    told = b"0190  ended  ok\n  3 refused with invalid_token came too fast to be recorded one by one\n"
    assert capfdbinary.readouterr().out == told


def test_a_running_process_has_no_end_yet(
    journal_in: MakeJournal, state: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    journal = journal_in("0190")
    tell(journal, 1)
    journal.commit()
    lock = os.open(journal.folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert run("--state", str(state), "verify") == 0
    finally:
        os.close(lock)
    assert capfdbinary.readouterr().out == b"0190  live  ok\n"


@pytest.mark.parametrize(
    "arguments", [("show", "nothing"), ("export", "--filter", "color:red"), ("export", "--filter", '"')]
)
def test_what_is_not_there_or_not_meant_is_told_in_a_line(
    journal_in: MakeJournal, state: Path, arguments: tuple[str, ...], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    journal_in()
    assert run("--state", str(state), *arguments) == 1
    assert len(capfdbinary.readouterr().err.splitlines()) == 1


def test_a_folder_without_a_journal_is_told(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("--state", str(tmp_path), "verify") == 1
    assert b"there is no journal" in capfdbinary.readouterr().err
