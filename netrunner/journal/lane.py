"""Writing one lane: frames are collected, and leave with one write and a seal over them.

What could not be written stays collected and is tried again: its offsets are settled, since others refer to them. After
a failure the file is cut back to where it was; where that fails too, a new file begins at the same offset and takes the
place of what came behind it.

This module must not know what frames mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from netrunner.journal import frames, segments
from netrunner.journal.frames import Kind, header

MAX_WRITE_BYTES = 1 << 24
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write took."""

    start: int
    salt: int
    before: bytes
    """The chain's digest of what came before it."""
    data: bytes


class Lane:
    """One lane of the journal that this process writes.

    Args:
        folder: Where the files are.
        name: Of the lane.
        segment_bytes: Size at which a new file begins.
        wall: Tells Unix time.
        bits: Gives random integers.
        in_progress: Returns what the first frame of each new file tells beside the count of records.
        start: Offset at which to begin.
        digest: The chain's, of what came before.
        records: OUTCOMEs that came before.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        segment_bytes: int,
        wall: Callable[[], float],
        bits: Callable[[int], int],
        in_progress: Callable[[], Sequence[Any]] = tuple,
        start: int = 0,
        digest: bytes = bytes(32),
        records: int = 0,
    ) -> None:
        self.folder = folder
        self.name = name
        self.segment_bytes = segment_bytes
        self.offset = start
        """Of the next frame."""
        self.written = start
        """Everything before is in a file."""
        self.begun = start
        """Where the current file begins."""
        self._wall, self._bits, self._in_progress = wall, bits, in_progress
        self.records = records
        """OUTCOMEs so far."""
        self.waiting: list[bytes] = []
        """What is collected."""
        self._digest = digest
        self._salt: int | None = None
        """Of the file that what is collected goes to; None until the first frame for it comes."""
        self._sequence = max((one.sequence for one in segments.segments(folder, name)), default=-1) + 1
        self._file: int | None = None
        self.keeps_unconfirmed = False
        """Whether what is written is kept until ``confirm`` says that it is on the disk."""
        self._unconfirmed: list[Batch] = []
        self._broken = False
        """The file may hold something behind ``written`` that cannot be cut off."""

    @property
    def descriptor(self) -> int | None:
        """Of the current file."""
        return self._file

    def begin(self) -> int:
        """Return the offset that the next frame will have."""
        if self._salt is None:
            self._salt = self._bits(32)
            self.append(Kind.CHECKPOINT, _encode([self.records, self._in_progress()]))
        return self.offset

    def append(self, kind: int, payload: bytes) -> int:
        """Collect a frame; return its offset."""
        if self._salt is None:
            self.begin()
        assert self._salt is not None
        offset = self.offset
        self.waiting += (header(kind, payload, self._salt), payload)
        self.offset = offset + frames.OVERHEAD + len(payload)
        return offset

    def skip(self) -> None:
        """Count a record that is not written."""
        if self._salt is not None:
            self.commit()
            self._next_file()
        self.offset += 1
        self.written = self.begun = self.offset
        self.records += 1

    def commit(self) -> None:
        """Write what is collected, sealed.

        Raises:
            OSError: when it cannot be written; it stays collected.
        """
        if not self.waiting:
            return
        assert self._salt is not None
        if self._file is None or self._broken:
            self._replace_file()
        data = b"".join(self.waiting)
        digest = sha256(self._digest + data).digest()
        seal = header(Kind.SEAL, digest, self._salt) + digest
        self._write(data + seal)
        if self.keeps_unconfirmed:
            self._unconfirmed.append(Batch(self.written, self._salt, self._digest, data + seal))
        self._digest = digest
        self.waiting.clear()
        self.offset += len(seal)
        self.written = self.offset
        if self.written - self.begun >= self.segment_bytes:
            self._next_file()

    def close(self) -> None:
        """Write what is collected and the end, and close the file.

        Raises:
            OSError: when that cannot be written.
        """
        try:
            if self._salt is not None or self._file is not None:
                self.append(Kind.END, b"")
                self.commit()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def distrust(self) -> None:
        """Write no more to the current file: it may have lost what it took. A new one begins at the next commit."""
        self._broken = True

    def confirm(self, offset: int) -> None:
        """Take note that everything before ``offset`` is on the disk."""
        self._unconfirmed = [one for one in self._unconfirmed if one.start >= offset]

    def rewrite(self) -> None:
        """Write what is not confirmed once more, to new files, and to the disk.

        Raises:
            OSError: when that fails too.
        """
        batches, self._unconfirmed = self._unconfirmed, []
        written, salt, digest = self.written, self._salt, self._digest
        self.abandon()
        try:
            for batch in batches:
                if self._file is None or batch.salt != self._salt:
                    self.abandon()
                    self._salt, self._digest = batch.salt, batch.before
                    self._open(batch.start, batch.salt)
                self.written = batch.start
                self._write(batch.data)
            if self._file is not None:
                os.fdatasync(self._file)
        finally:
            if salt != self._salt:
                self.abandon()
            self.written, self._salt, self._digest = written, salt, digest

    def _next_file(self) -> None:
        self.abandon()
        self._salt = None
        self.begun = self.written

    def _replace_file(self) -> None:
        """Go on in a new file from what is written; what is collected keeps its offsets."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        # The salt stays, since it is in the checksums of what is collected.
        self._open(self.written, self._salt or 0)
        self._broken = False

    def _open(self, start: int, salt: int) -> None:
        path = self.folder / segments.name(self.name, start, self._sequence, salt)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            block = segments.BLOCK.pack(segments.VERSION, start, self._wall(), self._digest)
            if os.write(file, block) != len(block):
                raise OSError(28, "no room for the beginning of a segment")
        except OSError:
            os.close(file)
            os.unlink(path)
            raise
        self._sequence += 1
        self._file = file
        self.begun = start

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        done = 0
        try:
            while done < len(data):
                done += os.write(self._file, memoryview(data)[done : done + MAX_WRITE_BYTES])
        except OSError:
            self._undo()
            raise

    def _undo(self) -> None:
        assert self._file is not None
        at = segments.BLOCK.size + self.written - self.begun
        try:
            os.ftruncate(self._file, at)
            os.lseek(self._file, at, os.SEEK_SET)
        except OSError:
            self._broken = True
