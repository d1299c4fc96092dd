"""The journal of this process: what leaves is written here first.

What a turn of the reactor brings is collected, and at its end made into frames and written, before any socket is: see
``http.flush.Flush.precede``. With ``durability: disk`` what the turn wanted to send waits until they are on the disk.

Two lanes: ``main`` holds exchanges and their bodies; ``refused`` what was refused before anybody was asked, capped, and
only counted where it comes too fast.

This module must not know who reads.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.errors import Overloaded
from netrunner.interfaces import IClock
from netrunner.journal import frames
from netrunner.journal.entry import Entry
from netrunner.journal.frames import NOWHERE, Kind
from netrunner.journal.lane import Lane
from netrunner.journal.reserve import Reserve
from netrunner.journal.sync import Syncer
from netrunner.journal.tail import Tail
from netrunner.values import MessageHead, Record

TICK_S = 1.0
"""How often held pieces are written, and the room is looked at."""
MAX_REFUSED_PER_S = 100
MAX_REFUSED_BYTES = 8 << 20
"""At which the refused lane begins a new file; two are kept."""
SMALL_BYTES = 1024
"""Kept in reserve for each exchange that may be in progress."""
MAIN, REFUSED = "main", "refused"

_encode = msgspec.msgpack.Encoder().encode
_log = Logger()


def _nothing() -> None:
    """Nobody reads."""


class Gate(Protocol):
    """Whoever holds back what is to be sent."""

    def safe(self, token: int) -> None:
        """What came before ``token`` is safe."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal is kept; see ``JournalSettings``."""

    off: bool = False
    """Whether nothing is written: readers are served from memory, and what they have not read dies with the process."""
    disk: bool = False
    """Whether what is written has to reach the disk."""
    refuse: bool = True
    """Whether a request that cannot be recorded is refused."""
    keep_bytes: int | None = None
    """Of each body; None for all of it."""
    messages: bool = True
    """Whether heads and bodies are recorded at all."""
    segment_bytes: int = 67108864


