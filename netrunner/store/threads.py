"""The database as the reactor uses it: one thread that writes, two that read, and nothing that waits in between.

This module must not know what is read or written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from netrunner.errors import NewerDatabase, StoreError
from netrunner.interfaces import IClock, IStartable
from netrunner.process.command import for_libpq, plain
from netrunner.store.database import NEWER, Database, locate

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
REMEMBERED_S = 90.0
"""More than any sink waits before it asks again."""
_MIGRATE = "netrunner.store.migrate"


class _Thread(threading.Thread):
    """A thread that never keeps the process from ending, as one would whose server hangs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "daemon": True})


class Threads(ThreadPool):
    """Threads that end with the process, whatever hangs in them."""

    threadFactory = _Thread


@implementer(IStartable)
class Store:
    """Runs work in the threads of one database.

    Args:
        store: The setting: ``sqlite``, or a ``postgresql://`` URL.
        state_folder: Holds the file of SQLite.
        reactor: Hears from the threads.
        clock: Time.
    """

    log = Logger()

    def __init__(self, store: str, state_folder: Path, reactor: Any, clock: IClock) -> None:
        self.database = Database(locate(store, state_folder), self._migrate, clock.seconds)
        self._reactor = reactor
        self._writer = Threads(0, 1, "store-writer")
        self._readers = Threads(0, READERS, "store-reader")
        self._working: set[Deferred[Any]] = set()
        self._running = False
        self._clock = clock
        self._failed_at: dict[ThreadPool, float] = {}
        """When the last work of threads was not done, if nothing has been done since."""
        self._migration: subprocess.Popen[str] | None = None

    def start(self) -> Deferred[None]:
        """Start the threads, open the database, migrate it if need be; fires when it is open or a warning is out."""
        self._running = True
        self._writer.start()
        self._readers.start()
        opened = Deferred.fromCoroutine(self.write(_nothing))

        def warn(failure: Any) -> None:
            failure.trap(StoreError)
            self.log.warn("nothing is kept in the database for now: {reason}", reason=failure.getErrorMessage())

        return opened.addErrback(warn)

    def stop(self) -> Deferred[None]:
        """End what is under way, then the threads; what is asked afterwards fails."""
        self._running = False
        self.database.give_up()
        if self._migration is not None:
            self._migration.terminate()
        # Who gives up waiting must not wait after all, for a thread that hangs to be joined.
        ended: Deferred[Any] = DeferredList(list(self._working), fireOnOneErrback=True, consumeErrors=True)
        return ended.addCallback(lambda _: self._end())

    def _end(self) -> None:
        self.database.close()
        for threads in (self._writer, self._readers):
            if threads.started:
                threads.stop()

    @property
    def available(self) -> bool:
        """Whether the database did what it was asked last, by those who read and by the one who writes.

        What it did not do is forgotten after ``REMEMBERED_S``: whoever asked has given up by then.
        """
        now = self._clock.seconds()
        return all(now - at >= REMEMBERED_S for at in self._failed_at.values())

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work(connection, ...)`` returns in a reader's thread.

        Raises:
            StoreError: when the database cannot be read.
        """
        return await self._run(self._readers, partial(self.database.read, work, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work(connection, ...)`` returns in the writer's thread, committed.

        Raises:
            StoreError: when nothing of it was written.
        """
        return await self._run(self._writer, partial(self.database.write, work, *args, **kwargs))

    async def write_soon(
        self, within_s: float, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ``write``, but what others keep waiting for ``within_s`` is never begun.

        Raises:
            StoreError: when nothing of it was written, or will be.
        """
        return await self._run(self._writer, partial(self.database.write, work, *args, **kwargs), within_s)

    async def _run(self, threads: ThreadPool, work: Callable[[], T], within_s: float | None = None) -> T:
        if not self._running:
            raise StoreError("The database is closed.")
        over: Deferred[None] = Deferred()
        self._working.add(over)
        # Whoever has it first: the thread, which begins, or who gives up waiting for that.
        turn = threading.Lock()
        # Told by the thread itself: whoever asked may have given up long before.
        done: Deferred[T] = deferToThreadPool(self._reactor, threads, self._work, partial(_begin, turn, work), over)
        if within_s is not None:
            done = self._patient(done, turn, within_s)
        try:
            result = await done
        except StoreError:
            self._failed_at[threads] = self._clock.seconds()
            raise
        self._failed_at.pop(threads, None)
        return result

    def _patient(self, done: Deferred[T], turn: threading.Lock, within_s: float) -> Deferred[T]:
        """Return what fires as ``done`` does, or fails if that was not begun in time."""
        told: Deferred[T] = Deferred()

        def give_up() -> None:
            if turn.acquire(blocking=False):
                told.errback(StoreError(f"Others have kept the database busy for {within_s:g} s."))

        call = self._clock.callLater(within_s, give_up)

        def tell(result: Any) -> None:
            if call.active():
                call.cancel()
            if not told.called:
                told.callback(result)

        done.addBoth(tell)
        return told

    def _work(self, work: Callable[[], T], over: Deferred[None]) -> T:
        try:
            return work()
        finally:
            self._reactor.callFromThread(self._over, over)

    def _over(self, over: Deferred[None]) -> None:
        self._working.discard(over)
        over.callback(None)

    def _migrate(self, url: URL) -> None:
        """Run the migrations in a process of their own, which the thread waits for."""
        environ = plain(os.environ) | for_libpq(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._migration = subprocess.Popen(
            [sys.executable, "-m", _MIGRATE],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        _, told = self._migration.communicate(f"{url.render_as_string(hide_password=False)}\n")
        code, self._migration = self._migration.returncode, None
        if code in (1, NEWER) and told.count("\n") == 1:
            raise (NewerDatabase if code == NEWER else StoreError)(told.strip())
        if code != 0:
            last = told.strip().rpartition("\n")[2] or f"it ended with {code}"
            raise StoreError(f"The database could not be migrated: {last}")


def _begin(turn: threading.Lock, work: Callable[[], T]) -> T:
    """Do it, unless nobody waits for it any more."""
    if not turn.acquire(blocking=False):
        raise StoreError("Nobody waits for it any more.")
    return work()


def _nothing(connection: Connection) -> None:
    """Write nothing; what counts is that one could."""
