"""Which segments may go: those that are too old, and the oldest when all together are too large.

What a required sink has not read stays; when only that is left, the journal has no room. This module must not read
what is in a segment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import msgspec

from netrunner.journal import segments

LANES = ("main", "refused")
MAX_REFUSED_SEGMENTS = 2
"""Of one folder; the refused lane holds no more."""

Reached = Callable[[str, str], int | None]
"""Up to which offset every required sink has read a lane of a folder; None if none is required."""


class Kept(msgspec.Struct):
    """One file that is there."""

    path: Path
    folder: str
    lane: str
    end: int | None
    """Offset where what holds of it ends; None for the last one of a lane, which stays while its owner lives."""
    size: int
    changed: float
    finished: bool
    """Whether nobody writes to the folder any more."""


class Room(msgspec.Struct, frozen=True):
    """What retention has left."""

    size: int
    """Bytes of all segments together."""
    crowded: bool
    """Whether that is too much, and the rest may not go."""
    deleted: int
    """Files that went."""
    free: float
    """The share of the disk that has nothing on it."""


def retain(folder: Path, max_bytes: int, oldest: float, reached: Reached, gone: set[str]) -> Room:
    """Delete what may go.

    Args:
        folder: That holds the journals' folders.
        max_bytes: Of all segments together.
        oldest: Unix time; what was last written before it goes.
        reached: Tells how far required sinks are.
        gone: Folders whose process is known to be gone; one may have started since they were looked at.
    """
    kept = _files(folder, gone)
    total = sum(one.size for one in kept)
    deleted = 0
    crowded = False
    refused = _surplus_refused(kept)
    for one in kept:
        too_old = one.changed < oldest or one.path in refused
        if not too_old and total <= max_bytes:
            continue
        if one.end is None and not one.finished:
            continue
        limit = reached(one.folder, one.lane)
        if limit is not None and (one.end is None or limit < one.end) and not (one.finished and one.end is None):
            crowded = crowded or total > max_bytes
            continue
        with contextlib.suppress(FileNotFoundError):
            os.unlink(one.path)
        total -= one.size
        deleted += 1
    _sweep_folders(folder, gone)
    disk = shutil.disk_usage(folder)
    return Room(total, crowded and total > max_bytes, deleted, disk.free / max(1, disk.total))


def _files(folder: Path, gone: set[str]) -> list[Kept]:
    """Return every segment, oldest first."""
    found = []
    for name in sorted(os.listdir(folder)):
        if name.startswith("."):
            continue
        for lane in LANES:
            there = segments.segments(folder / name, lane)
            for segment, after in zip_longest(there, there[1:]):
                with contextlib.suppress(FileNotFoundError):
                    stat = segment.path.stat()
                    end = None if after is None else after.start
                    found.append(Kept(segment.path, name, lane, end, stat.st_size, stat.st_mtime, name in gone))
    return sorted(found, key=lambda one: (one.changed, one.folder))


def _surplus_refused(kept: list[Kept]) -> set[Path]:
    by_folder: dict[str, list[Path]] = {}
    for one in kept:
        if one.lane == "refused":
            by_folder.setdefault(one.folder, []).append(one.path)
    return {path for paths in by_folder.values() for path in paths[:-MAX_REFUSED_SEGMENTS]}


def _sweep_folders(folder: Path, gone: set[str]) -> None:
    """Remove the folders of processes that are gone and of which nothing is left."""
    for name in gone:
        # Another process may be at it as well.
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(folder / name)
            if any(one.endswith(".seg") for one in names):
                continue
            for one in names:
                os.unlink(folder / name / one)
            os.rmdir(folder / name)
