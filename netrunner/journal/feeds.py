"""All sinks of a process: which of them are fed, by whom, and where each has come.

Sinks run only in the process that holds ``sinks.lock``; another one that waits for it takes over where that one left
off. This module must not read records.
"""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from netrunner.interfaces import IClock, ILogSink
from netrunner.journal import cursor as cursors
from netrunner.journal.cursor import Cursor
from netrunner.journal.feed import LANES, Feed, summary
from netrunner.journal.journal import Journal
from netrunner.journal.upkeep import is_live

LOCK_S = 0.25
"""How often it is tried to get the lock."""
BATCH_S = 0.1
"""How long records wait for others to be handed over with."""
SAVE_S = 1.0
"""How often cursors are written down."""


class Sink:
    """One sink of the configuration: its name, the plugin, and whether the journal has to wait for it."""

    def __init__(self, name: str, plugin: ILogSink, required: bool = False) -> None:
        self.name, self.plugin, self.required = name, plugin, required


class Feeds:
    """Feeds every sink.

    Args:
        state: The state folder.
        journal: Of this process.
        clock: Times everything.
        chance: For pauses.
        reactor, pool: Where files are written, by one thread so that they are in order; None in a test that writes
            them at once.
    """

    log = Logger()

    def __init__(
        self, state: Path, journal: Journal, clock: IClock, chance: random.Random, reactor: Any = None, pool: Any = None
    ) -> None:
        self._state = state
        self._folder = state / "journal"
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._reactor, self._pool = reactor, pool
        self._lock: int | None = None
        self._sinks: list[Sink] = []
        self.feeds: list[Feed] = []
        self._cursors: dict[str, Cursor] = {}
        """By the names of sinks, of those that are gone as well. While the lock is held these count: files follow."""
        self._moved: set[str] = set()
        """The names of sinks whose files are behind."""
        self._trying: IDelayedCall | None = None
        self._saving: IDelayedCall | None = None
        self._waking: IDelayedCall | None = None
        self._ready: Callable[[], None] = lambda: None

    def start(self, sinks: Sequence[Sink], ready: Callable[[], None] = lambda: None) -> None:
        """Feed ``sinks`` as soon as no other process does; then call ``ready``."""
        self._sinks = list(sinks)
        self._ready = ready
        self._try()

    def _try(self) -> None:
        self._trying = None
        if self._lock is None:
            lock = os.open(self._state / "sinks.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                self._trying = self._clock.callLater(LOCK_S, self._try)
                return
            self._lock = lock
            self._cursors.clear()
        self._ready()
        self._begin()
        if self._saving is None:
            self._saving = self._clock.callLater(SAVE_S, self._look)

    def _begin(self) -> None:
        others = self._others()
        for sink in self._sinks:
            self._feed(sink, others)

    def _feed(self, sink: Sink, others: Sequence[str]) -> None:
        known = self._known(sink.name)
        cursor = self._cursors[sink.name] = self._new_cursor(others) if known is None else known

        def moved() -> None:
            self._moved.add(sink.name)

        feed = Feed(
            sink.name, sink.plugin, cursor, self._folder, self._journal, self._clock, self._chance, moved, sink.required
        )
        self.feeds.append(feed)
        if feed.resume() or known is None:
            # From here on nothing may be missed, nor written twice, whatever happens next.
            cursors.write(self._path(sink.name), cursor.encoded())
        feed.look_at(others)

    def _new_cursor(self, others: Sequence[str]) -> Cursor:
        """Return where a new sink begins: with this journal, and those that processes beside this one write.

        One of those may have begun before; what is left of processes that are gone is not for a new sink.
        """
        beside = [name for name in others if is_live(self._folder / name)]
        return Cursor(self._journal.folder_name, {name: {} for name in beside})

    def _known(self, name: str) -> Cursor | None:
        """Return how far a sink has come, if it was ever fed."""
        if name in self._cursors and self._lock is not None:
            return self._cursors[name]
        path = self._path(name)
        try:
            return cursors.read(path)
        except ValueError as error:
            self.log.error("{path} is damaged: {error}; its sink begins anew", path=path, error=error)
            return None

    def wake(self) -> None:
        """Something was recorded: hand it over soon, with what else comes by then."""
        if self._waking is None:
            self._waking = self._clock.callLater(BATCH_S, self._wake)

    def _wake(self) -> None:
        self._waking = None
        for feed in self.feeds:
            feed.wake()
        folder = self._journal.folder_name
        for lane, tail in self._journal.tails.items():
            places = [feed.cursor.places.get(folder, {}).get(lane) for feed in self.feeds]
            tail.forget(min((0 if place is None else place.offset for place in places), default=tail.end))

    def finish(self, within_s: float) -> Deferred[None]:
        """Hand over what is left, and nothing after that; fire when that is done, at the latest after ``within_s``."""
        if self._trying is not None and self._trying.active():
            self._trying.cancel()
        feeds, self.feeds = self.feeds, []
        finishing: Deferred[Any] = DeferredList([feed.finish() for feed in feeds], consumeErrors=True)
        finishing.addTimeout(within_s, self._clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
        # All of them, moved or not: when this is done, so is whatever the thread was to write before.
        return finishing.addCallback(lambda _: self._save(self._cursors))

    def stop(self, within_s: float) -> Deferred[None]:
        """Do as ``finish`` does, and let another process take over."""
        for call in (self._saving, self._waking):
            if call is not None and call.active():
                call.cancel()
        self._saving = self._waking = None
        return self.finish(within_s).addCallback(lambda _: self._unlock())

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def reached(self) -> dict[tuple[str, str], int]:
        """Return up to which offset every required sink has read each lane; nothing of a lane that none is to read.

        While another process feeds the sinks, that is what it has written down.
        """
        places: dict[tuple[str, str], int] = {}
        for sink in self._sinks:
            cursor = self._known(sink.name) if sink.required and self._lock is None else self._cursors.get(sink.name)
            if sink.required and cursor is not None:
                for folder in (*self._others(), self._journal.folder_name):
                    for lane in LANES:
                        place = cursor.at(folder, lane)
                        if place is not None:
                            key = folder, lane
                            places[key] = min(places.get(key, place.offset), place.offset)
        return places

    def summaries(self) -> list[dict[str, Any]]:
        """Return how each sink fares."""
        return [summary(feed) for feed in self.feeds]

    # Now and then.

    def _look(self) -> None:
        self._saving = self._clock.callLater(SAVE_S, self._look)
        others = self._others()
        for feed in self.feeds:
            feed.look_at(others)
        moved, self._moved = self._moved, set()
        if moved:
            self._save(moved)

    def _save(self, names: Iterable[str]) -> Deferred[None]:
        """Write the cursors of these sinks down; fire when that is done or has failed."""
        there = {*self._others(), self._journal.folder_name}
        written = []
        for name in names:
            cursor = self._cursors[name]
            cursor.forget(there)
            written.append(self._write(self._path(name), cursor.encoded()))
        return DeferredList(written).addCallback(lambda _: None)

    def _write(self, path: Path, data: bytes) -> Deferred[None]:
        if self._pool is None:
            cursors.write(path, data)
            return succeed(None)
        done = deferToThreadPool(self._reactor, self._pool, cursors.write, path, data)
        return done.addErrback(
            lambda failure: self.log.error("a cursor could not be written: {error}", error=failure.value)
        )

    def _path(self, name: str) -> Path:
        return self._state / "cursors" / f"{name}.json"

    def _others(self) -> list[str]:
        return [
            name for name in os.listdir(self._folder) if not name.startswith(".") and name != self._journal.folder_name
        ]
