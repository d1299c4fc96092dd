"""What systemd is told of a process: that it serves, which one does, that it ends, and that it lives (sd_notify(3)).

This module must not decide when any of it is so.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IDelayedCall


class Systemd:
    """Whoever started this process and waits to be told; nobody may.

    Args:
        environ: The process's environment.
        clock: Beats for the watchdog.
    """

    def __init__(self, environ: Mapping[str, str], clock: Any) -> None:
        self._environ = environ
        self._clock = clock
        self._beat_s = beat_s(environ, os.getpid())
        self._next: IDelayedCall | None = None

    def serving(self) -> None:
        """Tell that this process serves, and from now on that it lives."""
        tell_systemd(self._environ, f"MAINPID={os.getpid()}\nREADY=1")
        if self._beat_s:
            self._beat()

    def stopping(self) -> None:
        """Tell that the service ends; the end has a limit of its own, so the watchdog is fed until then."""
        tell_systemd(self._environ, "STOPPING=1")

    def close(self) -> None:
        """Tell nothing more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _beat(self) -> None:
        # Called by the reactor: one that hangs is silent.
        tell_systemd(self._environ, "WATCHDOG=1")
        self._next = self._clock.callLater(self._beat_s, self._beat)


def beat_s(environ: Mapping[str, str], pid: int) -> float:
    """Return how often, in seconds, systemd wants a sign of life from this process; 0 if it wants none.

    Half of what it waits for, as sd_watchdog_enabled(3) advises. What cannot be read counts as nothing.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    return int(microseconds) / 2e6


def tell_systemd(environ: Mapping[str, str], message: str) -> None:
    """Send ``message`` to systemd if it waits for one; one that is gone changes nothing."""
    path = environ.get("NOTIFY_SOCKET", "")
    if path:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.sendto(message.encode(), "\0" + path[1:] if path.startswith("@") else path)
