"""The seals of calls in files, so that they outlive their process.

Each process writes what it keeps to a file of its own in the state folder, now and then and at its end, and reads what
others have written: all of it when it starts, later on what those have left that are gone since. A file that is damaged
is removed and counted: what it held is lost, nothing else.

This module must not know whose a seal is, nor what it is for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar
from zlib import crc32

import msgspec
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from netrunner.interfaces import IClock
from netrunner.journal.cursor import write
from netrunner.journal.upkeep import is_live

FOLDER = "seals"
LOOK_S = 1.0
"""How often it is looked for what processes have left that are gone."""
SAVE_S = 10.0
"""How often the file is written, if there is anything new; who is killed loses what came since."""
KEPT_S = 86400.0
"""How long a file is read after it was written."""
MAX_READ_BYTES = 32 << 20
"""Of files that are read at once, the newest before others; one that is larger by itself counts as damaged."""
_MAGIC = b"netrunner seals 1\n"
_SUM_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_decoder = msgspec.msgpack.Decoder(list[tuple[_Key, str]])
T = TypeVar("T")


class Memory(Protocol):
    """What keeps seals in this process."""

    changes: int
    """How often one was put there."""
    damaged: int
    """Files that could not be read."""

    def entries(self) -> list[tuple[bytes, str]]:
        """Return keys and seals, those longest unused first."""

    def add(self, entries: Sequence[tuple[bytes, str]]) -> None:
        """Keep those that it has not."""


class SealFiles:
    """Writes and reads them for one process.

    Args:
        state: The state folder.
        name: Of the process: that of its journal.
        memory: What is written, and read into.
        clock: When.
        reactor: Whose threads do it; None in a test that does it at once.
    """

    log = Logger()

    def __init__(self, state: Path, name: str, memory: Memory, clock: IClock, reactor: Any = None) -> None:
        self._state = state
        self._path = state / FOLDER / name
        self._memory = memory
        self._clock = clock
        self._reactor = reactor
        self._turns = DeferredLock()
        """One thing is done after the other."""
        self._written, self._written_at = 0, 0.0
        self._taken: set[Path] = set()
        """Files of processes that are gone, to be removed when what stood there stands in that of this one."""
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Read what others have written, before anybody is served, and look again from time to time."""
        self._written_at = self._clock.seconds()
        self._take(self._read(self._others()))
        self._plan()

    def stop(self, within_s: float) -> Deferred[Any]:
        """Write the last; fire when that is done or has failed, after ``within_s`` at the latest."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        done: Deferred[Any] = self._turns.run(lambda: Deferred.fromCoroutine(self._save()))
        done.addTimeout(within_s, self._clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
        return done.addErrback(lambda _: self.log.error("seals of calls were not written in time"))

    def look(self) -> Deferred[Any]:
        """Read what processes have left that are gone by now; fire when that is done or has failed."""
        looked: Deferred[Any] = self._turns.run(lambda: Deferred.fromCoroutine(self._turn()))
        return looked.addErrback(lambda failure: self.log.failure("what others left of seals was not read", failure))

    def _plan(self) -> None:
        self._call = self._clock.callLater(LOOK_S, self._look_now_and_then)

    def _look_now_and_then(self) -> None:
        self._plan()
        if not self._turns.locked:
            self.look()

    async def _turn(self) -> None:
        gone = {path for path in self._others() if not self._lives(path.name)}
        if fresh := gone - self._taken:
            self._take(await self._do(self._read, fresh))
            self._taken |= fresh
        due = self._clock.seconds() >= self._written_at + SAVE_S
        if (fresh or due) and await self._save() and self._taken:
            await self._do(_remove, self._taken)
            self._taken = set()

    async def _save(self) -> bool:
        """Write the file if there is anything new; return whether all that is kept stands in it."""
        self._written_at = self._clock.seconds()
        changes = self._memory.changes
        if changes != self._written:
            try:
                await self._do(_write, self._path, self._memory.entries())
            except OSError as error:
                self.log.error("seals of calls could not be written: {reason}", reason=error.strerror)
                return False
            self._written = changes
        return True

    def _do(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        if self._reactor is None:
            return maybeDeferred(function, *arguments)
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *arguments)

    def _others(self) -> list[Path]:
        """Return the files of other processes."""
        try:
            with os.scandir(self._path.parent) as found:
                names = [one.name for one in found if one.is_file(follow_symlinks=False)]
        except OSError:
            return []
        # One that was being written when its process died begins with a dot.
        return [self._path.with_name(name) for name in {name.lstrip(".") for name in names} - {self._path.name}]

    def _lives(self, name: str) -> bool:
        journal = self._state / "journal" / name
        return journal.is_dir() and is_live(journal)

    def _read(self, paths: Iterable[Path]) -> list[tuple[Path, list[tuple[bytes, str]] | None]]:
        """Return what stands in files, the oldest first; None for one that is damaged."""
        found = []
        room = MAX_READ_BYTES
        for path, at_s, size in sorted(_seen(paths), key=lambda seen: seen[1], reverse=True):
            if self._clock.wall() < at_s + KEPT_S and (size <= room or size > MAX_READ_BYTES):
                room -= size
                with contextlib.suppress(FileNotFoundError):
                    found.append((path, _load(path)))
        return found[::-1]

    def _take(self, found: list[tuple[Path, list[tuple[bytes, str]] | None]]) -> None:
        for path, entries in found:
            if entries is None:
                self._memory.damaged += 1
                self.log.error("{path} is damaged; the seals of calls that it held are lost", path=str(path))
                _remove([path])
            else:
                self._memory.add(entries)


def _seen(paths: Iterable[Path]) -> Iterator[tuple[Path, float, int]]:
    """Yield the files that are there, when each was written, and its bytes."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            yield path, found.st_mtime, found.st_size


def _load(path: Path) -> list[tuple[bytes, str]] | None:
    """Return what stands in a file; None if it is none of these, or damaged. Raises ``FileNotFoundError``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_READ_BYTES + 1)
        body = data[len(_MAGIC) + _SUM_BYTES :]
        whole = len(data) <= MAX_READ_BYTES and data.startswith(_MAGIC + crc32(body).to_bytes(_SUM_BYTES))
        return _decoder.decode(body) if whole else None
    except FileNotFoundError:
        raise
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _write(path: Path, entries: Sequence[tuple[bytes, str]]) -> None:
    body = _encode(entries)
    write(path, _MAGIC + crc32(body).to_bytes(_SUM_BYTES) + body)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        for one in (path, path.with_name(f".{path.name}")):
            # One that cannot be removed is read again, which changes nothing.
            with contextlib.suppress(OSError):
                one.unlink()
