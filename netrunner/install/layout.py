"""The folder that netrunner is installed in: releases beside each other, and links to the one in use and the last.

::

    PREFIX/releases/0.2.0/     one release: its virtual environment, and in units/ systemd's units as they go in place
    PREFIX/current             the release that serves, and that a start or an upgrade takes
    PREFIX/previous            the one that served before it
    PREFIX/tools/              pip, which makes releases
    PREFIX/run/, PREFIX/log/   pid file and log file where systemd keeps neither

This module must not start or end a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netrunner.install.failure import Refused

_PROVEN = "proven"
"""Marks a release that has served; without it, one that is being installed, or whose installation was cut off."""


@dataclass(frozen=True, slots=True)
class Release:
    """One installed release."""

    path: Path

    @property
    def name(self) -> str:
        """Its version, and behind a hyphen the number of its copy if there is more than one."""
        return self.path.name

    @property
    def units(self) -> Path:
        """Where its systemd units are."""
        return self.path / "units"

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.path / "bin" / name)

    def processes(self) -> list[int]:
        """Return the ids of the processes that run its code (proc(5)): its interpreter is what was executed."""
        begin = os.fsencode(self.path) + b"/"
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().startswith(begin):
                    found.append(int(folder.name))
        return sorted(found)

    @property
    def proven(self) -> bool:
        """Whether it has served."""
        return (self.path / _PROVEN).exists()

    def prove(self) -> None:
        """Note that it serves."""
        (self.path / _PROVEN).touch()

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is below a prefix."""

    prefix: Path

    @property
    def releases(self) -> Path:
        """The folder of releases."""
        return self.prefix / "releases"

    @property
    def tools(self) -> Path:
        """The environment with pip."""
        return self.prefix / "tools"

    @property
    def pid_file(self) -> Path:
        """Written by a daemon that systemd does not look after."""
        return self.prefix / "run" / "netrunner.pid"

    @property
    def log_file(self) -> Path:
        """Likewise."""
        return self.prefix / "log" / "netrunner.log"

    @property
    def current(self) -> Release | None:
        """The release in use."""
        return self._linked("current")

    @property
    def previous(self) -> Release | None:
        """The one that was in use before it."""
        return self._linked("previous")

    def program(self, name: str) -> str:
        """Return the path by which a program of whatever release is in use is started."""
        return str(self.prefix / "current" / "bin" / name)

    def link(self, name: str, release: Release | None) -> None:
        """Make the link ``current`` or ``previous`` lead to a release, at once; remove it for None."""
        path = self.prefix / name
        if release is None:
            path.unlink(missing_ok=True)
            return
        fresh = self.prefix / f".{name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases") / release.name)
        fresh.rename(path)

    def free(self, version: str) -> Release:
        """Return a release of ``version`` that is not there yet."""
        names = (version if number == 1 else f"{version}-{number}" for number in range(1, 1000))
        return Release(next(path for path in map(self.releases.joinpath, names) if not path.exists()))

    def proven(self) -> list[Release]:
        """Return the releases that have served, the one that did last first."""
        marks = sorted(self.releases.glob(f"*/{_PROVEN}"), key=lambda mark: mark.stat().st_mtime_ns, reverse=True)
        return [Release(mark.parent) for mark in marks]

    def release_of(self, pid: int) -> Release | None:
        """Return the release whose code a process runs."""
        return next((release for release in self.proven() if pid in release.processes()), None)

    def prune(self, keep: int) -> None:
        """Delete what was cut off, and all but the last ``keep`` releases; those in use, and the one before, stay."""
        linked = {release.path for release in (self.current, self.previous) if release is not None}
        kept = {release.path for release in self.proven()[:keep]}
        for path in self.releases.iterdir():
            release = Release(path)
            if path not in linked | kept and not release.processes():
                release.remove()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the prefix, which is made if need be, for one installer at a time.

        Raises:
            Refused: when another one is at work.
        """
        self.releases.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.releases, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Refused(f"another installer is at work in {self.prefix}") from None
        try:
            yield
        finally:
            if not any(self.releases.iterdir()):
                # Nothing is left of a first installation that was refused, nor of one that was removed.
                self.releases.rmdir()
                shutil.rmtree(self.tools, ignore_errors=True)
                for folder in (self.pid_file.parent, self.log_file.parent, self.prefix):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
            os.close(lock)

    def _linked(self, name: str) -> Release | None:
        path = self.prefix / name
        return Release(self.releases / os.readlink(path).rpartition("/")[2]) if path.is_symlink() else None
