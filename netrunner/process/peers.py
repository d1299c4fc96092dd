"""The other processes of a state folder, as far as one process has something to tell them.

This module must not know what any command does, nor run on the reactor's thread: it waits for answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder, control_path

ANSWER_S = 1.0
"""How long one of them may take."""
PROJECT_CHANGED = "project-changed"
"""The command by which a process hears that something about a project or its tokens was changed."""
PURGE = "purge"
"""The command by which a process is told to forget the answers it keeps."""


def tell_others(
    state_folder: Path, own_pid: int | None, command: str, arguments: Mapping[str, Any] | None = None
) -> list[str]:
    """Ask every other process of a state folder to do a command, and wait until they have done it.

    Args:
        state_folder: Whose processes are told.
        own_pid: Of the process that tells, if it has a control socket itself.
        command, arguments: What they are asked to do.

    Returns:
        A sentence for each that could not be told; one that is gone needs nothing.
    """
    own = None if own_pid is None else control_path(state_folder, own_pid)
    problems = []
    for path in sorted(control_folder(state_folder).glob("*.sock")):
        if path == own:
            continue
        try:
            ask(path, command, arguments, ANSWER_S)
        except ControlError as error:
            if not isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError):
                problems.append(str(error))
    return problems
