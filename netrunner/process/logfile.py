"""The log file of a daemon: bounded, in the place of twistd's own, which rotates at 1 MB and keeps every file.

``twistd --logfile FILE netrunner`` ends up here; see docs/decisions for how. ``--logger`` and ``--syslog`` win.

This module must not decide what is logged.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.python.logfile import LogFile


def chosen(twistd: Mapping[str, Any]) -> str | None:
    """Return the absolute path of the file that twistd's options ask to log to, None when they ask for no file."""
    if twistd.get("logger") or twistd.get("syslog") or twistd.get("logfile") == "-":
        return None
    name: str | None = twistd.get("logfile") or (None if twistd.get("nodaemon") else "twistd.log")
    return name and os.path.abspath(name)


class BoundedLog(LogFile):
    """A log file that goes on in the old file where a new one cannot be made."""

    def reopen(self) -> None:
        """Begin the file anew, after somebody renamed it."""
        if os.access(self.directory, os.W_OK) and (os.access(self.path, os.W_OK) or not os.path.exists(self.path)):
            super().reopen()


def open_log(path: str, max_bytes: int, keep: int) -> BoundedLog:
    """Open a log file that holds at most ``max_bytes`` and a line, with ``keep`` older ones beside it.

    A new file is readable by its owner and group only; one that exists keeps its permissions.

    Raises:
        OSError: when it cannot be opened.
    """
    mode = None if os.path.exists(path) else 0o640
    folder, name = os.path.split(path)
    return BoundedLog(name, folder, rotateLength=max_bytes, defaultMode=mode, maxRotatedFiles=keep)
