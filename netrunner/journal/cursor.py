"""How far a sink has come: a small file, replaced as a whole.

A cursor that is behind costs a repetition, never a loss; so it is written now and then, by a thread.

This module must not read the journal.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Position(msgspec.Struct):
    """A place in one lane."""

    offset: int = 0
    records: int = 0
    """How many records come before it."""


class Cursor(msgspec.Struct):
    """Places by folder and lane; ``since`` is the folder at which it began, earlier ones are done."""

    since: str
    places: dict[str, dict[str, Position]] = {}
    mark: str | None = None
    """What the sink gave to be kept."""

    def at(self, folder: str, lane: str) -> Position | None:
        """Return the place in a lane, made at its beginning; None if the folder is done."""
        if folder < self.since and folder not in self.places:
            return None
        return self.places.setdefault(folder, {}).setdefault(lane, Position())

    def forget(self, folders: set[str]) -> None:
        """Forget the places in folders that are gone; ``folders`` are those there are."""
        for folder in self.places.keys() - folders:
            del self.places[folder]

    def encoded(self) -> bytes:
        """Return it as it is written."""
        return msgspec.json.encode(self)


def read(path: Path) -> Cursor | None:
    """Return the cursor in a file, None if there is none.

    Raises:
        ValueError: when it is no cursor.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return None


def write(path: Path, data: bytes) -> None:
    """Replace the file; it is on the disk when this returns.

    Raises:
        OSError: when that fails; the old one then stays.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
