"""What the commands share that look for running daemons: how each of them is.

This module must not ask a daemon to do anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder


def running(state: Path) -> Iterator[dict[str, Any]]:
    """Yield how each daemon on a state folder is, as it says itself; its workers are not among them."""
    for path in sorted(control_folder(state).glob("*.sock")):
        try:
            status = ask(path, "status")
        except ControlError:
            continue
        if status["worker"] is None:
            yield status
