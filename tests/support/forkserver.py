"""Daemons that begin with everything imported: forked from a process that has done what each of them would do alone.

Importing is most of what a daemon does before it serves, and tests start hundreds. One process for all tests of this
one imports what twistd and netrunner import, and waits; the daemons it forks go on where the program ``twistd`` begins,
with arguments, environment, folder and descriptors of their own, and are processes like any other from then on.

``python -m tests.support.forkserver N`` is that process, with descriptor N as its line to who asks.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from netrunner.plugins.builtin import BUILT_IN
from netrunner.process.nursery import prepare
from netrunner.process.tuning import settle_memory

ROOT = Path(__file__).parents[2]
FIRST_SOCKET = 3
"""The descriptor of the first socket that is handed down; further ones follow."""
_NUMBER = struct.Struct("!i")
_MAX_BYTES = 1 << 20
_MAX_DESCRIPTORS = 16
_IMPORTED = (
    *("twisted.scripts._twistd_unix", "netrunner.tap", "netrunner.logserver.tap"),
    *("netrunner.store.logs", "netrunner.store.threads"),
)
_IGNORED = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends them to this process as well."""


class Forked:
    """A process that was forked, with what tests use of ``subprocess.Popen``."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        (self.pid,) = _NUMBER.unpack(told.recv(_NUMBER.size))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: when it has not ended within ``timeout`` seconds.
        """
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("twistd", timeout or 0)
            (self.returncode,) = _NUMBER.unpack(self._told.recv(_NUMBER.size))
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is gone."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # It may have ended since.
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


@cache
def _line() -> socket.socket:
    """Return the line to the process that forks; it is started when it is first asked for, and ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def fork(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], output: int, sockets: Sequence[int] = ()
) -> Forked:
    """Return a new process that runs ``twistd``.

    Args:
        arguments: Its command line, the first being the program.
        folder: Where it runs.
        environ: Its environment.
        output: Descriptor of what it writes to.
        sockets: Descriptors that it gets, as ``FIRST_SOCKET`` and those that follow.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wanted = json.dumps([list(arguments), str(folder), dict(environ)]).encode()
    with theirs:
        socket.send_fds(_line(), [wanted], [theirs.fileno(), output, *sockets])
    return Forked(ours)


def _serve(line: socket.socket) -> None:
    """Fork what is asked for and tell how it ended; return in each process that is forked, exit when nobody asks."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _IGNORED}
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                os.close(descriptor)
                pid, told = running.pop(descriptor)
                _tell(told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                told.close()
                continue
            wanted, given, _, _ = socket.recv_fds(line, _MAX_BYTES, _MAX_DESCRIPTORS)
            if not wanted:
                raise SystemExit(0)
            told = socket.socket(fileno=given[0])
            pid = os.fork()
            if pid == 0:
                for ignored, reaction in before.items():
                    signal.signal(ignored, reaction)
                for one in (line, told, *(its_told for _, its_told in running.values())):
                    one.close()
                for death in running:
                    os.close(death)
                _become(given[1:], *json.loads(wanted))
                return
            for number in given[1:]:
                os.close(number)
            death = os.pidfd_open(pid)
            poll.register(death, select.POLLIN)
            running[death] = pid, told
            _tell(told, pid)


def _tell(told: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # Nobody may want to know any more.
        told.send(_NUMBER.pack(number))


def _become(given: list[int], arguments: list[str], folder: str, environ: dict[str, str]) -> None:
    """Take on what was asked for; ``given`` are the descriptors of the output and of the sockets."""
    output, *sockets = given
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, number in enumerate((nothing, output, output)):
        os.dup2(number, wanted)
    os.close(nothing)
    os.close(output)
    # They came in ascending order, so none lies where one before it goes.
    for wanted, number in enumerate(sockets, FIRST_SOCKET):
        os.dup2(number, wanted)
        os.set_inheritable(wanted, True)
        if number != wanted:
            os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)


if __name__ == "__main__":
    prepare((*_IMPORTED, *(one.module for one in BUILT_IN)))
    settle_memory()
    _serve(socket.socket(fileno=int(sys.argv[1])))

    from twisted.scripts.twistd import run

    sys.exit(run())
