"""The other processes that use the same state folder, and what they have to hear of this one.

This module must not run on the reactor's thread: it waits for answers.
"""

from __future__ import annotations

from pathlib import Path

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder, control_path

PROJECT_CHANGED = "project-changed"
"""The command by which a process hears that something about a project or its tokens was changed."""
WITHIN_S = 1.0
"""How long a process may take to answer."""


def tell_of_project(state: Path, project: str, own_pid: int | None = None) -> list[str]:
    """Tell every other process that something about a project was changed.

    Args:
        state: The state folder.
        project: The project's id.
        own_pid: Of the process that tells, if it has a control socket itself.

    Returns:
        A sentence for each that could not be told; one that is gone needs nothing.
    """
    own = None if own_pid is None else control_path(state, own_pid)
    problems = []
    for path in sorted(control_folder(state).glob("*.sock")):
        if path == own:
            continue
        try:
            ask(path, PROJECT_CHANGED, {"id": project}, WITHIN_S)
        except ControlError as error:
            if not isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError):
                problems.append(str(error))
    return problems
