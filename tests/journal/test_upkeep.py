"""What becomes of the journals of a state folder when one process looks after all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netrunner.journal import upkeep
from netrunner.journal.retention import Room, retain
from netrunner.journal.upkeep import Upkept, keep_up
from netrunner.process.state import State

OWN = "boot-5"


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Path]:
    """Return where the journals are, among them that of this process and one of a process that is gone."""
    own = State(tmp_path, OWN, os.geteuid())
    left(tmp_path / "journal", "boot-1")
    yield tmp_path / "journal"
    own.close()


def left(journals: Path, name: str) -> None:
    """Leave behind what a process does that is killed before it has recorded anything."""
    (journals / name).mkdir()
    (journals / name / "reserve").write_bytes(b"room")


def kept_up(journals: Path) -> Upkept:
    return keep_up(journals, OWN, 1 << 30, 0.0, lambda *_: None, lambda: 1e9, lambda bits: bits)


def names(journals: Path) -> list[str]:
    return sorted(path.name for path in journals.iterdir())


def test_a_folder_in_which_nothing_was_recorded_goes_with_its_process(journals: Path) -> None:
    kept_up(journals)
    assert names(journals) == [OWN]


def test_the_folder_of_a_process_that_lives_stays(journals: Path) -> None:
    other = State(journals.parent, "boot-6", os.geteuid())
    (other.journal / "reserve").write_bytes(b"room")
    kept_up(journals)
    assert names(journals) == [OWN, "boot-6"]
    os.unlink(other.journal / "reserve")
    other.close()


def test_a_process_that_starts_meanwhile_is_not_taken_for_one_that_is_gone(
    journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[State] = []

    def start_and_retain(*arguments: Any) -> Room:
        started.append(State(journals.parent, "boot-6", os.geteuid()))
        return retain(*arguments)

    monkeypatch.setattr(upkeep, "retain", start_and_retain)
    kept_up(journals)
    assert names(journals) == [OWN, "boot-6"]
    started[0].close()


def test_what_another_process_removes_meanwhile_is_no_failure(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(journals, "boot-2")
    unlink = os.unlink

    def unlink_late(path: Path) -> None:
        unlink(path)
        os.rmdir(path.parent)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_late)
    kept_up(journals)
    assert names(journals) == [OWN]
