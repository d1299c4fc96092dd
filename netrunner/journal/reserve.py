"""Room on the disk that is kept for the outcomes of what is in progress.

This module must not decide what happens when there is none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Reserve:
    """A file that takes up room until that is needed.

    Args:
        path: Of the file.
        size: Bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size
        self.held = False

    def hold(self) -> bool:
        """Take the room; return whether it is there, and as much again is free."""
        if not self.held:
            try:
                file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.posix_fallocate(file, 0, self.size)
                finally:
                    os.close(file)
                self.held = True
            except OSError:
                self.release()
                return False
        return self.is_roomy()

    def release(self) -> None:
        """Give the room to whoever needs it now."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self.held = False

    def is_roomy(self) -> bool:
        """Return whether as much as the reserve is free beside it."""
        try:
            found = os.statvfs(self._path.parent)
        except OSError:
            return False
        return found.f_bavail * found.f_frsize >= self.size
