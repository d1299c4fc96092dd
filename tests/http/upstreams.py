"""A pool in memory: the test is the reactor, the clock and the upstream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.http.pool import Pool
from netrunner.http.sweep import Sweep
from netrunner.settings import PoolLimits, Timeouts
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin, UpstreamRequest

ORIGIN = Origin("http", "192.0.2.1", 80)


def answer(body: bytes = b"hello", *fields: bytes) -> bytes:
    """Return a whole response with a Content-Length."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)


def request(method: bytes = b"GET", body: Any = b"", *, origin: Origin = ORIGIN, **kw: Any) -> UpstreamRequest:
    """Return a request for ``/``."""
    return UpstreamRequest(origin, method, b"/", [(b"accept", b"*/*")], body, **kw)


class Peer(StringTransport):
    """Our end of one connection, and what the upstream does to it."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        protocol.makeConnection(self)

    def unregisterProducer(self) -> None:
        """Allow it without a producer, as real transports do."""
        self.producer = None

    def loseWriteConnection(self) -> None:
        """Close half."""
        self.half_closed = True

    half_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def says(self, data: bytes) -> None:
        """Send bytes to us."""
        self.protocol.dataReceived(data)

    def heard(self) -> bytes:
        """Return what came since the last time."""
        data: bytes = self.value()
        self.clear()
        return data

    def closes(self, *, clean: bool = True) -> None:
        """End the connection, in order or by a reset."""
        if clean:
            self.protocol.readConnectionLost()
        else:
            self.protocol.connectionLost(Failure(ConnectionLost()))

    def is_gone(self) -> None:
        """Report the end of a connection that we aborted."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def aborted(self) -> bool:
        """Whether we closed it."""
        return bool(self.disconnected)


class Upstreams:
    """A pool, and the connections it makes.

    Args:
        timeouts, limits, kw: Of the pool.
        make: Its class.
    """

    def __init__(
        self,
        timeouts: Timeouts = Timeouts(),
        limits: PoolLimits = PoolLimits(),
        make: Callable[..., Pool] = Pool,
        **kw: Any,
    ) -> None:
        self.reactor = cast(Any, MemoryReactorClock())
        self.sweep = Sweep(self.reactor)
        self.sweep.start()
        self.pool = make(self.reactor, self.sweep, timeouts, limits, **kw)

    @property
    def attempts(self) -> int:
        """How many connections were attempted."""
        return len(self.reactor.tcpClients)

    def send(
        self, one: UpstreamRequest | None = None, receiver: FakeReceiver | None = None
    ) -> tuple[Any, FakeReceiver]:
        """Send, and return the call and its receiver."""
        receiver = receiver or FakeReceiver()
        return self.pool.send(one or request(), receiver), receiver

    def accept(self) -> Peer:
        """Let the latest attempt connect."""
        return Peer(self.reactor.tcpClients[-1][2].buildProtocol(None))

    def refuse(self, error: Exception) -> None:
        """Let the latest attempt fail."""
        self.reactor.tcpClients[-1][2].clientConnectionFailed(None, Failure(error))

    def warm(self) -> Peer:
        """Return a connection that has served one request and is idle."""
        self.send()
        peer = self.accept()
        peer.heard()
        peer.says(answer())
        return peer

    def pass_time(self, seconds: float) -> None:
        """Advance in sweeps."""
        for _ in range(round(seconds * 4)):
            self.reactor.advance(0.25)


@implementer(IHostnameResolver)
class Rebinding:
    """Resolves every name, each time to the next of its answers."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Answer at once."""
        resolutionReceiver.resolutionBegan(self)
        for host in self.answers[min(self.asked, len(self.answers) - 1)]:
            kind = IPv6Address if ":" in host else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", host, portNumber))
        self.asked += 1
        resolutionReceiver.resolutionComplete()
        return self
