"""Seals of calls in files: the next process has what one has written, and damage costs what was damaged."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from netrunner.pipeline.sealed import MAX_SEAL_BYTES, SealMemory
from netrunner.process.sealfiles import FOLDER, KEPT_S, LOOK_S, SAVE_S, SealFiles
from netrunner.testing.fakes import FakeClock

A, B, C = (bytes([number]) * 32 for number in range(3))


class Process:
    """One that keeps seals; its journal is locked for as long as it lives."""

    def __init__(self, state: Path, name: str) -> None:
        self.memory = SealMemory()
        self.clock = FakeClock()
        self.files = SealFiles(state, name, self.memory, self.clock)
        self.path = state / FOLDER / name
        journal = state / "journal" / name
        journal.mkdir(parents=True)
        self._lock = os.open(journal, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.files.start()

    def look(self, seconds: float = LOOK_S) -> None:
        """Let time pass."""
        self.clock.pump([LOOK_S] * round(seconds / LOOK_S))

    def stop(self) -> None:
        """End as it should."""
        assert self.files.stop(1.0).called
        self.die()

    def die(self) -> None:
        """End without a word."""
        os.close(self._lock)


Begin = Callable[[str], Process]


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    return lambda name: Process(tmp_path, name)


def test_the_next_process_has_what_one_kept_and_takes_its_file_over(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a")
    one.memory.put(B, "b")
    one.memory.get(A)
    one.stop()
    assert (stat.S_IMODE(one.path.stat().st_mode), stat.S_IMODE(one.path.parent.stat().st_mode)) == (0o600, 0o700)
    two = begin("2")
    assert two.memory.entries() == [(B, "b"), (A, "a")]
    two.look()
    assert sorted(os.listdir(one.path.parent)) == ["2"]
    two.die()
    assert begin("3").memory.entries() == [(B, "b"), (A, "a")]


def test_one_that_is_killed_loses_what_came_since_its_file_was_written(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a")
    one.look(SAVE_S)
    one.memory.put(B, "b")
    one.look()
    one.die()
    assert begin("2").memory.entries() == [(A, "a")]


def test_nothing_is_written_while_nothing_is_new(begin: Begin) -> None:
    one = begin("1")
    one.look(2 * SAVE_S)
    one.files.stop(1.0)
    assert not one.path.parent.exists()
    two = begin("2")
    two.memory.put(A, "a")
    two.look(SAVE_S)
    two.path.unlink()
    two.look(2 * SAVE_S)
    assert not two.path.exists()
    two.memory.put(B, "b")
    two.look(SAVE_S)
    assert two.path.exists()


def test_what_a_process_left_that_ended_later_is_taken_too_and_nothing_of_one_that_lives(begin: Begin) -> None:
    old, beside, new = begin("1"), begin("2"), begin("3")
    beside.memory.put(C, "c")
    beside.look(SAVE_S)
    new.look()
    assert new.memory.entries() == []
    old.memory.put(A, "old")
    old.memory.put(B, "b")
    old.stop()
    new.memory.put(A, "a")
    new.look()
    assert new.memory.entries() == [(A, "a"), (B, "b")]
    assert sorted(os.listdir(new.path.parent)) == ["2", "3"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="cut"),
        pytest.param(lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], id="bit"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\0" * len(data), id="zeros"),
        pytest.param(lambda data: b"x" + data, id="other"),
    ],
)
def test_a_damaged_file_is_counted_and_removed_and_the_others_are_read(
    begin: Begin, damage: Callable[[bytes], bytes]
) -> None:
    one, two = begin("1"), begin("2")
    for process, key in ((one, A), (two, B)):
        process.memory.put(key, "seal")
        process.stop()
    one.path.write_bytes(damage(one.path.read_bytes()))
    three = begin("3")
    assert (three.memory.entries(), three.memory.damaged) == ([(B, "seal")], 1)
    assert not one.path.exists()


def test_a_file_of_the_day_before_yesterday_is_not_read_but_removed(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a")
    one.stop()
    written = one.clock.wall() - KEPT_S - 1
    os.utime(one.path, (written, written))
    two = begin("2")
    assert two.memory.entries() == []
    two.look()
    assert not one.path.exists()


def test_a_file_that_cannot_be_written_is_tried_again_and_nothing_is_removed_meanwhile(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a")
    one.stop()
    two = begin("2")
    two.path.mkdir()
    two.look(SAVE_S)
    assert one.path.exists()
    two.path.rmdir()
    two.look(SAVE_S)
    assert not one.path.exists()
    assert two.path.is_file()


def test_what_is_no_file_is_no_hindrance(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / FOLDER / "1").mkdir(parents=True)
    two = begin("2")
    two.memory.put(A, "a")
    two.look(SAVE_S)
    two.stop()
    assert (begin("3").memory.entries(), two.memory.damaged) == ([(A, "a")], 0)


def test_a_folder_that_is_none_costs_what_was_kept_and_nothing_else(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_bytes(b"")
    one = begin("1")
    one.memory.put(A, "a")
    one.look(SAVE_S)
    one.stop()
    assert begin("2").memory.entries() == []


def test_what_was_being_written_when_its_process_died_is_removed(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a")
    one.stop()
    one.path.rename(one.path.with_name(".1"))
    two = begin("2")
    two.look()
    assert (two.memory.entries(), os.listdir(one.path.parent)) == ([], [])


def test_files_hold_no_more_than_a_memory_may_and_no_seal_that_is_too_long(begin: Begin) -> None:
    one = begin("1")
    one.memory.put(A, "a" * (MAX_SEAL_BYTES + 1))
    one.memory.put(B, "b")
    one.memory.put(C, "c")
    one.stop()
    small = SealMemory(max_bytes=300)
    SealFiles(one.path.parents[1], "2", small, FakeClock()).start()
    assert small.entries() == [(C, "c")]
