"""The nursery: a process that has imported everything and does nothing but fork workers, so that a new one need not.

The supervisor executes it and sends it one end of each worker's lifeline. It forks, and the worker goes on where a
process would that was executed for it alone: nothing has been read yet, no reactor made, no thread started. The process
in between ends at once, so that workers are children of the supervisor, who is told by the kernel how each ends.
What a worker had to import for its configuration the nursery imports afterwards, for those to come.

This module must not know what a worker is told or does.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.process import (
    reapProcessHandlers,
    registerReapProcessHandler,
    unregisterReapProcessHandler,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from netrunner.process.command import WORKER_LIFELINE, Command
from netrunner.process.lifeline import hold
from netrunner.process.limits import adopt_orphans
from netrunner.process.tuning import settle_memory

_ASK = b"?"
"""Comes with a lifeline."""
_LEARN = b"+"
"""Comes before names of modules: a length, and a list in MessagePack."""
_LENGTH = struct.Struct("!I")
_PID = struct.Struct("!I")
_REACTOR = "twisted.internet.reactor"
_IGNORED = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends them to the nursery as well."""


def born(descriptor: int) -> int:
    """Fork workers as they are asked for; return in each of them, with the descriptor of its lifeline.

    Args:
        descriptor: Inherited from the supervisor.

    Raises:
        SystemExit: in the nursery itself, when there is no supervisor any more.
        OSError: when there has never been one.
    """
    line = socket.socket(fileno=descriptor)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _IGNORED}
    settle_memory()  # A collector that goes through what is shared would have the kernel copy it, in each worker.
    while True:
        asked, given, _, _ = socket.recv_fds(line, len(_ASK), 1)
        if asked == _LEARN:
            (size,) = _LENGTH.unpack(line.recv(_LENGTH.size, socket.MSG_WAITALL))
            prepare(msgspec.msgpack.decode(line.recv(size, socket.MSG_WAITALL), type=list[str]))
            settle_memory()
            continue
        if not given:
            raise SystemExit(0)
        pid = _fork()
        if pid == 0:
            line.close()
            for number, reaction in before.items():
                signal.signal(number, reaction)
            return given[0]
        os.close(given[0])
        line.sendall(_PID.pack(_PID.size) + _PID.pack(pid))


def prepare(names: Iterable[str]) -> None:
    """Import modules; one that would make the reactor is left to workers, which cannot share it."""
    sys.modules[_REACTOR] = None  # type: ignore[assignment]  # makes its import fail
    try:
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
    finally:
        del sys.modules[_REACTOR]


def _fork() -> int:
    """Return 0 in a new process that is a grandchild of this one, and its id here, where its parent is gone by then."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(writing, _PID.pack(pid))
            os._exit(0)
    os.close(writing)
    if between:
        os.waitpid(between, 0)
        between = int(_PID.unpack(os.read(reading, _PID.size))[0])
    os.close(reading)
    return between


class Child:
    """A process that came to be a child of this one; it is reaped together with those that Twisted has started.

    Args:
        pid: Whose.
        ended: Called with how it has ended.
    """

    def __init__(self, pid: int, ended: Callable[[str], object]) -> None:
        self.pid = pid
        self._ended = ended
        self._gone = False
        registerReapProcessHandler(pid, self)

    def reapProcess(self) -> None:
        """See whether it has ended."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            unregisterReapProcessHandler(pid, self)
            self.processEnded(status)

    def processEnded(self, status: int) -> None:
        """It has ended."""
        self._gone = True
        code = os.waitstatus_to_exitcode(status)
        self._ended(f"status {code}" if code >= 0 else f"signal {-code}")

    def signal(self, number: int) -> None:
        """Send it a signal; one that is gone needs none."""
        if not self._gone:
            os.kill(self.pid, number)


