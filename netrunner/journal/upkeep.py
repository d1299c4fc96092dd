"""What is done for the journals of a state folder now and then, by a thread: recovery and retention.

This module must not run on the reactor's thread.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.logger import Logger

from netrunner.journal.recovery import is_ended, recover
from netrunner.journal.retention import Reached, Room, retain

_log = Logger()


class Upkept(msgspec.Struct):
    """What was done."""

    interrupted: int = 0
    damaged_bytes: int = 0
    recovered: int = 0
    """Journals brought to their end."""
    room: Room | None = None


def keep_up(
    folder: Path,
    own: str,
    max_bytes: int,
    oldest: float,
    reached: Reached,
    wall: Callable[[], float],
    bits: Callable[[int], int],
) -> Upkept:
    """Recover the journals of processes that are gone, then delete what may go.

    Args:
        folder: That holds the journals' folders.
        own: The folder of this process.
        max_bytes, oldest, reached: See ``retain``.
        wall: Tells Unix time.
        bits: Gives random integers.
    """
    done = Upkept()
    gone = set()
    for name in sorted(os.listdir(folder)):
        if name.startswith(".") or name == own:
            continue
        lock = _claim(folder / name)
        if lock is None:
            continue
        gone.add(name)
        try:
            _recover(folder / name, wall, bits, done)
        finally:
            os.close(lock)
    done.room = retain(folder, max_bytes, oldest, reached, gone)
    return done


def is_live(folder: Path) -> bool:
    """Return whether the process that writes a journal lives, or somebody looks after it."""
    lock = _claim(folder)
    if lock is not None:
        os.close(lock)
    return lock is None


def _claim(folder: Path) -> int | None:
    """Lock a folder; None if its process lives, or somebody else looks after it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _recover(folder: Path, wall: Callable[[], float], bits: Callable[[int], int], done: Upkept) -> None:
    try:
        if is_ended(folder):
            return
        found = recover(folder, wall, bits)
    except OSError as error:
        _log.error("the journal {name} could not be recovered: {error}", name=folder.name, error=error)
        return
    done.recovered += 1
    done.interrupted += found.interrupted
    done.damaged_bytes += found.damaged_bytes
    _log.info(
        "the journal {name} was recovered: {interrupted} exchanges were open, {torn} bytes torn, {damaged} damaged",
        name=folder.name,
        interrupted=found.interrupted,
        torn=found.torn_bytes,
        damaged=found.damaged_bytes,
    )
