"""The audit in a file, beside the database: one line of JSON for each entry, as the API tells it.

Several processes may append to one file: workers, commands, daemons of one machine. What the file does not take is
kept, up to a bound, and tried again; what is beyond that is dropped, counted and told of. Nobody ever waits for it.

This module must not decide what is in the audit.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from netrunner.config.settings import AuditSettings
from netrunner.interfaces import IClock
from netrunner.linefile import LineFile, alone, one_line
from netrunner.projects.wanted import entry_document
from netrunner.store.audit import Entry
from netrunner.store.threads import Threads

MAX_WAITING = 1000
"""Entries that wait for a file."""
AGAIN_S = 5.0
"""When a file that took nothing is tried again."""
_encode = msgspec.json.Encoder().encode


def append(settings: AuditSettings, entries: Sequence[Entry]) -> None:
    """Append entries to the file, all or none; makes it, and begins a new one if it is too long. Blocks.

    Raises:
        OSError: when it takes them not.
    """
    assert settings.file is not None
    data = b"".join(one_line(_encode(entry_document(entry))) + b"\n" for entry in entries)
    file = LineFile(settings.file)
    with contextlib.closing(file):
        while not _appended(file, data, settings):
            # The new file is anybody's until it is asked for as the old one was.
            pass


def _appended(file: LineFile, data: bytes, settings: AuditSettings) -> bool:
    """Append lines; or begin a new file for them, and return False."""
    with alone(file.path):
        file.follow()
        size = file.size()
        if settings.max_bytes and size and size + len(data) > settings.max_bytes:
            file.rotate(settings.keep)
            return False
        file.append(data)
        return True


class Trail:
    """Appends entries to the file as a running process does: in a thread, and later if need be.

    Args:
        in_thread: Calls a function with arguments in a thread.
        clock: Time.
    """

    log = Logger()

    def __init__(self, in_thread: Callable[..., Deferred[None]], clock: IClock) -> None:
        self._in_thread = in_thread
        self._clock = clock
        self._settings = AuditSettings()
        self._waiting: deque[Entry] = deque()
        self._writing: Deferred[None] | None = None
        self._again: IDelayedCall | None = None
        self._failing = False
        self.counts = {"written": 0, "dropped": 0}
        """Entries, by what became of them."""

    def apply(self, settings: AuditSettings) -> None:
        """Append to another file from now on, or to none; one that takes nothing is told of at once."""
        self._settings = settings
        self._rest(None)
        self._write()

    def add(self, entries: Sequence[Entry]) -> None:
        """Append entries soon."""
        if self._settings.file is not None:
            self._waiting.extend(entries)
            self._drop(len(self._waiting) - MAX_WAITING)
            self._write()

    async def stop(self) -> None:
        """Append what waits, and try no more."""
        self._rest(None)
        self._write()
        if self._writing is not None:
            await self._writing
        self._rest(None)
        if self._waiting:
            self.log.error("{count} entries of the audit are in the database alone", count=len(self._waiting))
            self._drop(len(self._waiting))

    def _write(self) -> None:
        """Begin to append what waits, unless that is under way or was refused a moment ago."""
        if self._writing is None and self._again is None:
            self._writing = writing = Deferred.fromCoroutine(self._run())
            writing.addErrback(lambda failure: self.log.failure("the audit file", failure))
            writing.addCallback(self._over)

    async def _run(self) -> None:
        settings = self._settings
        while settings.file is not None:
            batch = list(self._waiting)
            self._waiting.clear()
            try:
                await self._in_thread(append, settings, batch)
            except OSError as error:
                self._refused(batch, f"{settings.file}: {error.strerror}" if error.strerror else str(error))
                return
            self._taken(batch)
            settings = self._settings
            if not self._waiting:
                return

    def _over(self, _: object) -> None:
        self._writing = None

    def _taken(self, batch: Sequence[Entry]) -> None:
        self.counts["written"] += len(batch)
        if self._failing:
            self.log.warn("the audit file is written again; {dropped} entries were dropped", **self.counts)
        self._failing = False

    def _refused(self, batch: Sequence[Entry], reason: str) -> None:
        if not self._failing:
            self.log.error("the audit is in the database alone for now: {reason}", reason=reason)
        self._failing = True
        self._waiting.extendleft(reversed(batch))
        self._drop(len(self._waiting) - MAX_WAITING)
        self._rest(self._clock.callLater(AGAIN_S, self._once_more))

    def _once_more(self) -> None:
        self._again = None
        self._write()

    def _rest(self, again: IDelayedCall | None) -> None:
        """Leave the file alone until a call, or do not."""
        if self._again is not None:
            self._again.cancel()
        self._again = again

    def _drop(self, count: int) -> None:
        """Drop the oldest that wait."""
        for _ in range(count):
            self._waiting.popleft()
            self.counts["dropped"] += 1


def trail(reactor: Any, clock: IClock) -> Trail:
    """Return a trail with a thread of its own, since that may hang where the file does.

    Args:
        reactor: Hears from the thread.
        clock: Time.
    """
    thread = Threads(0, 1, "audit")
    thread.start()
    return Trail(partial(deferToThreadPool, reactor, thread), clock)
