"""The sink ``database``: every record in the configured store, where filters and pages find it; old ones go.

This module must not keep records: a batch is committed when ``write`` returns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.errors import StoreError
from netrunner.interfaces import IEnvironment, ILogSink, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import setting
from netrunner.values import Record

DAY_S = 86400.0
TIDY_S = 3600.0
"""Seconds between two looks for what is too old."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Settings of the sink ``database``."""

    keep_days: float = setting(7.0, minimum=0.001, doc="Days after which a record is deleted, at start and every hour.")
    vacuum: bool = setting(True, doc="Whether the file of SQLite shrinks then.")


@implementer(ILogSink, IStartable)
class Database:
    """Adds records to the store, and has the old ones forgotten."""

    def __init__(self, settings: DatabaseSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._environment = environment
        self._next: Any = None
        self._running = False

    def start(self) -> None:
        """Have old records forgotten, now and every hour."""
        self._running = True
        Deferred.fromCoroutine(self._tidy()).addErrback(
            lambda failure: self._environment.log.failure("old records were not looked for", failure)
        )

    def stop(self) -> None:
        """Leave old records where they are."""
        self._running = False
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def write(self, records: Sequence[Record]) -> None:
        """Add records to the store.

        Raises:
            StoreError: when it does not take them; the same are written again later.
        """
        await self._environment.store.add(records)

    async def _tidy(self) -> None:
        self._next = None
        clock = self._environment.clock
        try:
            await self._environment.store.forget(clock.wall() - self.settings.keep_days * DAY_S, self.settings.vacuum)
        except StoreError as error:
            if self._running:
                self._environment.log.warn("old records are still in the database: {reason}", reason=str(error))
        if self._running:
            self._next = clock.callLater(TIDY_S, self.start)


plugin = SinkFactory(
    name="database",
    build=Database,
    settings=DatabaseSettings,
    doc="Keeps records in the store, where they are found again.",
)