class Journal:
    """Writes what happens.

    Args:
        folder: Of this process, locked.
        policy: How it is kept.
        clock: Time.
        bits: Gives random integers.
        reserve_bytes: Room kept for the outcomes of what is in progress.
        reactor: For the thread that syncs; None in a test that has ``disk`` off.
    """

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        clock: IClock,
        bits: Callable[[int], int],
        reserve_bytes: int = 1 << 20,
        reactor: Any = None,
    ) -> None:
        self.folder_name = folder.name
        self.folder = folder
        self._clock = clock
        self.lane = Lane(folder, MAIN, policy.segment_bytes, clock.wall, bits, self._in_progress)
        self._refused = Lane(folder, REFUSED, MAX_REFUSED_BYTES, clock.wall, bits)
        self.lanes = {MAIN: self.lane, REFUSED: self._refused}
        self.tails = {MAIN: Tail(), REFUSED: Tail()}
        self._reserve = Reserve(folder / "reserve", reserve_bytes)
        self.full = False
        """No room on the disk: the reserve is in use."""
        self.crowded = False
        """``max_bytes`` are held by what a required sink has not read; set by the retention."""
        self.counts: Counter[str] = Counter()
        self._numbers = 0
        self._open: dict[int, Entry] = {}
        self.due: list[Entry] = []
        """Those that have something to write at the end of this turn."""
        self.holding: set[Entry] = set()
        """Those that hold something of a message, which is written within a tick."""
        self._tick: IDelayedCall | None = None
        self._second = 0
        self._refused_now = 0
        self._unnamed: Counter[str] = Counter()
        self.gate: Gate | None = None
        self.on_record: Callable[[], None] = _nothing
        """Called for each record."""
        self._syncer = Syncer(reactor, self._synced)
        self._to_sync = False
        self._asked = 0
        self._failed = False
        self.apply(policy)

    def apply(self, policy: Policy) -> None:
        """Keep to another policy from now on."""
        self._policy = policy
        self.lane.keeps_unconfirmed = policy.disk
        self.messages = policy.messages
        self.keep_bytes = policy.keep_bytes if policy.messages else 0
        self.lane.segment_bytes = policy.segment_bytes

    def start(self) -> None:
        """Take the reserve, and begin to look after it."""
        self._look()

    def stop(self) -> None:
        """Write everything that is left, and the end."""
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        self._append_due()
        self._flush_held()
        self._tell_refusals()
        self._reserve.release()
        self._syncer.stop()
        for lane in self.lanes.values():
            try:
                lane.close()
            except OSError as error:
                _log.error("the journal could not be closed: {error}", error=error)

    # What exchanges ask.

    def begin(
        self,
        record: Callable[[], Record],
        lost: Callable[[], None],
        head: Callable[[], MessageHead],
        body: bytes,
        told: bytes,
    ) -> Entry | None:
        """Take note that an exchange is about to call its provider; its INTENT is written before anything leaves.

        Args:
            record: Returns the record, before its end as it would be if the process died now.
            lost: Called instead, before anything leaves, when it turns out that it cannot be written.
            head: Returns the head of the request, credentials masked; not asked for one that is not recorded.
            body: Of the request as it is; empty if it is still to come.
            told: The same as it may be recorded.

        Returns:
            What its messages and its end are told to; None if it goes unrecorded (``on_full: drop``).

        Raises:
            Overloaded: ``journal_full``.
        """
        if self._policy.off:
            return None
        if self.full or self.crowded:
            if not self._policy.refuse:
                return None
            self.counts["refused"] += 1
            raise Overloaded("The record of requests is full.", code="journal_full", retry_after_s=5)
        self._numbers = number = self._numbers + 1
        self._open[number] = entry = Entry(self, number, lost, record, head, body, told)
        self.due.append(entry)
        return entry

    def ended(self, record: Record, refused: bool) -> None:
        """Append the record of an exchange that has no INTENT."""
        if self._policy.off:
            self.lane.skip()
            self.tails[MAIN].add(self.lane.offset, record)
            self.on_record()
            return
        if not refused:
            if (self.full or self.crowded) and not self._policy.refuse:
                self.counts["unrecorded"] += 1
                return
            self.lane.append(Kind.OUTCOME, frames.entry(0, _encode(record)))
            self.lane.records += 1
            self.tails[MAIN].add(self.lane.offset, record)
            self.on_record()
            return
        second = int(self._clock.seconds())
        if second != self._second:
            self._tell_refusals()
            self._second, self._refused_now = second, 0
        self._refused_now += 1
        if self._refused_now > MAX_REFUSED_PER_S:
            self._unnamed[record.error or "unknown"] += 1
            self.counts["refusals_aggregated"] += 1
            return
        self._refused.append(Kind.OUTCOME, frames.entry(0, _encode(record)))
        self._refused.records += 1
        self.tails[REFUSED].add(self._refused.offset, record)
        self.on_record()

    def _tell_refusals(self) -> None:
        if self._unnamed:
            self._refused.append(Kind.REFUSALS, _encode({"at": self._clock.wall(), "counts": dict(self._unnamed)}))
            self._unnamed.clear()

    # What entries ask.

    def finished(self, entry: Entry, record: Record) -> None:
        """Take the record of an exchange whose OUTCOME was just appended."""
        self._open.pop(entry.number, None)
        self.holding.discard(entry)
        self.lane.records += 1
        self.tails[MAIN].add(self.lane.offset, record)
        self.on_record()

    # The end of a turn.

    def commit(self) -> int:
        """Write what this turn has collected.

        Returns:
            0 when everything is safe; otherwise a token: ``gate.safe`` is called with it, or a later one, when it is.
        """
        if not (self.due or self.lane.waiting or self._refused.waiting or self._to_sync):
            return 0  # as in most turns, and twice in each
        due = self._append_due()
        if self.lane.waiting:
            self._write(self.lane)
            self._settle(due)
        if self._refused.waiting:
            self._write(self._refused)
        if not self._to_sync or not self._policy.disk or self._failed:
            self._to_sync = False
            return 0
        self._to_sync = False
        descriptor = self.lane.descriptor
        if descriptor is None:
            return 0
        self._asked = self.lane.written
        self._syncer.ask(descriptor, self._asked)
        return self._asked

    def commit_now(self) -> None:
        """Write what this turn has collected, and wait for the disk if need be."""
        due = self._append_due()
        if not self.lane.waiting and not self._to_sync:
            return
        self._write(self.lane)
        self._settle(due)
        if self._policy.disk and self.lane.descriptor is not None:
            try:
                os.fdatasync(self.lane.descriptor)
            except OSError as error:
                self._sync_failed(error)
            else:
                self.lane.confirm(self.lane.written)

    def _write(self, lane: Lane) -> None:
        """Write what a lane has collected; what cannot be written stays, and the journal is full."""
        try:
            lane.commit()
            self._failed = False
            return
        except OSError as error:
            self.counts["write_errors"] += 1
            _log.error("the journal could not be written: {error}", error=error)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                # Whatever it is may be of this file alone.
                lane.distrust()
        self._reserve.release()
        try:
            lane.commit()
            self._failed = False
        except OSError as error:
            self.counts["write_errors"] += 1
            self._failed = True
            _log.error("nor after giving the reserve back: {error}", error=error)
        if self._failed or not self._reserve.hold():
            self._fill()

    def _append_due(self) -> list[Entry]:
        """Make frames of what this turn has brought; return whose they are."""
        due = self.due
        if not due:
            return due
        for entry in due:  # one that is lost ends its exchange, which is due again then
            try:
                entry.write()
            except Exception:  # noqa: BLE001 - the border to what plugins put into a record: the others' are written
                _log.failure("the record of an exchange cannot be written")
                self._unwritable(entry)
        self.due = []
        self._to_sync = True
        return due

    def _unwritable(self, entry: Entry) -> None:
        self.counts["unrecorded"] += 1
        if entry.intent == NOWHERE:
            self._open.pop(entry.number, None)
            self.holding.discard(entry)
        self._lose(entry)

    def _settle(self, due: list[Entry]) -> None:
        for entry in due:
            if self._failed and self._policy.refuse:
                self._lose(entry)
            entry.lost = None

    def _lose(self, entry: Entry) -> None:
        lost, entry.lost = entry.lost, None
        if lost is not None:
            lost()

    def _fill(self) -> None:
        if not self.full:
            self.full = True
            self._reserve.release()
            _log.error("the disk has no room for the journal: requests are {what}", what=self._consequence())

    def _consequence(self) -> str:
        return "refused" if self._policy.refuse else "not recorded"

    # The disk.

    def _synced(self, offset: int, failure: OSError | None) -> None:
        if failure is not None:
            self._sync_failed(failure)
        else:
            self.lane.confirm(offset)
        if self.gate is not None:
            self.gate.safe(offset if failure is None else self._asked)

    def _sync_failed(self, error: OSError) -> None:
        """Write everything since to a new file: what the old one took may be lost, and asking again tells nothing."""
        self.counts["sync_errors"] += 1
        _log.error("the journal could not be synced: {error}", error=error)
        try:
            self.lane.rewrite()
        except OSError as another:
            self.counts["sync_errors"] += 1
            _log.error("nor be written to another file: {error}", error=another)
            self._fill()

    # Now and then.

    def _look(self) -> None:
        self._tick = self._clock.callLater(TICK_S, self._look)
        self._flush_held()
        if self._refused_now > MAX_REFUSED_PER_S and int(self._clock.seconds()) != self._second:
            self._tell_refusals()
        if self._failed and self.lane.waiting:
            self._write(self.lane)
        if self._reserve.hold():
            if self.full and not self._failed:
                self.full = False
                _log.info("the journal has room again")
        else:
            self._fill()

    def _flush_held(self) -> None:
        holding, self.holding = self.holding, set()
        for entry in holding:
            entry.flush()

    def _in_progress(self) -> list[tuple[Any, ...]]:
        """Return where everything that is open is to be found: number, INTENT, and both messages."""
        begun = (entry for entry in self._open.values() if entry.intent != NOWHERE)
        return [(entry.number, entry.intent, *entry.places()) for entry in begun]
