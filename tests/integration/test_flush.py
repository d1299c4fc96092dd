"""What the kernel keeps of what was written counts as not taken, however much room it makes."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.interfaces import ISystemHandle
from zope.interface import implementer

from netrunner.http.flush import Flush, Writer, unsent
from netrunner.testing.fakes import FakeClock

pytestmark = pytest.mark.integration
TRIES = 100_000
"""Looks at what the other kernel has not acknowledged yet; it may leave that for 40 ms."""


@implementer(ISystemHandle)
class Transport:
    """A Twisted transport as far as a writer knows it, over a real socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.dataBuffer = b""

    def getHandle(self) -> socket.socket:
        return self._sock

    def write(self, data: bytes) -> None:
        self.dataBuffer += data


def test_what_the_kernel_took_is_untaken_until_the_other_side_reads_it() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
        listener.accept()[0] as theirs,
    ):
        ours.setblocking(False)
        transport = Transport(ours)
        writer = Writer(transport, Flush(FakeClock()))
        assert writer.untaken() == 0
        writer.write_now(b"x" * 1000)
        assert theirs.recv(1000) == b"x" * 1000
        assert any(writer.untaken() == 0 for _ in range(TRIES))
        written = 0
        while not unsent(transport):
            writer.write_now(b"x" * 65536)
            written += 65536
        held = writer.untaken() - unsent(transport)
        assert 65536 <= held < written
        transport.dataBuffer = b""
        ours.shutdown(socket.SHUT_WR)
        while theirs.recv(1 << 20):
            pass
        assert any(writer.untaken() == 0 for _ in range(TRIES))
        writer.close()
        assert writer.untaken() == 0
