"""Daemons that replace themselves: who serves now, and the end of whoever does at last."""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path
from typing import Any

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder
from tests.support.daemon import PATIENCE_S, Daemon

_PAUSE = threading.Event()
"""Never set: whoever asks again and again leaves the processor to those it waits for."""


def serving(daemon: Daemon) -> dict[str, Any]:
    """Return the status of the daemon that accepts on a state folder, once there is one that does and no other."""
    while True:
        found = [one for one in map(_status, control_folder(daemon.state).glob("*.sock")) if one is not None]
        accepting = [one for one in found if one["worker"] is None and not one["draining"]]
        if len(accepting) == 1:
            return accepting[0]
        _PAUSE.wait(0.02)


def _status(path: Path) -> dict[str, Any] | None:
    try:
        return ask(path, "status", None, PATIENCE_S)
    except ControlError:
        return None


def replaced(daemon: Daemon, before: int) -> int:
    """Wait until another process than ``before`` serves; return its id."""
    while (status := serving(daemon))["pid"] == before:
        _PAUSE.wait(0.02)
        assert status["successor"]["failure"] is None, daemon.log()
    return int(status["pid"])


def end(pid: int, by: signal.Signals = signal.SIGTERM) -> None:
    """End a process that is no child of this one, and wait for it."""
    death = os.pidfd_open(pid)
    os.kill(pid, by)
    ended, _, _ = select.select([death], [], [], PATIENCE_S)
    os.close(death)
    assert ended