def reap_orphans() -> None:
    """Wait for the children that have ended and that nobody here waits for: orphans that came to this process.

    One that somebody waits for is left to them, and with it those that ended after it, until the next time.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in reapProcessHandlers:
            return
        os.waitpid(ended.si_pid, 0)


class Nursery(ProcessProtocol):
    """The supervisor's side: executes the nursery when a worker is wanted and there is none.

    Args:
        command: Returns what executes it.
        sockets: Returns the listening sockets that workers inherit.
        write: Takes what it and its workers log; None lets them have this process's standard output.
        reactor: Of this process.
    """

    def __init__(
        self,
        command: Callable[[], Command],
        sockets: Callable[[], Sequence[int]],
        write: Callable[[bytes], object] | None,
        reactor: Any,
    ) -> None:
        self._command = command
        self._sockets = sockets
        self._write = write
        self._reactor = reactor
        self._line: Any = None
        self._asking: socket.socket | None = None
        self._learnt: set[str] = set()
        self._wanted: deque[tuple[socket.socket, Callable[[int | None], object]]] = deque()
        """Lifelines of those that are not born yet; the first one is asked for."""
        self._gone: Callable[[], object] = _nothing

    @property
    def alive(self) -> bool:
        """Whether there is such a process."""
        return self._line is not None

    def want(self, lifeline: socket.socket, told: Callable[[int | None], object]) -> None:
        """Have a worker made.

        Args:
            lifeline: Its end; closed here when it is no longer needed.
            told: Called with its process id, as soon as it is a child of this process; with None if it was not born.
        """
        if self._line is None:
            self._execute()
        self._wanted.append((lifeline, told))
        if len(self._wanted) == 1:
            self._ask()

    def learn(self, modules: Iterable[str]) -> None:
        """Have it import what a worker had to, for the next one."""
        new = [name for name in modules if name not in self._learnt]
        if self._asking is None or not new:
            return
        self._learnt.update(new)
        names = msgspec.msgpack.encode(new)
        self._say(_LEARN + _LENGTH.pack(len(names)) + names)

    def reap_orphans(self) -> None:
        """Reap what workers that are gone have left; not while one may be born, and dead, before that is told."""
        if not self._wanted:
            reap_orphans()

    def end(self, gone: Callable[[], object]) -> None:
        """Kill it, and call ``gone`` when it is no more; who is not born yet is not."""
        self._gone = gone
        self._signal()

    def _signal(self) -> None:
        try:
            if self.transport is not None:
                self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass

    def outReceived(self, data: bytes) -> None:
        """Write down what is logged."""
        if self._write is not None:
            self._write(data)

    errReceived = outReceived

    def processExited(self, reason: Failure) -> None:
        """It is gone, and with it who was to be born; those that were go on."""
        self._line.transport.loseConnection()
        self._line = None
        assert self._asking is not None
        self._asking.close()
        self._asking = None
        self._learnt.clear()
        wanted, self._wanted = self._wanted, deque()
        for lifeline, told in wanted:
            lifeline.close()
            told(None)
        self._gone()

    def _execute(self) -> None:
        adopt_orphans()
        ours, theirs = socket.socketpair()
        self._asking = ours.dup()
        nothing = os.open(os.devnull, os.O_RDWR)
        command = self._command()
        shown: dict[int, int | str] = {1: 1, 2: 2} if self._write is None else {1: "r", 2: "r"}
        inherited = {WORKER_LIFELINE + 1 + index: number for index, number in enumerate(self._sockets())}
        try:
            self._reactor.spawnProcess(
                self,
                command.arguments[0],
                list(command.arguments),
                env=dict(command.environ),
                path=command.folder,
                childFDs={0: nothing, **shown, WORKER_LIFELINE: theirs.fileno(), **inherited},
            )
        finally:
            theirs.close()
            os.close(nothing)
        self._line = hold(self._reactor, ours, self._born, _nothing)

    def _ask(self) -> None:
        self._say(_ASK, self._wanted[0][0])

    def _say(self, message: bytes, *given: socket.socket) -> None:
        assert self._asking is not None
        try:
            sent = socket.send_fds(self._asking, [message], [one.fileno() for one in given])
        except OSError:
            sent = 0
        if sent < len(message):
            self._signal()  # It reads no more, and is about to be told of as gone.

    def _born(self, message: bytes) -> None:
        lifeline, told = self._wanted.popleft()
        lifeline.close()
        told(int(_PID.unpack(message)[0]))
        if self._wanted:
            self._ask()


def _nothing() -> None:
    """Nobody wants to know."""
