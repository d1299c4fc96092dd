"""Where master keys come from: the configuration, or a private file in the state folder that is made when missing.

The file has a key a line: the first seals, those after it only open what they sealed before a rotation.

This module must not run on the reactor's thread.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from netrunner.errors import StoreError
from netrunner.settings import Secret
from netrunner.store.sealing import KEY_BYTES, Keyring, MasterKey

FILE = "secret.key"
"""Name of the file in the state folder."""


def keyring(key: Secret | None, previous: Sequence[Secret], state_folder: Path) -> Keyring:
    """Return the master keys at hand.

    Args:
        key: The setting ``secrets.key``; without it the file is read, or made.
        previous: The setting ``secrets.previous``.
        state_folder: Holds the file.

    Raises:
        StoreError: when one of them is no key, or the file is not its owner's alone.
    """

    def found() -> list[MasterKey]:
        texts = [key.reveal()] if key is not None else _file_of(state_folder / FILE)
        try:
            return [MasterKey.of_text(text) for text in [*texts, *(one.reveal() for one in previous)]]
        except ValueError as error:
            raise StoreError(f"A master key was expected to be {error}.") from None

    # The file may have been renewed since; what is configured comes with a reload.
    return Keyring(found(), secrets.token_bytes, found if key is None else None)


def renew(state_folder: Path) -> None:
    """Put a new key before those of the file; whoever reads it sees the old file or the new one.

    Raises:
        StoreError: when the file cannot be read or written.
    """
    path = state_folder / FILE
    texts = [_new(), *_file_of(path)]
    beside = path.with_suffix(".new")
    with _plainly(path):
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        _write(beside, "".join(f"{text}\n" for text in texts))
        beside.rename(path)
        # What is sealed by the new key must not outlive it.
        _settle(state_folder)


def _file_of(path: Path) -> list[str]:
    with _plainly(path):
        if not path.exists():
            # Whole or not at all, and never in the place of one that somebody else has made meanwhile.
            beside = path.with_suffix(f".{os.getpid()}")
            _write(beside, f"{_new()}\n")
            with contextlib.suppress(FileExistsError):
                os.link(beside, path)
            beside.unlink()
            _settle(path.parent)
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise StoreError(f"{path} may be read by others: its owner alone should (chmod 600).")
            texts = file.read().split()
    if not texts:
        raise StoreError(f"{path} holds no key.")
    return texts


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise StoreError(f"{path} cannot be used: {getattr(error, 'strerror', None) or 'it is not ASCII'}.") from error


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """See that the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")
