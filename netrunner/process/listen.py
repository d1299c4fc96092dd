"""Listening sockets: bound once, taken by the reactor, shared between processes.

A socket is bound before twistd forks, so that a used port is one clear line, and is never bound again: a successor
or a worker is handed the descriptor. Twisted's own ``listenTCP`` and ``strports`` are no good here, since their
``stopListening`` shuts the socket down for everybody who shares it.

This module must not accept connections itself, nor shut a socket down or remove its path.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from netrunner.config.forms import Listener, listener
from netrunner.errors import ConfigurationError, Problem

BACKLOG = 4096
"""Connections the kernel keeps waiting; it cuts this to ``net.core.somaxconn``."""

Given = Sequence[tuple[str, socket.socket]]
"""Sockets that listen already, each with the ``name_of`` what it was made for."""


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Bound:
    """One listening socket: ours until the reactor takes it, then the port's."""

    def __init__(self, wanted: Listener, sock: socket.socket) -> None:
        self.wanted = wanted
        """As configured: port 0 stays 0."""
        self.family = sock.family
        self.name = name_of(address_of(sock))
        """Where it really listens, ``127.0.0.1:8080`` or ``unix:/path``."""
        self._socket = sock
        self._holder: _HasDescriptor = sock

    def fileno(self) -> int:
        """Return the descriptor, -1 once nobody here listens any more."""
        return self._holder.fileno()

    def close(self) -> None:
        """Let go of a socket that was never adopted."""
        self._socket.close()

    def adopted(self, port: Any) -> None:
        """Leave the descriptor to ``port``: when that stops listening, this process holds no copy."""
        self._holder = port
        self._socket.close()


def name_of(where: Listener) -> str:
    """Return an address in its one short form; two settings with the same name want the same socket."""
    if where.path:
        return f"unix:{where.path}"
    host = _numeric(where.interface)
    return f"[{host}]:{where.port}" if ":" in host else f"{host}:{where.port}"


def address_of(sock: socket.socket) -> Listener:
    """Return where a bound socket listens."""
    name = sock.getsockname()
    return Listener(path=os.fsdecode(name)) if sock.family == socket.AF_UNIX else Listener(name[0], name[1])


def _numeric(interface: str) -> str:
    return {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(interface, interface)


def bind(descriptions: Iterable[str], given: Given = ()) -> list[Bound]:
    """Bind and listen on every endpoint described, taking a ``given`` socket where one fits.

    Raises:
        ConfigurationError: one line for each address that cannot be had and each given socket that nobody wants;
            then nothing stays bound.
    """
    spare = list(given)
    bound: list[Bound] = []
    problems: list[Problem] = []
    for description in descriptions:
        try:
            wanted = listener(description)
            fitting = next((entry for entry in spare if entry[0] == name_of(wanted)), None)
            if fitting is not None:
                spare.remove(fitting)
            bound.append(Bound(wanted, _listening(fitting[1]) if fitting else _open(wanted)))
        except (ValueError, OSError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
            problems.append(Problem("listen", f"{description}: {reason}"))
    problems += [
        Problem("listen", f"a socket came along for {name}, which `listen` does not name") for name, _ in spare
    ]
    if problems:
        for one in bound:
            one.close()
        for _, sock in spare:
            sock.close()
        raise ConfigurationError(problems)
    return bound


def _listening(sock: socket.socket) -> socket.socket:
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ValueError("the socket that came along for it does not listen")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def _open(wanted: Listener) -> socket.socket:
    host = _numeric(wanted.interface)
    family = socket.AF_UNIX if wanted.path else socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if wanted.path:
            _bind_path(sock, wanted)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # Without this an IPv4 peer would come in under an IPv6 name that no rule about addresses knows.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, wanted.port))
        sock.listen(wanted.backlog or BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_path(sock: socket.socket, wanted: Listener) -> None:
    """Bind to a path with its mode from the first moment, in the place of a socket that a dead process left."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(wanted.path).st_mode):
            raise ValueError("the path exists and is not a socket")
        if answers(wanted.path):
            raise ValueError("address already in use")
        os.unlink(wanted.path)
    before = os.umask(0o777 & ~wanted.mode)
    try:
        sock.bind(wanted.path)
    finally:
        os.umask(before)


def answers(path: str) -> bool:
    """Return whether a process listens on the socket at ``path``; one too busy to say so counts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def adopt(reactor: Any, bound: Bound, factory: IProtocolFactory) -> IListeningPort:
    """Accept connections on ``bound`` for ``factory``.

    The port's ``stopListening`` closes this process's descriptor and leaves the socket to whoever shares it.
    """
    if bound.family == socket.AF_UNIX:
        port: IListeningPort = _SharedPath(bound, factory, reactor)
        port.startListening()
    else:
        port = reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
    bound.adopted(port)
    return port


class _SharedPath(unix.Port):
    """A listening path that is neither removed nor shut down when this process stops listening.

    Twisted's adopted UNIX port does both, and sets the backlog back to 50.
    """

    _shouldShutdown = False

    def __init__(self, bound: Bound, factory: IProtocolFactory, reactor: Any) -> None:
        sock = socket.fromfd(bound.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
        super().__init__(sock.getsockname(), factory, bound.wanted.backlog or BACKLOG, bound.wanted.mode, reactor)
        self._preexistingSocket = sock

    def connectionLost(self, reason: Failure) -> None:
        """Close the descriptor, leave the path."""
        tcp.Port.connectionLost(self, reason)
