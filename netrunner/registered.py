"""The aliases that are registered while netrunner runs: in the database, the same in every process of a state folder.

What the database held last lies in the state folder as well (``aliases.json``), so that a process knows it when it
starts, without loading the database, and reads it again when another process tells it to.

This module must not decide who may register what.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from netrunner.errors import BadRequest
from netrunner.news.board import Board
from netrunner.news.topics import ALIASES
from netrunner.process.peers import tell_others
from netrunner.values import Alias

if TYPE_CHECKING:
    from netrunner.store.threads import Store

FILE = "aliases.json"
CHANGED = "aliases"
"""What processes of the state folder are told: to read them again."""


def read(state: Path) -> list[Alias]:
    """Return what the database held last, in the order of registration; nothing if there never was anything.

    Raises:
        ValueError: when the file cannot be read.
    """
    path = state / FILE
    try:
        listed: list[Alias] = msgspec.json.decode(path.read_bytes(), type=list[Alias])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}") from error
    return listed


class Registered:
    """The aliases there are.

    Args:
        state: The state folder.
        database: Returns the database, which is opened when it is first asked for.
        reactor: What everything runs on.
        board: Tells those that share the database.
    """

    log = Logger()

    def __init__(self, state: Path, database: Callable[[], Store], reactor: Any, board: Board) -> None:
        self._state = state
        self._path = state / FILE
        self._database = database
        self._reactor = reactor
        self._board = board
        board.follow(ALIASES, lambda _: self._look())
        self.aliases: dict[str, Alias] = {}
        """By name; always the same mapping."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when they have changed."""

    def read(self) -> None:
        """Read what the database held last. A file that cannot be read changes nothing."""
        try:
            listed = read(self._state)
        except ValueError as error:
            self.log.error("aliases are as they were: {error}", error=error)
            return
        self.aliases.clear()
        self.aliases.update((alias.name, alias) for alias in listed)
        self.on_change()

    def start(self, store: str) -> None:
        """Read them as they were last, and then what the database holds, if there is one.

        Args:
            store: The setting.
        """
        self.read()
        if store != "sqlite" or any(self._state.glob("*.sqlite3")):
            self._look()

    def _look(self) -> None:
        """Read what the database holds."""
        Deferred.fromCoroutine(self._copy()).addErrback(
            lambda failure: self.log.warn("aliases are as they were last: {error}", error=failure.getErrorMessage())
        )

    async def put(self, alias: Alias) -> None:
        """Register an alias, in the place of one of the same name; returning means that every process knows it.

        Raises:
            BadRequest: when there are too many.
            StoreError: when it cannot be kept.
        """
        from netrunner.store import aliases

        if not await self._database().write(aliases.put, alias):
            raise BadRequest(f"There are {aliases.MAX_ALIASES} aliases, which is as many as there may be.")
        await self._spread()

    async def drop(self, name: str) -> bool:
        """Forget an alias; return whether there was one. Every process has forgotten it then.

        Raises:
            StoreError: when it cannot be forgotten.
        """
        from netrunner.store import aliases

        found: bool = await self._database().write(aliases.drop, name)
        await self._spread()
        return found

    async def _spread(self) -> None:
        await self._copy()
        threads = self._reactor.getThreadPool()
        await deferToThreadPool(self._reactor, threads, tell_others, self._state, os.getpid(), CHANGED)
        for problem in await self._board.tell(ALIASES, ""):
            self.log.warn("aliases are heard of late: {problem}", problem=problem)

    async def _copy(self) -> None:
        from netrunner.store import aliases

        await self._database().write(aliases.copy, self._path)
        self.read()
