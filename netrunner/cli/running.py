"""What the commands share that look for running daemons: the settings that say where, and how each of them is.

This module must not ask a daemon to do anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.config.settings import Settings
from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder
from netrunner.registry import Registry


def configured(path: str | None) -> Settings:
    """Return what the configuration at ``path`` says, the built-in one for None.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    log = Logger("netrunner.plugins")
    where = None if path is None else os.path.abspath(path)
    return load(where, lambda folders: Registry.discover(folders, log), os.environ)[0]


def running(state: Path) -> Iterator[dict[str, Any]]:
    """Yield how each daemon on a state folder is, as it says itself; its workers are not among them."""
    for path in sorted(control_folder(state).glob("*.sock")):
        try:
            status = ask(path, "status")
        except ControlError:
            continue
        if status["worker"] is None:
            yield status
