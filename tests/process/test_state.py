"""The state folder: private, shared by several processes, each with a lock of its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from netrunner.errors import ConfigurationError
from netrunner.process.state import State, control_folder


def state(folder: Path, boot_id: str = "boot") -> State:
    return State(folder, boot_id, os.geteuid())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    one = state(tmp_path / "a" / "var")
    assert [mode(path) for path in (one.folder, one.journal, control_folder(one.folder))] == [0o700] * 3
    one.close()


def test_a_folder_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    state(tmp_path).close()
    assert mode(tmp_path) == 0o700


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"belongs to user {os.geteuid()}, netrunner runs as user 12345"):
        State(tmp_path, "boot", 12345)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(ConfigurationError, match="is not a folder"):
        state(tmp_path / "var")


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"^state: .*/file/var cannot be used: not a directory$"):
        state(tmp_path / "file" / "var")


def test_journals_of_running_processes_are_not_abandoned(tmp_path: Path) -> None:
    old, new = state(tmp_path, "1"), state(tmp_path, "2")
    assert (old.abandoned(), new.abandoned()) == ([], [])
    (old.journal / "segment").touch()
    old.close()
    assert new.abandoned() == [old.journal]
    new.close()


def test_an_empty_journal_is_not_left_behind(tmp_path: Path) -> None:
    state(tmp_path, "1").close()
    (tmp_path / "journal" / "killed").mkdir()
    one = state(tmp_path, "2")
    assert one.abandoned() == []
    assert list((tmp_path / "journal").iterdir()) == [one.journal]
    one.close()


def test_the_lock_outlives_the_process_that_forked(tmp_path: Path) -> None:
    """Twistd forks after the folder was locked, and the first process exits."""
    one, other = state(tmp_path, "1"), state(tmp_path, "2")
    (one.journal / "segment").touch()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(read, 1)
        os._exit(0)
    os.close(one._lock)
    assert other.abandoned() == []
    os.write(write, b".")
    os.waitpid(child, 0)
    assert other.abandoned() == [one.journal]
    for descriptor in (read, write):
        os.close(descriptor)
    other.close()
