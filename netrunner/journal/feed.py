"""One sink's way through the journal: batches from where it left off, in order, again until it has taken them.

Sinks fail open: one that raises, hangs or falls behind touches nothing else. What the journal has deleted before it was
read is counted as dropped.

This module must not know what a sink does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.errors import NetrunnerError
from netrunner.interfaces import IClock, ILogSink, IResumes
from netrunner.journal.cursor import Cursor, Position
from netrunner.journal.journal import Journal
from netrunner.journal.records import walk
from netrunner.journal.segments import Reader
from netrunner.values import Record

MAX_BATCH = 1000
MAX_STEP_BYTES = 8 << 20
"""Read of a lane before the reactor has its turn."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LANES = ("main", "refused")


class Feed:
    """What one sink is given.

    Args:
        name: Of the sink in the configuration.
        sink: Takes records.
        cursor: Where it left off.
        folder: That holds the journals' folders.
        journal: Of this process.
        clock: Times batches and pauses.
        chance: For the length of pauses.
        moved: Called when the cursor has moved.
        required: Whether the journal keeps what it has not read.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        sink: ILogSink,
        cursor: Cursor,
        folder: Path,
        journal: Journal,
        clock: IClock,
        chance: random.Random,
        moved: Callable[[], None],
        required: bool = False,
    ) -> None:
        self.name = name
        self.sink = sink
        self.cursor = cursor
        self.required = required
        self.dropped = 0
        """Records that were deleted before it read them."""
        self.damaged = 0
        """Bytes of the journal it could not read."""
        self.failures = 0
        """In a row; 0 while all is well."""
        self.written = 0
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._moved = moved
        self._readers: dict[tuple[str, str], Reader] = {}
        self._finished: set[tuple[str, str]] = set()
        """Lanes of others that were read to their end."""
        self._others: tuple[str, ...] = ()
        self._working: Deferred[None] | None = None
        self._call: IDelayedCall | None = None
        self._stopped = False
        self._given_up = False

    def resume(self) -> bool:
        """Tell the sink where it left off; return whether the cursor has to be written before it is given anything."""
        if IResumes.providedBy(self.sink):
            try:
                mark = self.sink.resume(self.cursor.mark)
            except Exception as error:  # noqa: BLE001 - the border to a sink: whatever it raises stays here
                self._tell(error, "could not go on where it was")
                return False
            if mark is not None and mark != self.cursor.mark:
                self.cursor.mark = mark
                return True
        return False

    def look_at(self, others: Sequence[str]) -> None:
        """Read the journals of ``others`` too, those of processes that are gone and of those that still write."""
        self._others = tuple(sorted(others))
        for key in [key for key in self._readers if key[0] not in others and key[0] != self._journal.folder_name]:
            self._readers.pop(key).close()
        self.wake()

    def wake(self) -> None:
        """Something was recorded: hand it over, unless it is being done or waits for a pause to end."""
        if self._call is None and self._working is None and not self._stopped:
            self._begin()

    @property
    def lag(self) -> int:
        """How many records of this process wait for it."""
        here = self.cursor.places.get(self._journal.folder_name, {})
        return sum(
            lane.records - (here[name].records if name in here else 0) for name, lane in self._journal.lanes.items()
        )

    def finish(self) -> Deferred[None]:
        """Hand over what is left, and no more after that; fire when it is written or has failed.

        Who cancels it gives the sink up: what it has not taken by then is left to whoever feeds it next.
        """
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        done = self._working if self._working is not None else succeed(None)
        finished: Deferred[None] = Deferred(lambda _: self._give_up())
        done.addBoth(lambda _: None)
        done.addCallback(lambda _: None if self._given_up else self._run(last=True))
        done.addBoth(lambda _: self._end(finished))
        return finished

    def _end(self, finished: Deferred[None]) -> None:
        if not self._given_up:
            self._close()
            finished.callback(None)

    def _give_up(self) -> None:
        self.log.error("the sink {sink} did not take its last records in time; they are kept", sink=self.name)
        self._given_up = True
        self._close()

    def _close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _begin(self) -> None:
        self._call = None
        working = self._run(last=False)
        if not working.called:
            self._working = working
            working.addBoth(self._done)

    def _done(self, _: object) -> None:
        self._working = None

    def _run(self, last: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._hand_over(last))

    async def _hand_over(self, last: bool) -> None:
        """Hand over batches until nothing is left, the sink fails or is given up."""
        while True:
            records, places = self._collect()
            if not places:
                return
            if records:
                try:
                    mark = await self.sink.write(records)
                except Exception as error:  # noqa: BLE001 - the border to a sink: whatever it raises stays here
                    self._failed(len(records), last, error)
                    return
                if self._given_up:
                    # Another feed moves the cursor by now; this batch comes again.
                    return
                self.written += len(records)
                if mark is not None:
                    self.cursor.mark = mark
            self.failures = 0
            for (folder, lane), place in places.items():
                self.cursor.places.setdefault(folder, {})[lane] = place
            self._moved()
            if self._stopped and not last:
                return

    def _failed(self, count: int, last: bool, error: Exception) -> None:
        self.failures += 1
        # What was read to its end just now is read again.
        self._finished.clear()
        if self.failures == 1 or self.failures % 60 == 0:
            self._tell(error, f"did not take {count} records; they are kept")
        if not self._stopped and not last:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures - 1, 10))
            self._call = self._clock.callLater(pause_s * self._chance.uniform(0.75, 1.25), self._begin)

    def _tell(self, error: Exception, what: str) -> None:
        """Log what a sink raised: in a line if somebody is away or full, with its place if it is a fault."""
        if isinstance(error, NetrunnerError | OSError):
            self.log.error("the sink {sink} {what}: {error}", sink=self.name, what=what, error=error)
        else:
            self.log.failure("the sink {sink} {what}", sink=self.name, what=what)

    # Collecting.

    def _collect(self) -> tuple[list[Record], dict[tuple[str, str], Position]]:
        """Return the next records, and where in each lane they end."""
        records: list[Record] = []
        places: dict[tuple[str, str], Position] = {}
        for folder in (*self._others, self._journal.folder_name):
            for lane in LANES:
                room = MAX_BATCH - len(records)
                place = self.cursor.at(folder, lane) if room else None
                if place is None or (folder, lane) in self._finished:
                    continue
                found, after = self._next(folder, lane, place, room)
                records += found
                if after.offset != place.offset:
                    places[folder, lane] = after
        return records, places

    def _next(self, folder: str, lane: str, place: Position, most: int) -> tuple[list[Record], Position]:
        limit: int | None = None
        if folder == self._journal.folder_name:
            limit, tail = self._journal.lanes[lane].written, self._journal.tails[lane]
            if place.offset >= tail.begin:
                records, end = tail.after(place.offset, limit, most)
                return records, Position(end, place.records + len(records))
            if place.offset >= limit:
                return [], place
        return self._read(folder, lane, place, most, limit)

    def _read(
        self, folder: str, lane: str, place: Position, most: int, limit: int | None
    ) -> tuple[list[Record], Position]:
        """Read records from files, up to ``most`` of them, ``MAX_STEP_BYTES`` and ``limit``."""
        reader = self._readers.get((folder, lane))
        if reader is None:
            reader = self._readers[folder, lane] = Reader(self._folder / folder, lane)
        else:
            reader.refresh()
        records: list[Record] = []
        after = msgspec.structs.replace(place)
        for step in walk(reader, place.offset):
            if limit is not None and step.end > limit:
                break
            after.offset = step.end
            if step.last and limit is None:
                self._finished.add((folder, lane))
            self.damaged += step.damaged
            if step.counted is not None and step.counted != after.records:
                self.dropped += max(0, step.counted - after.records)
                after.records = step.counted
            if step.record is not None:
                records.append(step.record)
                after.records += 1
            if len(records) >= most or after.offset - place.offset >= MAX_STEP_BYTES:
                break
        return records, after


def summary(feed: Feed) -> dict[str, Any]:
    """Return how a sink fares, for the control socket, pages and metrics."""
    return {
        "name": feed.name,
        "lag": feed.lag,
        "dropped": feed.dropped,
        "damaged_bytes": feed.damaged,
        "failures": feed.failures,
        "written": feed.written,
        "required": feed.required,
    }
