"""What the daemon does on a signal: SIGTERM and SIGINT end it, SIGHUP reloads, SIGUSR1 reopens the log file.

Handlers are to be installed once the reactor runs: it sets its own while it starts, and those exit with 143 and
answer a second SIGTERM with a traceback.

This module must not do in a signal handler what can wait for the reactor's turn.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger

_log = Logger()


class Ending:
    """The end of a daemon: asked for once, hastened by whoever insists.

    Args:
        stop: Begins the end; open streams are drained.
        hasten: Ends them at once.
    """

    def __init__(self, stop: Callable[[], object], hasten: Callable[[], object]) -> None:
        self._stop = stop
        self._hasten = hasten
        self._signals = 0
        self.begun = False

    def begin(self) -> None:
        """Begin the end; may be called again."""
        if not self.begun:
            self.begun = True
            self._stop()

    def signalled(self) -> None:
        """Begin the end at the first signal, hasten it at the second; a third changes nothing."""
        self._signals += 1
        if self._signals == 1:
            _log.info("asked to end; open streams are drained, a second signal ends them at once")
            self.begin()
        elif self._signals == 2:
            _log.info("asked again; open streams end now")
            self._hasten()


def install(reactor: Any, reactions: Mapping[signal.Signals, Callable[[], object]]) -> None:
    """Call a function on the reactor's thread, in its own turn, whenever its signal comes."""
    for number in reactions:
        signal.signal(number, lambda number, _frame: reactor.callFromThread(reactions[signal.Signals(number)]))
