"""A backup as a file: what is in it, and under which names.

A ZIP archive: ``manifest.json``, the tables of the database below ``database/``, and files of the state folder under
the names that they have there.

This module must not decide what is backed up or restored.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from netrunner import __version__
from netrunner.errors import StoreError
from netrunner.store.master import FILE as KEY_FILE
from netrunner.store.tables import REVISION

FORMAT = 1
MANIFEST = "manifest.json"
_TABLE = "database/{}.jsonl"
_FILES = re.compile(rf"(?:{re.escape(KEY_FILE)}|cursors/[^/.][^/]*|journal/[^/.][^/]*/[^/.][^/]*)")
"""What of a state folder may be in it."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    made_at: float
    """Unix time."""
    format: int = FORMAT
    netrunner: str = __version__
    migration: str = REVISION
    """Of the database that the rows are of."""


class Writer:
    """A new backup; a context manager that leaves a whole file, or none.

    Args:
        path: Where it is to be; nothing may be there.
        made_at: Unix time.

    Raises:
        StoreError: when it cannot be written.
    """

    def __init__(self, path: Path, made_at: float) -> None:
        self._path, self._made_at = path, made_at
        self._beside = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Self:
        with plainly(self._path):
            if self._path.exists():
                raise FileExistsError(0, "is there already")
            descriptor = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._archive.writestr(MANIFEST, msgspec.json.encode(Manifest(self._made_at)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with plainly(self._path):
                self._archive.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                if kind is None:
                    os.link(self._beside, self._path)
        finally:
            self._file.close()
            self._beside.unlink()

    def table(self, name: str, lines: Iterator[bytes]) -> None:
        """Write the rows of one table."""
        with plainly(self._path), self._archive.open(_TABLE.format(name), "w", force_zip64=True) as member:
            member.writelines(lines)

    def folder(self, state: Path, pattern: str) -> int:
        """Write what there is of the state folder by a pattern; return how many files that were.

        One that goes meanwhile is left out: the daemon that runs had no use for it any more.
        """
        found = 0
        for path in sorted(state.glob(pattern)):
            name = path.relative_to(state).as_posix()
            if not _FILES.fullmatch(name) or not path.is_file():
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as source:
                with plainly(self._path), self._archive.open(name, "w", force_zip64=True) as member:
                    shutil.copyfileobj(source, member, 1 << 20)
                found += 1
        return found


class Reader:
    """A backup that is there; a context manager.

    Raises:
        StoreError: when it is none, or was made by a netrunner whose backups this one does not know.
    """

    def __init__(self, path: Path) -> None:
        with plainly(path):
            try:
                self._archive = zipfile.ZipFile(path)
                self.manifest = msgspec.json.decode(self._archive.read(MANIFEST), type=Manifest)
            except (zipfile.BadZipFile, KeyError, msgspec.MsgspecError) as error:
                raise StoreError(f"{path} is no backup of netrunner.") from error
        if self.manifest.format > FORMAT:
            raise StoreError(f"{path} was made by a newer netrunner ({self.manifest.netrunner}).")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def check(self) -> None:
        """Read all of it.

        Raises:
            StoreError: naming the first part that is not as it was written.
        """
        try:
            wrong = self._archive.testzip()
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise StoreError("The backup is damaged.") from error
        if wrong is not None:
            raise StoreError(f"The backup is damaged: {wrong} is not as it was written.")

    def table(self, name: str) -> Iterator[bytes]:
        """Yield the rows of one table, a line each; none if it is not there."""
        if _TABLE.format(name) in self._archive.namelist():
            with self._archive.open(_TABLE.format(name)) as member:
                yield from member

    @property
    def has_key(self) -> bool:
        """Whether the master key of the state folder is in it."""
        return KEY_FILE in self._archive.namelist()

    def files(self, state: Path) -> int:
        """Write the files of the state folder into one that has none of them; return how many."""
        names = [name for name in self._archive.namelist() if _FILES.fullmatch(name)]
        for name in names:
            path = state / name
            with plainly(path):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file, self._archive.open(name) as member:
                    shutil.copyfileobj(member, file, 1 << 20)
        return len(names)


@contextlib.contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a ``StoreError``."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}.") from error
