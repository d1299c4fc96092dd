"""The folder of logs: two files a message, made, filled and settled by calls that may block.

``NAME.bin`` holds exactly the bytes that came, ``NAME_metadata.json`` what is known of them. The metadata is there
before the first byte and says ``"completed": false``; it is replaced when the message has ended, both times in one
step, so that it is never there in part. All of this runs in threads. "Stored" means returned from write(2): it
survives the death of this process, not a power failure.

This module must not name a file by anything but a checked id, a type and a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from netrunner.errors import ConfigurationError, Problem
from netrunner.logserver.message import Type
from netrunner.logserver.metadata import Metadata, stem

MOST_TRIES = 1000
"""How many numbers are tried for a name that others have too."""
MOST_NUMBERS = 1024
"""Names of which it is remembered which number was given last."""
MAX_METADATA_BYTES = 1 << 20
_METADATA = "_metadata.json"
_BODY = ".bin"
_OURS = re.compile(
    r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}_[0-9a-f]{8}_(?:request|response)(?:-\d+)?)(?:\.bin|_metadata\.json)"
)
"""Names of what is written here; nothing else is ever removed."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Metadata)


class File(NamedTuple):
    """One file of a message."""

    name: str
    bytes: int
    coming: bool
    """Whether more of the message is to come."""


class Folder:
    """Where the files are; one process at a time has it.

    Args:
        path: Absolute; made with mode 0700 when missing.

    Raises:
        ConfigurationError: when it cannot be used, or another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers: dict[str, int] = {}
        """The number to be tried first, by the name it is for; so that many of one name do not cost more and more."""
        self._turn = threading.Lock()
        self._coming: set[str] = set()
        """Messages that are coming, by their names; looked at and changed in turn with what makes and removes files."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _problem(f"{path} cannot be used: {error.strerror}") from error
        try:
            path.chmod(0o700)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            reason = "is used by another process" if isinstance(error, BlockingIOError) else f"{error.strerror}"
            raise _problem(f"{path}: {reason}") from error

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def open(self, id: str, type: Type, at_accept: float, at_began: float) -> Stored:
        """Make the files of a new message, under a name that nobody had.

        Raises:
            OSError: when they cannot be made; then neither is there.
        """
        wanted = stem(id, type, at_accept)
        first = self._numbers.get(wanted, 1)
        for number in range(first, first + MOST_TRIES):
            name = stem(id, type, at_accept, number)
            metadata = Metadata(id=id, type=type, file=name + _BODY, at_accept=at_accept, at_began=at_began)
            with contextlib.suppress(FileExistsError):
                stored = self._make(name, metadata)
                self._remember(wanted, number + 1)
                return stored
        raise FileExistsError(None, "every name for it is taken")

    def _remember(self, wanted: str, number: int) -> None:
        self._numbers[wanted] = number
        if len(self._numbers) > MOST_NUMBERS:
            with contextlib.suppress(KeyError, StopIteration, RuntimeError):
                # Another thread may be at it; one name more does no harm.
                del self._numbers[next(iter(self._numbers))]

    def _make(self, name: str, metadata: Metadata) -> Stored:
        # The file of the message takes the name: its metadata comes by a rename, which would overwrite another's.
        with self._turn:
            descriptor = os.open(self.path / metadata.file, _NEW, 0o600)
            self._coming.add(name)
        try:
            if os.path.lexists(self.path / (name + _METADATA)):
                raise FileExistsError(None, "its metadata is there already")
            self.replace(metadata)
        except OSError:
            os.close(descriptor)
            (self.path / metadata.file).unlink()
            self.settled(name)
            raise
        return Stored(self, metadata, descriptor)

    def settled(self, name: str) -> None:
        """Nothing more comes of the message of that name."""
        with self._turn:
            self._coming.discard(name)

    def files(self) -> list[File]:
        """Return every file of a message, those that a dead process left without their other half too."""
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                ours = _OURS.fullmatch(entry.name)
                if ours is not None:
                    with contextlib.suppress(FileNotFoundError):
                        size = entry.stat(follow_symlinks=False).st_size
                        found.append(File(entry.name, size, ours[1] in self._coming))
        return found

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of messages; those stay of which more is to come.

        Raises:
            OSError: when one cannot be.
        """
        for name in names:
            ours = _OURS.fullmatch(name)
            with self._turn:
                if ours is not None and ours[1] not in self._coming:
                    (self.path / name).unlink(missing_ok=True)

    def replace(self, metadata: Metadata) -> None:
        """Put ``metadata`` in the place of what was known before, if anything was, in one step."""
        name = metadata.file.removesuffix(_BODY) + _METADATA
        fresh = self.path / f".{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(descriptor, _encode(metadata))
        except OSError:
            fresh.unlink()
            raise
        finally:
            os.close(descriptor)
        fresh.rename(self.path / name)

    def read(self, file: str) -> Metadata | None:
        """Return what is known of the message in ``file``, None when that cannot be read."""
        return self._read(self.path / (file.removesuffix(_BODY) + _METADATA))

    def _read(self, path: Path) -> Metadata | None:
        try:
            with path.open("rb") as opened:
                found = _decoder.decode(opened.read(MAX_METADATA_BYTES))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        # Its word about another file is not taken: whatever wrote it, nothing else in the world is read for it.
        return found if found.file == path.name.removesuffix(_METADATA) + _BODY else None

    def newest(self, most: int) -> Iterator[Metadata]:
        """Yield what is known of the newest messages, oldest first, and settle what a dead process left behind.

        Nothing may be coming meanwhile: it would be taken for left behind.

        Args:
            most: How many names are looked at.
        """
        with os.scandir(self.path) as entries:
            names = heapq.nlargest(most, (name for entry in entries if (name := self._known(entry.name))))
        for name in reversed(names):
            metadata = self._read(self.path / name)
            if metadata is not None:
                yield metadata if metadata.completed or metadata.error else self._interrupted(metadata)

    def _known(self, name: str) -> str | None:
        if name.startswith(".") and name.endswith(".new"):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
            return None
        return name if name.endswith(_METADATA) else None

    def _interrupted(self, metadata: Metadata) -> Metadata:
        size = 0
        with contextlib.suppress(OSError):
            size = (self.path / metadata.file).stat().st_size
        settled = msgspec.structs.replace(
            metadata, bytes=size, error="the logging server ended while the message was coming"
        )
        with contextlib.suppress(OSError):
            self.replace(settled)
        return settled


class Stored:
    """The files of one message that is coming."""

    def __init__(self, folder: Folder, metadata: Metadata, descriptor: int) -> None:
        self.metadata = metadata
        self._folder = folder
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Append all of ``data``; raises ``OSError``."""
        write_all(self._descriptor, data)

    def settle(self, metadata: Metadata) -> None:
        """Close the message with what is known of it in the end; raises ``OSError``."""
        self._close()
        try:
            self._folder.replace(metadata)
        finally:
            self._folder.settled(metadata.file.removesuffix(_BODY))
        self.metadata = metadata

    def discard(self) -> None:
        """Remove what there is; what cannot be removed stays as incomplete."""
        self._close()
        self._folder.settled(self.metadata.file.removesuffix(_BODY))
        for name in (self.metadata.file, self.metadata.file.removesuffix(_BODY) + _METADATA):
            with contextlib.suppress(OSError):
                (self._folder.path / name).unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, in as many calls as it takes; raises ``OSError``."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _problem(message: str) -> ConfigurationError:
    return ConfigurationError([Problem("--directory", message)])
