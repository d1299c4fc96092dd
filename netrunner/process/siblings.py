"""The other processes of a state folder, asked by their control sockets without waiting: workers, one that drains.

Who does not answer in time, does not know a command or has just ended is passed over: what is asked for is what there
is elsewhere, and that is less then.

This module must not know what any command does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from netrunner.process.control import MAX_ANSWER_BYTES, reachable
from netrunner.process.state import control_folder, control_path

ANSWER_S = 2.0
"""How long one of them may take to answer."""
LOOK_S = 1.0
"""How often it is looked for new ones while somebody watches."""

Heard = Callable[[dict[str, Any]], object]


class Siblings:
    """All processes of a state folder but this one.

    Args:
        state_folder: The folder.
        reactor: Of this process.
    """

    def __init__(self, state_folder: Path, reactor: Any) -> None:
        self._state = state_folder
        self._reactor = reactor

    def paths(self) -> list[Path]:
        """Return the paths of their control sockets."""
        # This process may have been another when this was made: twistd forks.
        own = control_path(self._state, os.getpid())
        return sorted(path for path in control_folder(self._state).glob("*.sock") if path != own)

    def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Deferred[list[dict[str, Any]]]:
        """Return a Deferred of what they answer, without those that do not."""
        asked = [self._ask(path, command, arguments) for path in self.paths()]
        return gatherResults(asked).addCallback(lambda answers: [one for one in answers if one is not None])

    def watch(self, command: str, arguments: Mapping[str, Any], heard: Heard) -> Callable[[], None]:
        """Have them send lines, those too that are started later, until the function is called that is returned.

        Args:
            command: One that is answered by a stream.
            arguments: What it takes.
            heard: Called with each line.
        """
        return _Watch(self, command, arguments, heard, self._reactor).close

    def _ask(self, path: Path, command: str, arguments: Mapping[str, Any] | None) -> Deferred[dict[str, Any] | None]:
        answered: Deferred[dict[str, Any] | None] = Deferred()

        def heard(answer: dict[str, Any]) -> None:
            conversation.hang_up()
            if not answered.called:
                answered.callback(answer if answer.pop("ok", False) else None)

        def lost() -> None:
            if limit.active():
                limit.cancel()
            if not answered.called:
                answered.callback(None)

        conversation = Conversation(command, arguments, heard, lost)
        limit = self._reactor.callLater(ANSWER_S, conversation.hang_up)
        self.connect(path, conversation)
        return answered

    def connect(self, path: Path, conversation: Conversation) -> None:
        """Begin a conversation with the process whose control socket is at ``path``."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            try:
                with reachable(path) as name:
                    sock.connect(name)
            except OSError:
                conversation.connectionLost()
                return
            self._reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, _Once(conversation))


class Conversation(LineOnlyReceiver):
    """A connection to another process, seen from here: one command, and the lines that come back.

    Args:
        command, arguments: What is asked.
        heard: Called with each line.
        lost: Called once, when no more can come.
    """

    delimiter = b"\n"
    MAX_LENGTH = MAX_ANSWER_BYTES
    transport: ITransport | None = None

    def __init__(
        self, command: str, arguments: Mapping[str, Any] | None, heard: Heard, lost: Callable[[], object]
    ) -> None:
        self._request = msgspec.json.encode({"command": command, "arguments": arguments or {}}) + b"\n"
        self._heard = heard
        self._lost: Callable[[], object] | None = lost

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._request)

    def lineReceived(self, line: bytes) -> None:
        if self._lost is not None:
            self._heard(msgspec.json.decode(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()

    def hang_up(self) -> None:
        """Hear nothing more."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # ITCPTransport's, UNIX has it too


class _Once(Factory):
    noisy = False

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def buildProtocol(self, addr: object) -> Conversation:
        return self._conversation


class _Watch:
    """One command to every sibling there is, and will be."""

    def __init__(
        self, siblings: Siblings, command: str, arguments: Mapping[str, Any], heard: Heard, reactor: Any
    ) -> None:
        self._siblings, self._reactor = siblings, reactor
        self._command, self._arguments, self._heard = command, arguments, heard
        self._open: dict[Path, Conversation] = {}
        self._look()

    def _look(self) -> None:
        self._next = self._reactor.callLater(LOOK_S, self._look)
        for path in self._siblings.paths():
            if path not in self._open:
                self._begin(path)

    def _begin(self, path: Path) -> None:
        def lost() -> None:
            self._open.pop(path, None)

        conversation = self._open[path] = Conversation(self._command, self._arguments, self._told, lost)
        self._siblings.connect(path, conversation)

    def _told(self, line: dict[str, Any]) -> None:
        if "ok" not in line:
            self._heard(line)

    def close(self) -> None:
        """Hear nothing more."""
        if self._next.active():
            self._next.cancel()
        conversations, self._open = list(self._open.values()), {}
        for one in conversations:
            one.hang_up()
