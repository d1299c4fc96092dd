"""The lifeline between a supervisor and each of its workers: a pair of sockets that only the two of them hold.

The supervisor sends the configuration, first at the start and then at each reload: the text as it was read and the
environment it was read in, so that no worker's own environment holds a secret, and one that is started again runs what
the others run. The worker reports when it serves, and what it makes of a new configuration. An empty message is a beat,
which a worker whose reactor turns sends back. Another one has it end its open streams at once. When the supervisor dies
the kernel closes its end, and the worker ends as on SIGTERM.

This module must not know what a configuration means, nor start or end a process.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

MAX_MESSAGE_BYTES = 67108864
"""Many times what a configuration and an environment may have."""
BEAT = b""
HASTEN = b"!"
_LENGTH = struct.Struct("!I")


class Snapshot(msgspec.Struct, frozen=True):
    """A configuration as it was read."""

    path: str | None
    """Of its file; None for the built-in one."""
    data: bytes
    environ: dict[bytes, bytes]
    """Of the supervisor."""

    @classmethod
    def take(cls, path: str | None, data: bytes, environ: Mapping[str, str]) -> Snapshot:
        """Return one of a text and an environment as ``os.environ`` gives it."""
        return cls(path, data, {os.fsencode(name): os.fsencode(value) for name, value in environ.items()})

    def variables(self) -> dict[str, str]:
        """Return the environment as ``os.environ`` would give it."""
        return {os.fsdecode(name): os.fsdecode(value) for name, value in self.environ.items()}


class Order(msgspec.Struct, frozen=True):
    """What the supervisor says."""

    number: int
    """Of the worker, from 1."""
    snapshot: Snapshot
    """What to run from now on."""


class Report(msgspec.Struct, frozen=True):
    """What a worker says after each order."""

    refused: str | None = None
    """Why the order could not be followed; everything is as it was before it."""
    imported: tuple[str, ...] = ()
    """Modules of ours that the order needed and the worker was not born with; told once it serves."""


class _Line(Int32StringReceiver):
    """One end; whole messages come out of it."""

    MAX_LENGTH = MAX_MESSAGE_BYTES
    transport: ITransport

    def __init__(self, heard: Callable[[bytes], object], lost: Callable[[], object]) -> None:
        self._heard = heard
        self._lost = lost

    def stringReceived(self, string: bytes) -> None:
        self._heard(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost()


def hold(reactor: Any, sock: socket.socket, heard: Callable[[bytes], object], lost: Callable[[], object]) -> _Line:
    """Hand one end to the reactor.

    Args:
        reactor: Of this process.
        sock: The end; it is the reactor's from now on.
        heard: Called with each message.
        lost: Called when the other end is closed, or this one.
    """
    line = _Line(heard, lost)
    reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, _Once(line))
    sock.close()
    return line


class _Once(Factory):
    noisy = False

    def __init__(self, line: Protocol) -> None:
        self._protocol = line

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol


class Lifeline:
    """The worker's end. The first order is read at once, since nothing can be done without it.

    Args:
        descriptor: Inherited from the supervisor.

    Raises:
        OSError, msgspec.MsgspecError: when there is no supervisor at the other end.
    """

    def __init__(self, descriptor: int) -> None:
        self._born_with = frozenset(sys.modules)
        self._socket = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        order = msgspec.msgpack.decode(self._read(_LENGTH.unpack(self._read(_LENGTH.size))[0]), type=Order)
        self.number = order.number
        self.snapshot = order.snapshot
        """What to run."""
        self._line: _Line | None = None

    def _read(self, size: int) -> bytes:
        data = self._socket.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise ConnectionResetError("the supervisor is gone")
        return data

    def follow(
        self, reactor: Any, end: Callable[[], object], hasten: Callable[[], object], reload: Callable[[], Any]
    ) -> None:
        """Listen from now on.

        Args:
            reactor: Of this process.
            end: Called when the supervisor is gone.
            hasten: Called when open streams are to end at once.
            reload: Takes ``snapshot`` into use; returns a Deferred of None, or of why it could not.
        """

        def heard(message: bytes) -> None:
            if message == BEAT:
                self._say(BEAT)
                return
            if message == HASTEN:
                hasten()
                return
            self.snapshot = msgspec.msgpack.decode(message, type=Order).snapshot
            reload().addCallback(lambda refused: self._report(Report(refused)))

        self._line = hold(reactor, self._socket, heard, end)

    def serving(self) -> None:
        """Tell that this process serves, and what it had to import."""
        self._report(Report(imported=tuple(filter(_is_ours, sys.modules.keys() - self._born_with))))

    def stopping(self) -> None:
        """Tell nothing: the end of the process tells it."""

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.transport.loseConnection()

    def _report(self, report: Report) -> None:
        self._say(msgspec.msgpack.encode(report))

    def _say(self, message: bytes) -> None:
        if self._line is not None:
            self._line.sendString(message)


def _is_ours(module: str) -> bool:
    """Return whether a module is part of netrunner: not in a package where anybody may put theirs."""
    return module.startswith("netrunner.") and not module.startswith("netrunner.plugins.")
