"""The state folder: private to its owner, one locked journal folder per running process, one place for control sockets.

Layout: ``journal/<boot-id>/`` locked by flock on the folder itself for as long as its process lives, ``control/``, and
``daemon.lock``, which one daemon holds. Several processes may use one state folder at a time: the workers of a daemon,
and during a hand-over two daemons, the second of which is given the lock of the first.

This module must not read or write what is inside a journal folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from netrunner.errors import ConfigurationError, Problem


class State:
    """One process's part of a state folder. The lock survives a fork and ends with the last process that has it.

    Args:
        folder: Absolute path; made with mode 0700 when missing, parents too.
        boot_id: Names this process's journal; never used twice.
        owner: User id the folder must belong to.

    Raises:
        ConfigurationError: when the folder cannot be made or written, or belongs to somebody else.
    """

    def __init__(self, folder: Path, boot_id: str, owner: int) -> None:
        self.folder = folder
        self.boot_id = boot_id
        self.journal = folder / "journal" / boot_id
        try:
            for part in (folder, folder / "journal", control_folder(folder)):
                _private(part, owner)
            self._lock = _locked_folder(self.journal, owner)
        except OSError as error:
            raise _problem(folder, f"cannot be used: {(error.strerror or str(error)).lower()}") from error

    def abandoned(self) -> list[Path]:
        """Return the journal folders of processes that are gone, oldest first; those that hold nothing are removed."""
        left = []
        for folder in sorted((self.folder / "journal").iterdir()):
            if folder.name.startswith(".") or folder == self.journal or not _unlocked(folder):
                continue
            try:
                folder.rmdir()
            except OSError:
                left.append(folder)
        return left

    def close(self) -> None:
        """Unlock the journal folder, and remove it if nothing was written to it."""
        with contextlib.suppress(OSError):
            self.journal.rmdir()
        os.close(self._lock)


def claim(folder: Path, given: int | None, owner: int) -> int:
    """Make a state folder, which exists, this daemon's own; return the descriptor that holds the lock.

    The lock survives a fork, and ends with the last process that has the descriptor or was given it.

    Args:
        folder: Absolute path.
        given: The lock of the daemon whose place is taken, None when there is none.
        owner: User id the lock's file is to belong to.

    Raises:
        ConfigurationError: when another daemon has it.
    """
    path = folder / "daemon.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if given is None else given
        _give(path, owner)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise _problem(folder, "is used by another netrunner that runs; --take-over PID takes its place") from None
    except OSError as error:
        raise _problem(folder, f"cannot be used: {(error.strerror or str(error)).lower()}") from error
    return lock


def control_folder(folder: Path) -> Path:
    """Return where the control sockets of a state folder are."""
    return folder / "control"


def control_path(folder: Path, pid: int) -> Path:
    """Return the path of one process's control socket."""
    return control_folder(folder) / f"{pid}.sock"


def _problem(folder: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Problem("state", f"{folder} {message}")])


def _private(folder: Path, owner: int) -> None:
    """Make ``folder`` if need be, and see that it is ours, private and writable."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give(folder, owner)
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise _problem(folder, "is not a folder")
    if found.st_uid != owner:
        raise _problem(folder, f"belongs to user {found.st_uid}, netrunner runs as user {owner}")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _problem(folder, "is not writable")


def _give(folder: Path, owner: int) -> None:
    """Hand a new folder to the user that twistd will switch to after the start."""
    if owner != os.geteuid():
        os.chown(folder, owner, -1)


def _locked_folder(folder: Path, owner: int) -> int:
    """Make a folder that nobody ever sees unlocked; return the descriptor that holds the lock."""
    hidden = folder.with_name(f".{folder.name}")
    hidden.mkdir(mode=0o700)
    _give(hidden, owner)
    descriptor = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.rename(folder)
    return descriptor


def _unlocked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
