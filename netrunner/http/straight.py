"""The way of a CONNECT: a connection of its own to one address, and raw bytes from its first moment.

This module must not look into the bytes, nor decide where they may go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import UpstreamError
from netrunner.http.call import unsent
from netrunner.http.dial import Dial, connect_error
from netrunner.interfaces import IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.values import ResponseHead, UpstreamRequest

ESTABLISHED = ResponseHead(200, b"OK", [])
"""What is answered as if the upstream had said so, once it is connected to."""


@implementer(IUpstream)
class Straight:
    """Connects to the host and port of a request's origin, whatever its scheme.

    Args:
        reactor: What connections are made with.
        connect_s: Seconds to connect.
        dial: How it is connected.
    """

    def __init__(self, reactor: Any, connect_s: float, dial: Dial) -> None:
        self._reactor = reactor
        self._connect_s = connect_s
        self._dial = dial

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """Connect; nothing of ``request`` is sent."""
        line = Line(receiver)
        line.give_up = self._dial(self._reactor, request.origin, None, line, self._connect_s)
        return line


@implementer(IUpstreamCall, IHalfCloseableProtocol)
class Line(Protocol):
    """One such connection.

    Args:
        receiver: Hears what comes.
    """

    transport: Any = None

    def __init__(self, receiver: IResponseReceiver) -> None:
        self._receiver: IResponseReceiver | None = receiver
        self._paused = self._ended = False
        self.give_up: Callable[[], object] = lambda: None
        """Ends the attempt to connect."""

    # What the transport tells.

    def connect_failed(self, reason: Failure) -> None:
        """There is no connection."""
        self._fail(unsent(connect_error(reason)))

    def connectionMade(self) -> None:
        """Tell that it is there."""
        receiver = self._receiver
        if receiver is None:
            self.transport.abortConnection()
            return
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if self._paused:
            self.transport.pauseProducing()
        receiver.sent(False)
        receiver.head_received(ESTABLISHED)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on."""
        if self._receiver is not None:
            self._receiver.body_received(data, False)

    def readConnectionLost(self) -> None:
        """The other side sends no more."""
        self._over()

    def writeConnectionLost(self) -> None:
        """Our end is out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        if reason.check(ConnectionDone) is not None:
            self._over()
        else:
            self._fail(UpstreamError("the upstream broke off the connection", code="upstream_truncated"))

    def _over(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.body_received(b"", True)

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.failed(error)

    # What the sender asks.

    def pause(self) -> None:
        """Read no more for now."""
        self._paused = True
        if self.transport is not None:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self.transport is not None:
            self.transport.resumeProducing()

    def abort(self) -> None:
        """Give up at once."""
        self._receiver = None
        if self.transport is not None:
            self.transport.abortConnection()
        else:
            self.give_up()

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        if self.connected and not self._ended:
            self.transport.write(data)

    def end(self) -> None:
        """Close our direction when what was written is out; all of it if the other side has closed its own."""
        if self.connected and not self._ended:
            self._ended = True
            self.transport.unregisterProducer()
            if self._receiver is None:
                self.transport.loseConnection()
            else:
                self.transport.loseWriteConnection()

    def register_producer(self, producer: IPushProducer) -> None:
        """Let the transport pause the source of the raw bytes."""
        if self.connected and not self._ended:
            self.transport.registerProducer(producer, True)
