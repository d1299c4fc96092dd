"""The folder of logs at its start, and by itself."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from netrunner.errors import ConfigurationError
from netrunner.logserver import folder as folder_module
from netrunner.logserver.folder import Folder
from netrunner.logserver.index import Index
from netrunner.logserver.metadata import Metadata
from tests.support.logserver import ID, OTHER, LogSite


def test_an_open_folder_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    Folder(tmp_path / "logs").close()
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Folder(tmp_path / "logs")
    with pytest.raises(ConfigurationError, match="used by another process"):
        Folder(tmp_path / "logs")
    first.close()
    Folder(tmp_path / "logs").close()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Folder(tmp_path / "logs")


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    server = LogSite(tmp_path / "logs")
    server.put("request", b"x")
    (name,) = server.files()
    server.folder.close()
    evil = json.loads((server.path / f"{name[:-4]}_metadata.json").read_bytes()) | {"file": "../../etc/passwd"}
    for number, text in enumerate(["", "{", "[]", '{"id": 5}', "\xff", json.dumps(evil)]):
        (server.path / f"2026-01-01_00-00-00.000_0000000{number}_request_metadata.json").write_text(text, "latin-1")
    (server.path / "notes.txt").write_text("mine")
    folder = Folder(server.path)
    assert [one.file for one in folder.newest(100)] == [name]
    folder.close()
    assert (server.path / "notes.txt").read_text() == "mine"


def test_a_replacement_that_a_crash_left_half_done_is_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "logs")
    left = folder.path / ".2026-01-01_00-00-00.000_01939999_request_metadata.json.new"
    left.write_text("{")
    list(folder.newest(100))
    folder.close()
    assert not left.exists()


def test_only_so_many_files_are_looked_at_and_those_are_the_newest(tmp_path: Path) -> None:
    server = LogSite(tmp_path / "logs")
    for number in range(6):
        server.clock.advance(1)
        server.put("request", b"x", f"01939999-0000-7000-8000-{number:012x}")
    server.folder.close()
    folder = Folder(server.path)
    assert [one.id[-1] for one in folder.newest(3)] == ["3", "4", "5"]
    folder.close()


def test_a_name_that_is_always_taken_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_TRIES", 2)
    server = LogSite(tmp_path / "logs")
    for name in ("request", "request-2"):
        (server.path / f"2025-06-15_15-06-40.000_dddddddd_{name}.bin").write_bytes(b"x")
    assert server.put("request", b"x").status == 500
    assert server.files("metadata.json") == {}
    server.folder.close()


def test_many_of_one_name_are_not_searched_from_the_first_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "MOST_TRIES", 2)
    server = LogSite(tmp_path / "logs")
    statuses = [server.put("request", b"x", f"01939999-0000-7000-8000-{number:012x}").status for number in range(50)]
    assert statuses == [201] * 50
    server.folder.close()


def test_numbers_are_remembered_for_so_many_names_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_NUMBERS", 2)
    folder = Folder(tmp_path / "logs")
    for second in range(5):
        folder.open(ID, "request", float(second), 0.0).discard()
    assert len(folder._numbers) == 2
    folder.close()


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    server = LogSite(tmp_path / "logs")
    stem = "2025-06-15_15-06-40.000_dddddddd_request"
    os.symlink(target, server.path / f"{stem}.bin")
    os.symlink(target, server.path / f".{stem}-2_metadata.json.new")
    assert server.put("request", b"x").status == 500
    assert target.read_text() == "precious"
    server.folder.close()


def metadata(id: str, at_s: float, completed: bool = True, file: str = "f.bin") -> Metadata:
    return Metadata(id=id, type="request", file=file, at_accept=at_s, at_began=at_s, completed=completed)


def test_an_exchange_older_than_all_that_are_known_is_not_taken_in() -> None:
    index = Index(2).filled([metadata(ID, 5), metadata(OTHER, 6)])
    index.note(metadata(ID.replace("9", "8"), 1))
    assert (len(index), index.get(ID.replace("9", "8"))) == (2, None)


def test_a_discarded_message_leaves_nothing_of_an_exchange_that_has_no_other() -> None:
    index = Index(2)
    index.note(metadata(ID, 5, completed=False))
    index.forget(metadata(ID, 5, completed=False))
    assert (len(index), index.get(ID)) == (0, None)


def test_forgetting_one_try_does_not_forget_another() -> None:
    index = Index(2).filled([metadata(ID, 5, file="good.bin")])
    index.forget(metadata(ID, 5, completed=False, file="bad.bin"))
    assert index.get(ID) is not None
