"""The log file: bounded, and only where twistd was asked for a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from netrunner.process.logfile import chosen, open_log


@pytest.mark.parametrize(
    ("twistd", "path"),
    [
        ({"logfile": "/var/log/x.log"}, "/var/log/x.log"),
        ({"logfile": "x.log", "nodaemon": True}, os.path.abspath("x.log")),
        ({"nodaemon": False}, os.path.abspath("twistd.log")),
        ({"nodaemon": True}, None),
        ({"logfile": "-"}, None),
        ({"logfile": "x.log", "syslog": True}, None),
        ({"logfile": "x.log", "logger": "a.b"}, None),
    ],
)
def test_the_file_is_the_one_twistd_was_asked_for(twistd: dict[str, Any], path: str | None) -> None:
    assert chosen(twistd) == path


def test_the_file_and_what_was_kept_of_it_never_grow_beyond_their_bound(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = open_log(str(path), max_bytes=100, keep=2)
    for number in range(100):
        log.write(f"{number:9}\n")
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["x.log", "x.log.1", "x.log.2"]
    assert max(file.stat().st_size for file in files) == 100
    assert path.read_text().endswith("99\n")


def test_a_renamed_file_is_let_go_of_when_reopened(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = open_log(str(path), max_bytes=100, keep=2)
    path.rename(tmp_path / "elsewhere")
    log.reopen()
    log.write("new\n")
    log.close()
    assert path.read_text() == "new\n"


def test_a_file_that_cannot_be_opened_again_is_written_to_as_before(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = open_log(str(folder / "x.log"), max_bytes=100, keep=2)
    (folder / "x.log").rename(tmp_path / "elsewhere")
    folder.rmdir()
    log.reopen()
    log.write("still\n")
    log.close()
    assert (tmp_path / "elsewhere").read_text() == "still\n"


def test_a_new_file_is_not_for_everybody_and_an_old_one_stays_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.log"
    old.touch()
    old.chmod(0o600)
    modes = []
    for path in (old, tmp_path / "new.log"):
        open_log(str(path), max_bytes=100, keep=2).close()
        modes.append(path.stat().st_mode & 0o777)
    assert modes == [0o600, 0o640]
