"""The journal of a process and everything that reads it: sinks, copies, the database, recovery and retention.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from netrunner.clock import SystemClock
from netrunner.config.settings import JournalSettings, Settings
from netrunner.http.flush import Flush
from netrunner.interfaces import ILogs, ILogStore
from netrunner.journal.copies import Copies
from netrunner.journal.feeds import Feeds, Sink
from netrunner.journal.journal import SMALL_BYTES, Journal, Policy
from netrunner.journal.logs import JournalLogs
from netrunner.journal.shifts import Shifts, Stop
from netrunner.journal.upkeep import Upkept, keep_up
from netrunner.pipeline.live import Live
from netrunner.web.dashboard.lookout import Lookout
from netrunner.web.live import Onlookers

if TYPE_CHECKING:
    from netrunner.store.threads import Store

UPKEEP_S = 5.0
"""How often journals left behind are looked for, and old segments deleted."""
DAY_S = 86400.0


class Bookkeeping:
    """Keeps the journal.

    Args:
        state: The state folder.
        folder: Of this process's journal, in it.
        settings: Validated configuration.
        clock: Time.
        flush: What everything that leaves goes through.
        exchanges: Most that may be in progress at once.
        live: What is in progress.
        reactor: What everything runs on.
    """

    log = Logger()

    def __init__(
        self,
        state: Path,
        folder: Path,
        settings: Settings,
        clock: SystemClock,
        flush: Flush,
        exchanges: int,
        live: Live,
        reactor: Any,
    ) -> None:
        self._state = state
        self._settings = settings
        self._clock = clock
        self._reactor = reactor
        self._chance = random.SystemRandom()
        kept = settings.journal
        reserve = min(exchanges * SMALL_BYTES, kept.max_bytes // 8)
        self.journal = Journal(folder, _policy(kept), clock, self._chance.getrandbits, reserve, reactor)
        self.journal.gate = flush
        flush.precede(self.journal)
        self._pool = ThreadPool(0, 1, name="netrunner-journal")
        self.feeds = Feeds(state, self.journal, clock, self._chance, reactor, self._pool)
        self.journal.on_record = self.feeds.wake
        self.copies = Copies(state / "journal")
        self._journal_logs = JournalLogs(state, reactor, self._pool)
        self._store: Any = None
        self._database: Store | None = None
        self.onlookers = Onlookers(clock)
        """Those who look at exchanges as they happen."""
        self.lookout = Lookout(live, clock)
        """What the dashboard remembers."""
        self._shifts = Shifts(self.feeds, clock)
        self._upkeep: IDelayedCall | None = None
        self._stopped = False
        self.recovered = Upkept()
        """All that was found of processes that are gone."""

    def open_database(self) -> Store:
        """Return the database, which is opened when somebody first asks: it is loaded only where it is used."""
        if self._database is None:
            from netrunner.store.threads import Store

            self._database = Store(self._settings.store, self._state, self._reactor, self._clock)
            self._database.start()
        return self._database

    def open_store(self) -> ILogStore:
        """Return the database as a place for records; from then on they are found there."""
        if self._store is None:
            from netrunner.store.logs import LogStore

            self._store = LogStore(self.open_database())
        opened: ILogStore = self._store
        return opened

    def database_available(self) -> bool | None:
        """Return whether the database does what it is asked; None while nobody uses it."""
        return None if self._database is None else self._database.available

    @property
    def logs(self) -> ILogs:
        """Where records are found again: the database if a sink keeps them there, else the journal itself."""
        return self._journal_logs if self._store is None else self._store

    def start(self, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        """Begin to record, and feed ``sinks`` once no other process does; ``ready`` starts them."""
        self._pool.start()
        self.journal.start()
        self._shifts.start(sinks, ready)
        self._keep_up()

    def replace(self, settings: Settings, stop: Stop, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        """Record by other settings, and feed other sinks: those before have their last records, then ``stop``."""
        self._settings = settings
        self.journal.apply(_policy(settings.journal))
        self._shifts.replace(stop, sinks, ready)

    def stop(self, stop: Stop, left_s: Callable[[], float]) -> Deferred[Any]:
        """Hand the last records over, stop the sinks by ``stop``, and end the journal.

        Args:
            stop: Is given how long that may take.
            left_s: Tells how long everything may take from now on.
        """
        if self._upkeep is not None and self._upkeep.active():
            self._upkeep.cancel()
        self._stopped = True
        self.lookout.close()
        self.journal.commit()
        return self._shifts.stop(stop, left_s).addBoth(self._end, left_s)

    def _end(self, result: object, left_s: Callable[[], float]) -> Any:
        if isinstance(result, Failure):
            self.log.failure("the sinks did not stop", result)
        self.journal.stop()
        self._pool.stop()
        if self._database is None:
            return None
        stopped = self._database.stop()
        stopped.addTimeout(left_s(), self._clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
        return stopped.addErrback(lambda _: self.log.error("the database was not left in time"))

    def counts(self) -> dict[str, int]:
        """Return what could not be recorded, and whether there is room."""
        counts = {
            **dict.fromkeys(("refused", "unrecorded", "write_errors", "sync_errors", "refusals_aggregated"), 0),
            **self.journal.counts,
            "full": int(self.journal.full),
            "crowded": int(self.journal.crowded),
        }
        return {f"journal_{name}": count for name, count in counts.items()}

    # Now and then.

    def _keep_up(self) -> None:
        self._upkeep = None
        kept = self._settings.journal
        reached = self.feeds.reached()
        done = deferToThreadPool(
            self._reactor,
            self._pool,
            keep_up,
            self._state / "journal",
            self.journal.folder_name,
            kept.max_bytes,
            self._clock.wall() - kept.keep_days * DAY_S,
            lambda folder, lane: reached.get((folder, lane)),
            self._clock.wall,
            self._chance.getrandbits,
        )
        done.addCallbacks(self._kept_up, lambda failure: self.log.failure("the journal's upkeep failed", failure))
        done.addCallback(lambda _: self._again())

    def _kept_up(self, done: Upkept) -> None:
        self.recovered.recovered += done.recovered
        self.recovered.interrupted += done.interrupted
        self.recovered.damaged_bytes += done.damaged_bytes
        self.recovered.room = done.room
        self.journal.crowded = done.room is not None and done.room.crowded

    def _again(self) -> None:
        if not self._stopped:
            self._upkeep = self._clock.callLater(UPKEEP_S, self._keep_up)


def _policy(settings: JournalSettings) -> Policy:
    bodies = settings.bodies
    return Policy(
        off=settings.durability == "none",
        disk=settings.durability == "disk",
        refuse=settings.on_full == "refuse",
        keep_bytes=bodies if isinstance(bodies, int) else None,
        messages=bodies != "none",
        segment_bytes=settings.segment_bytes,
    )
