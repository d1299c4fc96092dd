"""Ports on sockets that other processes may share."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

import pytest_twisted
from netrunner.process.listen import BACKLOG, adopt, bind

pytestmark = pytest.mark.integration


class Greeter(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


def greeting(sock: socket.socket) -> bytes:
    """Return what a client of the same address is told."""
    with socket.socket(sock.family) as client:
        client.settimeout(20)
        client.connect(sock.getsockname())
        return b"".join(iter(lambda: client.recv(100), b""))


def backlog(sock: socket.socket) -> int:
    """Return how many connections the kernel keeps waiting (tcp(7), tcpi_sacked of a listening socket)."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)[28:32], "little")


@pytest.mark.parametrize("endpoint", ["tcp:0:interface=127.0.0.1", "tcp:0:interface=[::1]", "unix:api.sock"])
@pytest_twisted.ensureDeferred
async def test_a_port_that_stops_leaves_the_socket_to_whoever_shares_it(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [first] = bind([endpoint])
    with socket.socket(fileno=os.dup(first.fileno())) as shared:
        port = adopt(reactor, first, Factory.forProtocol(Greeter))
        assert await deferToThread(greeting, shared) == b"hello"
        stopped = port.stopListening()
        assert isinstance(stopped, Deferred)
        await stopped
        assert first.fileno() == -1
        [second] = bind([endpoint], [(name(endpoint, tmp_path), socket.socket(fileno=os.dup(shared.fileno())))])
        port = adopt(reactor, second, Factory.forProtocol(Greeter))
        assert await deferToThread(greeting, shared) == b"hello"
        stopped = port.stopListening()
        assert isinstance(stopped, Deferred)
        await stopped


def name(endpoint: str, folder: Path) -> str:
    """Return the name under which ``bind`` knows a socket for ``endpoint``."""
    names = {"tcp:0:interface=127.0.0.1": "127.0.0.1:0", "tcp:0:interface=[::1]": "[::1]:0"}
    return names.get(endpoint) or f"unix:{folder}/api.sock"


@pytest_twisted.ensureDeferred
async def test_adopting_keeps_the_long_backlog() -> None:
    [bound] = bind(["tcp:0:interface=127.0.0.1"])
    with socket.socket(fileno=os.dup(bound.fileno())) as shared:
        port = adopt(reactor, bound, Factory.forProtocol(Greeter))
        limit = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert backlog(shared) == min(BACKLOG, limit) >= 1024
        stopped = port.stopListening()
        assert isinstance(stopped, Deferred)
        await stopped
