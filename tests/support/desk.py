"""One process's feeds in memory: a sink that keeps what it is given, and a disk that is as slow as one likes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import ILogSink, IResumes
from netrunner.journal.feeds import BATCH_S, Feeds, Sink
from netrunner.journal.journal import Journal
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from tests.journal.conftest import complete


@implementer(ILogSink, IResumes)
class Keeper:
    """Keeps what it is given; fails or takes its time when told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failing = False
        self.waiting: Deferred[None] | None = None
        self.marks: list[str | None] = []
        self.begins_at: str | None = None

    def resume(self, mark: str | None) -> str | None:
        """Keep the mark, and return where it is told to begin."""
        self.marks.append(mark)
        return self.begins_at

    async def write(self, records: Sequence[Record]) -> str:
        """Keep the ends of the records' ids; the mark tells the last one."""
        if self.failing:
            raise ValueError("not today")
        if self.waiting is not None:
            await self.waiting
        self.batches.append([record.id[-2:] for record in records])
        return f"after {records[-1].id[-2:]}"

    @property
    def all(self) -> list[str]:
        """All it was given, batches apart or not."""
        return [id for batch in self.batches for id in batch]


class Disk:
    """A thread that writes when told to; it stands for the reactor too."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def callInThreadWithCallback(
        self, done: Callable[[bool, Any], None], write: Callable[..., Any], *args: Any
    ) -> None:
        """Keep for ``write`` what a thread is to do."""
        self._waiting.append(lambda: done(True, write(*args)))

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        """Call at once."""
        function(*args)

    def write(self) -> None:
        """Do what waits."""
        while self._waiting:
            self._waiting.pop(0)()


class Desk:
    """One process's feeds, and a sink for them.

    Args:
        state: The state folder.
        journal: Of the process.
        clock: Time.
        disk: Where cursors are written; at once when not given.
    """

    def __init__(self, state: Path, journal: Journal, clock: FakeClock, disk: Disk | None = None) -> None:
        self.clock = clock
        self.journal = journal
        self.feeds = Feeds(state, journal, clock, random.Random(0), disk, disk)
        journal.on_record = self.feeds.wake
        self.keeper = Keeper()

    def start(self, required: bool = False) -> Desk:
        """Feed the sink; return itself."""
        self.feeds.start([Sink("keeper", self.keeper, required)])
        return self

    def record(self, *numbers: int) -> None:
        """Write records into the journal, in one turn."""
        for number in numbers:
            complete(self.journal, number)
        self.journal.commit()

    def pass_time(self, seconds: float = BATCH_S) -> None:
        """Let time pass, a little at a time."""
        self.clock.pump([0.05] * round(seconds / 0.05))

    def stop(self) -> None:
        """End as a process does that is told to."""
        self.journal.commit()
        self.feeds.stop(5.0)
