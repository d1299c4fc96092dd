"""The journal of a process that is gone: nothing acknowledged is lost, what was open is closed."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from netrunner.journal.copies import Copies
from netrunner.journal.frames import OVERHEAD
from netrunner.journal.journal import Journal
from netrunner.journal.records import walk
from netrunner.journal.recovery import is_ended, recover
from netrunner.journal.segments import BLOCK, Reader
from netrunner.journal.verify import verify
from netrunner.values import Record
from tests.journal.conftest import MakeJournal, complete, head, make_record, tell

SEAL_BYTES = OVERHEAD + 32


def wall() -> float:
    return 1_750_000_100.0


def bits(count: int) -> int:
    return random.Random(99).getrandbits(count)


def records(folder: Path, lane: str = "main") -> list[Record]:
    reader = Reader(folder, lane)
    try:
        return [step.record for step in walk(reader, 0, closed=True) if step.record is not None]
    finally:
        reader.close()


def segment(journal: Journal) -> Path:
    [path] = journal.folder.glob("main.*.seg")
    return path


def test_a_journal_that_was_closed_is_left_as_it_is(journal_in: MakeJournal) -> None:
    journal = journal_in()
    complete(journal, 1)
    journal.stop()
    before = segment(journal).read_bytes()
    assert is_ended(journal.folder)
    assert recover(journal.folder, wall, bits).interrupted == 0
    assert segment(journal).read_bytes() == before


def test_what_was_open_is_closed_as_interrupted_with_what_had_come(journal_in: MakeJournal) -> None:
    journal = journal_in()
    complete(journal, 1)
    entry = tell(journal, 2, response=b"half an answ")
    entry.flush()
    tell(journal, 3)
    journal.commit()
    assert not is_ended(journal.folder)
    assert recover(journal.folder, wall, bits).interrupted == 2
    assert is_ended(journal.folder)
    one, two, three = records(journal.folder)
    assert (one.outcome, two.outcome, three.outcome) == ("done", "interrupted", "interrupted")
    assert (two.error, two.response_copy is not None) == ("interrupted", True)
    assert two.response_copy is not None
    assert b"".join(Copies(journal.folder.parent).pieces(two.response_copy)) == b"half an answ"
    assert (two.response_copy.complete, two.bytes_out) == (False, len(b"half an answ"))
    assert recover(journal.folder, wall, bits).interrupted == 0
    assert verify(journal.folder) == []


def test_a_request_that_had_come_whole_is_whole(journal_in: MakeJournal) -> None:
    journal = journal_in()
    record = make_record(1, outcome="interrupted", bytes_in=8)
    assert journal.begin(lambda: record, lambda: None, head, b"question", b"question") is not None
    journal.commit()
    recover(journal.folder, wall, bits)
    [found] = records(journal.folder)
    assert found.request_copy is not None
    assert found.request_copy.complete


@pytest.mark.parametrize("written", [0, BLOCK.size - 1, BLOCK.size, BLOCK.size + OVERHEAD])
def test_killed_at_the_beginning_of_a_segment_what_was_open_before_is_closed(
    journal_in: MakeJournal, written: int
) -> None:
    journal = journal_in(segment_bytes=500)
    tell(journal, 1)
    journal.commit()
    tell(journal, 2)
    journal.commit()
    *_, last = sorted(journal.folder.glob("main.*.seg"), key=lambda path: path.name.split(".")[2])
    os.truncate(last, written)
    assert recover(journal.folder, wall, bits).interrupted == 1
    assert [one.id for one in records(journal.folder)] == [make_record(1).id]
    assert is_ended(journal.folder)
    assert verify(journal.folder) == []


def test_what_was_open_in_an_earlier_segment_is_closed_too(journal_in: MakeJournal) -> None:
    journal = journal_in(segment_bytes=1500)
    tell(journal, 1)
    journal.commit()
    for number in range(2, 6):
        complete(journal, number, response=b"a" * 2000)
        journal.commit()
    assert len(list(journal.folder.glob("main.*.seg"))) > 2
    assert recover(journal.folder, wall, bits).interrupted == 1
    assert [one.outcome for one in records(journal.folder)] == ["done"] * 4 + ["interrupted"]
    assert verify(journal.folder) == []


def sampled(size: int, step: int, edges: list[int]) -> list[int]:
    """Return every ``step``-th place up to ``size``, and those beside ``edges``."""
    near = {edge + by for edge in edges for by in (-1, 0, 1)}
    return [at for at in range(BLOCK.size, size) if at % step == 0 or at in near]


every_place = [pytest.param(1, marks=pytest.mark.torture, id="every place"), pytest.param(61, id="some places")]


@pytest.mark.parametrize("step", every_place)
def test_cut_anywhere_it_is_recovered_with_every_record_that_was_whole(
    journal_in: MakeJournal, tmp_path: Path, step: int
) -> None:
    journal = journal_in()
    ends = []
    for number in range(1, 4):
        complete(journal, number)
        journal.commit()
        ends.append(journal.lane.offset + BLOCK.size - SEAL_BYTES)
    data = segment(journal).read_bytes()
    for size in sampled(len(data), step, ends):
        folder = tmp_path / "journal" / f"cut-{size}"
        folder.mkdir()
        (folder / segment(journal).name).write_bytes(data[:size])
        found = recover(folder, wall, bits)
        whole = [one.id for one in records(folder) if one.outcome == "done"]
        assert whole == [make_record(n + 1).id for n, end in enumerate(ends) if size >= end]
        assert all(one.outcome in ("done", "interrupted") for one in records(folder))
        assert found.damaged_bytes == 0
        assert is_ended(folder)
        assert verify(folder) == []
        shutil.rmtree(folder)


@pytest.mark.parametrize("step", every_place)
def test_a_bit_flipped_anywhere_costs_only_what_it_touches(journal_in: MakeJournal, tmp_path: Path, step: int) -> None:
    journal = journal_in()
    for number in range(1, 4):
        complete(journal, number)
        journal.commit()
    data = segment(journal).read_bytes()
    lost = []
    for at in sampled(len(data), step, []):
        folder = tmp_path / "journal" / f"flip-{at}"
        folder.mkdir()
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        (folder / segment(journal).name).write_bytes(damaged)
        recover(folder, wall, bits)
        there = [one.id for one in records(folder) if one.outcome == "done"]
        lost.append(3 - len(there))
        # In the very last bytes a flipped bit cannot be told from a write that was cut off.
        assert verify(folder) != [] or at >= len(data) - OVERHEAD - 32
        shutil.rmtree(folder)
    assert set(lost) == {0, 1}


def test_damaged_bytes_are_put_aside(journal_in: MakeJournal) -> None:
    journal = journal_in()
    for number in (1, 2, 3):
        complete(journal, number)
    journal.commit()
    path = segment(journal)
    data = bytearray(path.read_bytes())
    data[BLOCK.size + 700] ^= 0xFF
    path.write_bytes(data)
    found = recover(journal.folder, wall, bits)
    assert found.damaged_bytes > 0
    [aside] = journal.folder.glob("*.damaged")
    assert aside.stat().st_size == found.damaged_bytes
    assert aside.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\0" * 10, b"\xff" * 5000])
def test_a_file_that_is_no_segment_is_no_crash(journal_in: MakeJournal, content: bytes) -> None:
    journal = journal_in()
    complete(journal, 1)
    journal.commit()
    path = segment(journal)
    path.write_bytes(content)
    recover(journal.folder, wall, bits)
    assert records(journal.folder) == []


def test_an_altered_or_removed_record_is_found(journal_in: MakeJournal) -> None:
    journal = journal_in()
    for number in (1, 2, 3):
        complete(journal, number)
        journal.commit()
    journal.stop()
    assert verify(journal.folder) == []
    path = segment(journal)
    data = path.read_bytes()
    reader = Reader(journal.folder, "main")
    places = [(one.offset, one.end) for one in reader.scan(0)]
    reader.close()
    for start, end in places:
        path.write_bytes(data[: BLOCK.size + start] + data[BLOCK.size + end :])
        assert verify(journal.folder) != [], "a frame was taken out"
    path.write_bytes(data)
    assert verify(journal.folder) == []
