"""Files that lines are appended to: a batch of lines is in the file as a whole or not at all.

A file that was renamed or removed by whoever rotates it is made anew; one that was cut short in place is simply
appended to.

This module must not know what a line says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

_BLOCK = 65536
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON lets stand in a string though some reader ends a line there, or a terminal obeys it."""


class LineFile:
    """A file that lines are appended to; a new one is readable and writable for its owner only.

    Args:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def open(self) -> int:
        """Return the descriptor of the file; opened when it is not, and then a torn last line is cut off."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, _FLAGS, 0o600)
            _mend(self._descriptor)
        return self._descriptor

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def follow(self) -> None:
        """See to it that what is open is what ``path`` names: somebody may have renamed it."""
        if self._descriptor is not None and not _is_at(self._descriptor, self.path):
            self.close()

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self.open()).st_size

    def append(self, data: bytes) -> None:
        """Append whole lines with one write.

        Raises:
            OSError: if the file takes less than all of it; what it took is cut off again.
        """
        self.follow()
        descriptor, before = self.open(), self.size()
        written = 0
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(f"{self.path} took {written} of {len(data)} bytes")
        finally:
            if written < len(data):
                os.ftruncate(descriptor, before)

    def rotate(self, keep: int) -> None:
        """Begin a new file; ``keep`` older ones stay, as ``path.1`` and so on."""
        self.close()
        if not keep:
            os.unlink(self.path)
            return
        for number in range(keep - 1, 0, -1):
            if os.path.exists(older(self.path, number)):
                os.replace(older(self.path, number), older(self.path, number + 1))
        os.replace(self.path, older(self.path, 1))


def older(path: str, number: int) -> str:
    """Return what a file is called after so many rotations."""
    return f"{path}.{number}"


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Keep other processes that ask the same from a file, which is made if need be; waits for them, so in a thread.

    Raises:
        OSError: when it can be neither opened nor made.
    """
    while True:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                yield
                return
            # Whoever had it before has begun a new one.
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether ``path`` names what is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _mend(descriptor: int) -> None:
    """Cut a file off after its last line end."""
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def one_line(document: bytes) -> bytes:
    """Return JSON with everything escaped that could end a line or turn a terminal's head; it means the same.

    Args:
        document: One JSON document, or several, one a line: line feeds are left alone.
    """
    if document.isascii():
        return document
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode()).encode()
