"""The upgrade: this process starts its own successor, which takes its sockets, and goes on until that serves.

What the successor says on its standard error until then is kept, to be told if it does not start.

This module must not hand anything over: the successor asks for it (``handover``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.process.command import Command, how_it_ended
from netrunner.process.control import ControlError

LIMIT_S = 120.0
"""How long a successor may take until it serves; then it is ended."""
MAX_SAID_BYTES = 4096
_STDERR = 3


class Upgrade(ProcessProtocol):
    """The way from this process to its successor.

    Args:
        command: Returns what starts one, given the descriptor of its real standard error.
        reactor: Of this process.
    """

    _log = Logger()

    def __init__(self, command: Callable[[int], Command], reactor: Any) -> None:
        self._command = command
        self._reactor = reactor
        self._said = -1
        self._limit: IDelayedCall | None = None
        self._over = False
        self.pid: int | None = None
        """Of a successor that is starting."""
        self.failure: str | None = None
        """Why the last one did not start."""

    def start(self) -> int:
        """Start a successor; return its process id.

        Raises:
            ControlError: when one is starting already, this process is being replaced, or none can be started.
        """
        if self._over:
            raise ControlError("this process is ending")
        if self.pid is not None:
            raise ControlError(f"process {self.pid} is starting already")
        command = self._command(_STDERR)
        self.failure = None
        self._said = os.memfd_create("netrunner-successor")
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            transport = self._reactor.spawnProcess(
                self,
                command.arguments[0],
                list(command.arguments),
                env=dict(command.environ),
                path=command.folder,
                childFDs={0: nothing, 1: 1, 2: self._said, _STDERR: 2},
            )
        except OSError as error:
            os.close(self._said)
            raise ControlError(f"no process can be started: {error.strerror}") from error
        finally:
            os.close(nothing)
        pid = int(transport.pid)
        self.pid = pid
        self._limit = self._reactor.callLater(LIMIT_S, self._too_late)
        self._log.info("process {pid} is to take over", pid=pid)
        return pid

    def finish(self) -> None:
        """Nothing more is to be started: somebody serves in our place, or the service ends."""
        self._over = True
        self._forget()

    def processEnded(self, reason: Failure) -> None:
        """Look how it ended; one that goes to the background ends well, and another process is the daemon then."""
        if self._over or self.pid is None or reason.check(ProcessDone):
            return
        self._fail(f"it ended with {how_it_ended(reason)}: {self._words()}")

    def _too_late(self) -> None:
        self._limit = None
        pid = self.pid
        self._fail(f"it did not serve within {LIMIT_S:g} s")
        if pid is not None and self.transport is not None and self.transport.pid == pid:
            self.transport.signalProcess(signal.SIGKILL)

    def _fail(self, why: str) -> None:
        self.failure = why
        self._log.error("not upgraded, this process goes on; of the new one: {why}", why=why)
        self._forget()

    def _words(self) -> str:
        size = os.fstat(self._said).st_size
        words = os.pread(self._said, MAX_SAID_BYTES, max(0, size - MAX_SAID_BYTES))
        return " ".join(words.decode(errors="replace").split()) or "it said nothing"

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self.pid is not None:
            os.close(self._said)
            self.pid = None
