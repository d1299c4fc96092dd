"""One connection to an upstream: connects, carries one call after another, keeps their deadlines.

This module must not choose which connection carries a call.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import UpstreamError, UpstreamTimeout
from netrunner.http.call import Call, unsent
from netrunner.http.dial import Dial, connect_error
from netrunner.http.response import ResponseLimits, ResponseReader
from netrunner.http.sweep import NEVER, Sweep
from netrunner.http.tls import TlsContexts
from netrunner.http.turn import ANSWER, Later
from netrunner.http.upload import Upload
from netrunner.settings import Timeouts
from netrunner.values import Origin


class Owner(Protocol):
    """Who made the connection and may give it another call."""

    reactor: Any
    sweep: Sweep
    timeouts: Timeouts
    tls: TlsContexts | None
    dial: Dial
    response_limits: ResponseLimits
    later: Later

    def released(self, connection: Connection) -> None:
        """The response is complete, the connection may carry another call."""

    def gone(self, connection: Connection) -> None:
        """The connection is closed or about to be; may be said more than once."""

    def unanswered(self, call: Call) -> bool:
        """A warm connection died before a byte of the answer to ``call``; return whether it is sent again."""


@implementer(IProtocol, IHalfCloseableProtocol, IHandshakeListener)
class Connection:
    """Speaks HTTP/1.1 with one upstream; idle between ``released`` and the next ``start``."""

    __slots__ = (
        "__weakref__",
        "_attempt",
        "_call",
        "_ended",
        "_owner",
        "_peer_ended",
        "_poll",
        "_reader",
        "_ready",
        "_reused",
        "_send",
        "_sweep",
        "_timeouts",
        "_transport",
        "_upload",
        "deadline",
        "origin",
    )

    def __init__(self, owner: Owner, call: Call) -> None:
        self._owner = owner
        self._sweep = owner.sweep
        self._timeouts = owner.timeouts
        self._reader = ResponseReader(owner.response_limits)
        self._call: Call | None = call
        call.carrier = self
        self._attempt: Callable[[], None] | None = None
        """Gives up connecting."""
        self._transport: Any = None
        self._send: Any = None
        """The socket's own ``send``, when there is no TLS: a request goes out in this turn of the reactor."""
        self._poll: Any = None
        """Looks at the socket alone, to see whether the upstream has already closed a warm connection."""
        self._upload: Upload | None = None
        self._ready = self._reused = self._ended = self._peer_ended = False
        self.origin: Origin = call.request.origin
        self.deadline = NEVER

    # Connecting.

    def connect(self) -> None:
        """Connect for the call given; every failure is told in a later turn."""
        origin, owner, timeout_s = self.origin, self._owner, self._timeouts.connect_s
        self.deadline = self._sweep.now + timeout_s
        self._sweep.watch(self)
        self._attempt = owner.dial(owner.reactor, origin, owner.tls, self, timeout_s)

    def connect_failed(self, reason: Failure) -> None:
        """The transport was not made, or its handshake failed."""
        self.fail(connect_error(reason))

    def makeConnection(self, transport: Any) -> None:
        """Take the transport; with TLS, the handshake is still to come."""
        self._transport = transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        if self._call is None:
            transport.abortConnection()
        elif self.origin.scheme == "http":
            self._connected(transport)

    def connectionMade(self) -> None:
        """Nothing to do that ``makeConnection`` has not done."""

    def handshakeCompleted(self) -> None:
        """TLS is up, the upstream's certificate verified."""
        if self._call is not None:
            self._connected(self._transport.transport)

    def _connected(self, wire: Any) -> None:
        self._ready = True
        self._attempt = None
        if ISystemHandle.providedBy(wire):
            handle = wire.getHandle()
            if isinstance(handle, socket.socket):
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                self._poll = poll.poll
                if wire is self._transport:
                    self._send = handle.send
        call = self._call
        assert call is not None
        if not self.start(call, False):
            self.fail(unsent(UpstreamError("the upstream closed the connection at once")))

    # Sending.

    def start(self, call: Call, reused: bool) -> bool:
        """Send ``call``; return False if the upstream is gone and not one byte was handed out."""
        data = call.wire
        if reused and self._poll is not None and self._poll(0):
            # An end, a reset, or bytes nobody asked for.
            return False
        send = self._send
        if send is None:
            self._transport.write(data)
        else:
            # What the socket takes at once needs no turn of the reactor, and no doubt whether it left.
            try:
                taken = send(data)
            except BlockingIOError:
                taken = 0
            except OSError:
                return False
            if taken < len(data):
                self._transport.write(data[taken:])
        call.wire = b""
        self._call = call
        self._reused = reused
        call.carrier = self
        request = call.request
        self._reader.begin(bodiless=request.method == b"HEAD", upgrade=request.upgrade is not None)
        if call.paused:
            self.pause()
        else:
            self.deadline = self._sweep.now + self._timeouts.first_byte_s
        if type(request.body) is not bytes:
            self.deadline = NEVER
            self._upload = Upload(self, self._transport, request.body)
            self._upload.start()
        if (receiver := call.receiver) is not None:
            receiver.sent(reused)
        return True

    def body_sent(self) -> None:
        """The streamed body is out: the upstream's time to answer begins."""
        self._upload = None
        if self._call is not None and not self._call.paused and not self._reader.begun:
            self.deadline = self._sweep.now + self._timeouts.first_byte_s

    def body_failed(self, message: str) -> None:
        """The streamed body cannot be completed."""
        self.fail(UpstreamError(message, code="upstream_request_incomplete"))

    def body_stalled(self, stalled: bool) -> None:
        """Bound the time an upstream may take none of a streamed body."""
        if not self._reader.begun:
            self.deadline = self._sweep.now + self._timeouts.first_byte_s if stalled else NEVER

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        """Read a part of a response and pass it on: one call of the receiver per read, and one for the head."""
        call = self._call
        if call is None or not self._ready:
            # Nobody asked: an idle connection that speaks is out of step (RFC 9112, 9.2).
            self.drop()
            return
        receiver = call.receiver
        if receiver is None:
            return
        reader = self._reader
        if reader.switched:
            receiver.body_received(data, False)
            return
        known = reader.head
        reader.feed(data)
        head = reader.head
        body = reader.taken()
        complete = reader.complete
        if complete:
            self._call = call.carrier = None
            if reader.reusable and self._upload is None:
                if call.paused:
                    self._transport.resumeProducing()
                self._owner.released(self)
            else:
                self.drop()
        elif not call.paused:
            switched = head is not None and head.status == 101
            self.deadline = NEVER if switched else self._sweep.now + self._timeouts.between_bytes_s
        if head is not None and known is None:
            if complete:
                call.whole = receiver, head, body
                self._owner.later(ANSWER, call)
                return
            receiver.head_received(head)
            if call.receiver is not receiver:
                return
        if complete:
            call.receiver = None
            receiver.body_received(body, True)
            return
        if body:
            receiver.body_received(body, False)
        if reader.problem is not None and call.receiver is not None:
            self.fail(UpstreamError(f"invalid response: {reader.problem}", code="upstream_invalid_response"))

    def readConnectionLost(self) -> None:
        """The upstream sends no more; only a switched protocol may still be written to."""
        call = self._call
        if call is not None and self._reader.switched and not self._ended:
            self._end_of_tunnel(call)
        else:
            self._lost(clean=True)

    def writeConnectionLost(self) -> None:
        """Our end of a switched protocol is out."""

    def connectionLost(self, reason: Failure) -> None:
        """The transport is gone."""
        self._transport = None
        if self._ready:
            self._lost(clean=reason.check(ConnectionDone) is not None)
        elif self._call is not None:
            self.connect_failed(reason)

    def _lost(self, clean: bool) -> None:
        call = self._call
        reader = self._reader
        reused, begun, switched, until_eof = self._reused, reader.begun, reader.switched, reader.until_eof
        self.drop()
        if call is None or (receiver := call.receiver) is None:
            return
        if switched and self._peer_ended:
            call.receiver = None
        elif clean and (switched or until_eof):
            call.receiver = None
            receiver.body_received(b"", True)
        elif begun:
            call.fail(UpstreamError("the upstream broke off its answer", code="upstream_truncated"))
        elif not reused or not self._owner.unanswered(call):
            call.fail(UpstreamError("the upstream closed the connection without an answer"))

    # After a protocol switch.

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        if self._reader.switched and not self._ended:
            self._transport.write(data)

    def end(self) -> None:
        """Close our direction when what was written is out; the whole connection if TLS or the peer leaves no half."""
        if self._ended or not self._reader.switched:
            return
        self._ended = True
        self._transport.unregisterProducer()
        self.deadline = self._sweep.now + self._timeouts.between_bytes_s
        if self._peer_ended or self.origin.scheme == "https":
            self._transport.loseConnection()
        else:
            self._transport.loseWriteConnection()

    def register_producer(self, producer: IPushProducer) -> None:
        """Let the transport pause the source of the raw bytes."""
        if self._reader.switched and not self._ended:
            self._transport.registerProducer(producer, True)

    def _end_of_tunnel(self, call: Call) -> None:
        self._peer_ended = True
        if call.receiver is not None:
            call.receiver.body_received(b"", True)

    # Stopping.

    def pause(self) -> None:
        """Read no more for now; the upstream's time stands still."""
        if self._ready:
            self.deadline = NEVER
            self._transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        if self._ready:
            times = self._timeouts
            if not self._reader.switched:
                self.deadline = self._sweep.now + (times.between_bytes_s if self._reader.begun else times.first_byte_s)
            self._transport.resumeProducing()

    def deadline_passed(self) -> None:
        """The upstream took too long, or an idle connection was kept long enough."""
        if self._call is None or self._peer_ended:
            self.drop()
        elif not self._ready:
            self.fail(UpstreamTimeout("connecting to the upstream took too long"))
        elif self._reader.begun:
            self.fail(UpstreamTimeout("the upstream stopped in the middle of its answer"))
        else:
            self.fail(UpstreamTimeout("the upstream did not answer in time"))

    def fail(self, error: UpstreamError) -> None:
        """Close at once and tell the receiver why."""
        call = self._call
        if not self._ready:
            error.sent = False
        self.drop()
        if call is not None:
            call.fail(error)

    def drop(self) -> None:
        """Close at once and tell nobody but the owner; idempotent."""
        if self._call is not None:
            self._call.carrier = None
            self._call = None
        self.deadline = NEVER
        self._sweep.forget(self)
        if self._upload is not None:
            self._upload.stop()
            self._upload = None
        attempt, transport = self._attempt, self._transport
        self._attempt = None
        if transport is not None:
            self._transport = self._send = self._poll = None
            transport.abortConnection()
        elif attempt is not None:
            attempt()
        self._reader.close()
        self._owner.gone(self)

    def logPrefix(self) -> str:
        """Return what a transport calls this in its own log lines."""
        return "upstream"
