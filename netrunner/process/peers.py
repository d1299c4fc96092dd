"""The other processes of a state folder, as far as one process has something to tell them.

This module must not know what any command does.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_folder, control_path

ANSWER_S = 1.0
"""How long one of them may take."""


def tell_others(state_folder: Path, pid: int, command: str) -> None:
    """Ask every process of a state folder but ``pid`` to do ``command``, and wait until they have done it.

    One that has gone, or that does not know the command, is passed over. Blocks for up to ``ANSWER_S`` for each.
    """
    own = control_path(state_folder, pid)
    for path in sorted(control_folder(state_folder).glob("*.sock")):
        if path != own:
            with contextlib.suppress(ControlError):
                ask(path, command, None, ANSWER_S)
