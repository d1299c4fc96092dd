"""``netrunner cache``: has running daemons forget the answers that the filter ``cache`` keeps.

This module must not keep anything.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.python import usage

from netrunner.cli.configured import configured
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError
from netrunner.process.control import ControlError, ask
from netrunner.process.peers import PURGE
from netrunner.process.state import control_folder


class PurgeOptions(Options):
    """``netrunner cache purge``."""

    synopsis = "Usage: netrunner cache [--state DIR | --config FILE] purge"
    longdesc = "Forgets every answer, in every process that runs on the state folder."

    def run(self, state: Path) -> int:
        """Ask every process; return the exit status."""
        forgotten = processes = wrong = 0
        for path in sorted(control_folder(state).glob("*.sock")):
            try:
                forgotten += int(ask(path, PURGE)["forgotten"])
                processes += 1
            except ControlError as error:
                if not isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError):
                    print(f"netrunner: {error}", file=sys.stderr)
                    wrong = 1
        if not processes:
            print(f"netrunner: no netrunner runs on the state folder {state}", file=sys.stderr)
            return 1
        print(f"{forgotten} answers forgotten")
        return wrong


class CacheOptions(Options):
    """``netrunner cache``."""

    synopsis = "Usage: netrunner cache [--state DIR | --config FILE] purge"
    longdesc = "Looks after the answers that are kept to be given again."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "Take the state folder from this configuration."],
        ["state", "s", "./var", "The state folder."],
    ]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("purge", None, PurgeOptions, "Forget every answer."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: purge")

    def run(self) -> int:
        """Do it; return the exit status."""
        state = Path(self["state"])
        if self["config"] is not None:
            try:
                state = Path(configured(self["config"]).state)
            except ConfigurationError as error:
                print(error, file=sys.stderr)
                return 1
        return int(self.subOptions.run(state))
