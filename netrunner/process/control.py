"""The control socket: one per process, private, through which the command line, pages and a successor speak to it.

A request is one line of JSON, ``{"command": NAME, "arguments": {...}}``; so is its answer, ``{"ok": true, ...}`` or
``{"ok": false, "error": TEXT}``. Answers come in the order of the requests. Only root and the user the process runs
as may speak at all. Listening sockets travel beside an answer as SCM_RIGHTS (unix(7)).

This module must not know what any command does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IListeningPort, IUNIXTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import NetrunnerError
from netrunner.process.listen import answers

MAX_REQUEST_BYTES = 65536
MAX_ANSWER_BYTES = 16777216
MAX_DESCRIPTORS = 64
"""In one answer; Linux allows 253 (unix(7))."""

_MAX_PATH_BYTES = 100
"""A little less than ``sun_path`` holds; a longer path is reached through its open folder."""

_log = Logger()


class ControlError(NetrunnerError):
    """A command that cannot be done, or a process that cannot be asked; the message is for the operator."""


class NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What a command takes that takes nothing."""


Stream = Callable[[IUNIXTransport], Callable[[], object]]
"""Writes lines to a transport until they end or it is lost; returns what is to be called then."""


class Reply(msgspec.Struct, frozen=True):
    """What a command answers."""

    values: Mapping[str, Any] = {}
    """What JSON can hold; ``ok`` is added."""
    descriptors: Sequence[int] = ()
    """Sent along, still open here afterwards."""
    stream: Stream | None = None
    """Called with the transport when the answer is out: lines of its own follow, and no more commands are taken."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


A = TypeVar("A", bound=msgspec.Struct)


class _Command(Generic[A]):
    def __init__(self, arguments: type[A], function: Callable[[A], Reply | Deferred[Reply]]) -> None:
        self._decoder = msgspec.json.Decoder(arguments)
        self._function = function

    def __call__(self, arguments: msgspec.Raw) -> Reply | Deferred[Reply]:
        return self._function(self._decoder.decode(arguments))


class Commands:
    """The commands a process understands, by name."""

    def __init__(self) -> None:
        self._commands: dict[str, _Command[Any]] = {}

    def add(self, name: str, arguments: type[A], function: Callable[[A], Reply | Deferred[Reply]]) -> None:
        """Register a command.

        Args:
            name: Used once only.
            arguments: What it takes, strictly.
            function: Does it on the reactor's thread, at once or later; may raise ``NetrunnerError``, and a Deferred
                may fail with it.
        """
        if name in self._commands:
            raise ValueError(f"there is a command {name!r} already")
        self._commands[name] = _Command(arguments, function)

    def answer(self, line: bytes) -> Reply | Deferred[Reply]:
        """Do what one request line asks; whatever is wrong with it becomes an error answer."""
        try:
            request = msgspec.json.decode(line, type=_Request)
            command = self._commands.get(request.command)
            if command is None:
                raise ControlError(f"no command {request.command!r}; there are {', '.join(sorted(self._commands))}")
            reply = command(request.arguments)
        except (NetrunnerError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _refused(error)
        if isinstance(reply, Deferred):
            return reply.addCallbacks(_done, _failed)
        return _done(reply)


def _done(reply: Reply) -> Reply:
    return Reply({"ok": True, **reply.values}, reply.descriptors, reply.stream)


def _failed(failure: Failure) -> Reply:
    if failure.check(NetrunnerError) is None:
        _log.failure("a command failed", failure)
    return _refused(failure.value)


def _refused(error: object) -> Reply:
    return Reply({"ok": False, "error": str(error)})


@implementer(IHalfCloseableProtocol)
class _Conversation(LineOnlyReceiver):
    """The process's side of one connection to its control socket."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_REQUEST_BYTES
    transport: IUNIXTransport

    def __init__(self, factory: _ControlFactory) -> None:
        self._factory = factory
        self._turn: Deferred[Any] = succeed(None)
        """Fires when all that was asked is answered."""
        self._ended: Callable[[], object] | None = None

    def connectionMade(self) -> None:
        self._factory.conversations.add(self)
        uid = _peer(self.transport.getHandle())  # type: ignore[attr-defined]  # ITCPTransport's, UNIX has it too
        if uid not in self._factory.allowed:
            _log.warn("user {uid} may not use the control socket", uid=uid)
            self.transport.abortConnection()  # type: ignore[attr-defined]  # likewise

    def readConnectionLost(self) -> None:
        """Answer a client that has said all it will say, as a shell's pipe does."""
        if self._ended is None:
            self._turn.addCallback(lambda _: self.transport.loseConnection())
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing to do: nobody else closes our half."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._factory.conversations.discard(self)
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def lineReceived(self, line: bytes) -> None:
        self._turn.addCallback(lambda _: self._factory.commands.answer(line)).addCallback(self._send)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._send(Reply({"ok": False, "error": f"a request has at most {MAX_REQUEST_BYTES} bytes"}))
        self.transport.loseConnection()

    def _send(self, reply: Reply) -> None:
        if self not in self._factory.conversations:
            return
        for descriptor in reply.descriptors:
            self.transport.sendFileDescriptor(descriptor)
        self.transport.write(msgspec.json.encode(reply.values) + b"\n")
        if reply.stream is not None and self._ended is None:
            self._turn = Deferred()
            self._ended = reply.stream(self.transport)


