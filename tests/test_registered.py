"""Aliases as a process knows them: from the file it finds, from another process, and from what it keeps itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet import reactor as the_reactor  # noqa: TID251 - threads answer to a real one

import pytest_twisted
from netrunner.errors import BadRequest
from netrunner.news.board import Board
from netrunner.registered import FILE, Registered
from netrunner.store import aliases
from netrunner.values import Alias

ONE = Alias("one", "m", "https://llm.example/v1", 1.0)
TWO = Alias("two", "n", "https://llm.example/v1", 2.0)


class Kept:
    """In the database's place: knows what is asked of it by the function's name."""

    def __init__(self) -> None:
        self.aliases: dict[str, Alias] = {}
        self.full = False

    async def write(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if work is aliases.put:
            (alias,) = arguments
            self.aliases |= {} if self.full else {alias.name: alias}
            return not self.full
        if work is aliases.drop:
            return self.aliases.pop(arguments[0], None) is not None
        arguments[0].write_bytes(msgspec.json.encode(list(self.aliases.values())))
        return None


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def registered(tmp_path: Path, kept: Kept) -> Registered:
    return Registered(tmp_path, lambda: kept, the_reactor, Board())  # type: ignore[arg-type,return-value]  # all it asks is write


def write(registered: Registered, *listed: Alias) -> None:
    registered._path.write_bytes(msgspec.json.encode(list(listed)))


def test_aliases_are_those_of_the_file_and_always_in_the_same_mapping(registered: Registered) -> None:
    heard: list[int] = []
    there = registered.aliases
    registered.on_change = lambda: heard.append(len(there))
    registered.read()
    write(registered, ONE, TWO)
    registered.read()
    write(registered, TWO)
    registered.read()
    assert there == {"two": TWO}
    assert heard == [0, 2, 1]


@pytest.mark.parametrize("data", [b"", b"[", b"{}", b'[{"name":"x"}]', b"\xff"])
def test_a_file_that_is_damaged_changes_nothing(registered: Registered, data: bytes) -> None:
    write(registered, ONE)
    registered.read()
    registered._path.write_bytes(data)
    registered.read()
    assert registered.aliases == {"one": ONE}


def test_without_a_database_nothing_is_asked_of_it_at_the_start(tmp_path: Path) -> None:
    def refuse() -> Any:
        raise AssertionError("the database was opened")

    Registered(tmp_path, refuse, the_reactor, Board()).start("sqlite")


@pytest.mark.parametrize("store", ["sqlite", "postgresql://db.example/netrunner"])
def test_what_the_database_holds_is_known_soon_after_the_start(
    registered: Registered, kept: Kept, tmp_path: Path, store: str
) -> None:
    (tmp_path / "netrunner.sqlite3").touch()
    kept.aliases = {"two": TWO}
    write(registered, ONE)
    registered.start(store)
    assert registered.aliases == {"two": TWO}


@pytest_twisted.ensureDeferred
async def test_what_is_registered_and_forgotten_is_known_when_that_returns(
    registered: Registered, kept: Kept, tmp_path: Path
) -> None:
    await registered.put(ONE)
    assert registered.aliases == kept.aliases == {"one": ONE}
    assert await registered.drop("one")
    assert registered.aliases == {}
    assert (tmp_path / FILE).read_bytes() == b"[]"
    assert not await registered.drop("one")


@pytest_twisted.ensureDeferred
async def test_one_too_many_is_refused(registered: Registered, kept: Kept) -> None:
    kept.full = True
    with pytest.raises(BadRequest, match="There are 10000 aliases"):
        await registered.put(ONE)
