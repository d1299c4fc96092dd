"""``netrunner upgrade``: has a running daemon replaced by one that runs the code and configuration as they are now.

This module must not start a process: the daemon that is replaced does.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from netrunner.cli.configured import configured
from netrunner.cli.options import Options
from netrunner.cli.running import running
from netrunner.errors import ConfigurationError
from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_path

LOOK_S = 0.05
"""How often the daemon is asked how far it is."""


class UpgradeOptions(Options):
    """``netrunner upgrade``."""

    synopsis = "Usage: netrunner upgrade [--state DIR | --config FILE]"
    longdesc = (
        "Starts the code as it is now on the sockets of the running daemon, which drains and ends once the new one"
        " serves; nobody is refused, no stream is cut. If the new one does not start the old one goes on, and this"
        " tells why and exits with 1."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["state", "s", None, "The state folder of the daemon."],
        ["config", "c", None, "Its configuration, which names the state folder; ./var without either."],
    ]

    def run(self) -> int:
        """Ask for it, and wait until it is done."""
        try:
            path = _daemon(self._state())
            pid = int(ask(path, "upgrade")["pid"])
            return _wait(path, pid)
        except ConfigurationError as error:
            sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        except ControlError as error:
            sys.stderr.write(f"netrunner: {error}\n")
        return 1

    def _state(self) -> Path:
        if self["state"] is not None:
            return Path(self["state"]).absolute()
        if self["config"] is None:
            return Path("var").absolute()
        return Path(configured(os.path.abspath(self["config"])).state)


def _daemon(state: Path) -> Path:
    """Return the control socket of the daemon that accepts.

    Raises:
        ControlError: when there is none.
    """
    for status in running(state):
        if not status["draining"]:
            return control_path(state, status["pid"])
    raise ControlError(f"no netrunner runs on the state folder {state}")


def _wait(path: Path, pid: int) -> int:
    """Wait until the daemon drains or goes on; return an exit status."""
    while True:
        status = _status(path)
        if status is None or status["draining"]:
            print("the new process serves; the old one drains" if status else "the new process serves")
            return 0
        successor = status["successor"]
        if successor["failure"] is not None and successor["pid"] != pid:
            raise ControlError(f"not upgraded, process {status['pid']} goes on: {successor['failure']}")
        time.sleep(LOOK_S)


def _status(path: Path) -> dict[str, Any] | None:
    """Return how the daemon is; None once it is gone."""
    try:
        return ask(path, "status")
    except ControlError:
        return None