def _peer(handle: socket.socket) -> int:
    """Return the user id at the other end (unix(7), SO_PEERCRED)."""
    _pid, uid, _gid = struct.unpack("3i", handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


class _ControlFactory(Factory):
    noisy = False

    def __init__(self, commands: Commands, allowed: frozenset[int]) -> None:
        self.commands = commands
        self.allowed = allowed
        self.conversations: set[_Conversation] = set()

    def buildProtocol(self, addr: IAddress | None) -> _Conversation:
        return _Conversation(self)


class ControlSocket:
    """Listens at ``path`` from ``start`` to ``stop``.

    Args:
        path: In a folder that holds nothing but such sockets.
        commands: What can be asked.
        allowed: User ids that may ask.
    """

    def __init__(self, path: Path, commands: Commands, allowed: frozenset[int]) -> None:
        self._path = path
        self._factory = _ControlFactory(commands, allowed)
        self._port: IListeningPort | None = None
        self._reach = contextlib.ExitStack()

    def start(self, reactor: Any) -> None:
        """Clear away sockets of processes that are gone, and listen.

        Raises:
            CannotListenError: when a live process listens there.
        """
        for left in self._path.parent.glob("*.sock"):
            with reachable(left) as path:
                if not answers(path):
                    left.unlink(missing_ok=True)
        # The folder must stay open, or the port could not remove its path at the end.
        path = self._reach.enter_context(reachable(self._path))
        self._port = reactor.listenUNIX(path, self._factory, mode=0o600)

    async def stop(self) -> None:
        """Stop listening, remove the path, and hang up; an answer under way still goes out."""
        for conversation in list(self._factory.conversations):
            conversation.transport.loseConnection()
        if self._port is not None:
            await self._port.stopListening()  # type: ignore[misc]  # a Deferred, the interface says "maybe"
        self._reach.close()


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give a name of ``path`` that fits into ``sun_path``."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(path: Path, command: str, arguments: Mapping[str, Any] | None = None, timeout_s: float = 5.0) -> dict[str, Any]:
    """Ask the process whose control socket is at ``path``, and wait for its answer.

    Raises:
        ControlError: when it does not answer in ``timeout_s`` seconds, or refuses.
    """
    values, descriptors = ask_for_descriptors(path, command, arguments, timeout_s)
    for descriptor in descriptors:
        os.close(descriptor)
    return values


def ask_for_descriptors(
    path: Path, command: str, arguments: Mapping[str, Any] | None = None, timeout_s: float = 5.0
) -> tuple[dict[str, Any], list[int]]:
    """Do as ``ask`` does, and return the descriptors that came along too; they are the caller's to close."""
    descriptors: list[int] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, reachable(path) as name:
            client.settimeout(timeout_s)
            client.connect(name)
            client.sendall(msgspec.json.encode({"command": command, "arguments": arguments or {}}) + b"\n")
            values = msgspec.json.decode(_answer(client, descriptors), type=dict[str, Any])
        if not values.pop("ok", False):
            raise ControlError(str(values.get("error")))
    except (OSError, msgspec.MsgspecError) as error:
        _close(descriptors)
        reason = getattr(error, "strerror", None) or error
        raise ControlError(f"the process of {path} cannot be asked: {reason}") from error
    except ControlError:
        _close(descriptors)
        raise
    return values, descriptors


def _answer(client: socket.socket, descriptors: list[int]) -> bytes:
    """Read one line; a read ends where descriptors come along, so there may be many."""
    data = bytearray()
    while not data.endswith(b"\n"):
        piece, came, _flags, _address = socket.recv_fds(client, 65536, MAX_DESCRIPTORS)
        descriptors += came
        data += piece
        if not piece:
            raise ControlError("the process hung up without an answer")
        if len(data) > MAX_ANSWER_BYTES:
            raise ControlError(f"the answer is over {MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
