"""What a release says: of its configuration, of who runs, of the database; by its own ``netrunner``, as JSON.

This module must not change anything.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netrunner.install.failure import Refused
from netrunner.install.layout import Release

PATIENCE_S = 60.0
"""How long a command may take that only looks."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a configuration says of its daemon, and what runs of it now."""

    listen: Sequence[str]
    """Addresses, ``127.0.0.1:8080`` or ``unix:/path``; the first is the API's."""
    host: str
    """A name that it answers to."""
    state: Path
    database: Path | None
    """The file of SQLite; None for a server's."""
    processes: Sequence[Mapping[str, Any]]

    @property
    def serving(self) -> Mapping[str, Any] | None:
        """The process that accepts."""
        return next((one for one in self.processes if not one["draining"]), None)


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks releases.

    Args:
        config: The daemon's configuration.
        environ: The daemon's environment, as far as the configuration goes by it.
        folder: Where the daemon is started: where its relative paths begin.
    """

    config: Path
    environ: Mapping[str, str]
    folder: Path

    def run(self, release: Release, *words: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Run the ``netrunner`` of a release.

        Raises:
            Refused: when it cannot be run, or does not come to an end.
        """
        try:
            return subprocess.run(
                [release.program("netrunner"), *words],
                env=self.environ,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=timeout_s,
            )
        except OSError as error:
            raise Refused(f"{error.filename}: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise Refused(f"`netrunner {words[0]}` has not come to an end within {timeout_s:g} s") from None

    def status(self, release: Release) -> Status:
        """Return what the release says of the configuration, and who runs.

        Raises:
            Refused: when it does not say.
        """
        told = self._told(release, "status", "--config", str(self.config), "--json")
        database = told["database"]
        return Status(
            told["listen"],
            told["host"],
            Path(told["state"]),
            None if database is None else Path(database),
            told["processes"],
        )

    def migrations(self, release: Release) -> tuple[str | None, str]:
        """Return the migration that the database is of, None while it is empty, and the latest one of the release.

        Raises:
            Refused: when the database cannot be looked at.
        """
        told = self._told(release, "store", "--config", str(self.config), "--json", "status")
        return told["migration"], told["latest"]

    def _told(self, release: Release, *words: str) -> Any:
        done = self.run(release, *words)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Refused(f"`netrunner {words[0]}` of {release.name}: {last_line(done)}") from None


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last thing that a program has said."""
    return (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()[-1]
