"""One upstream call: the handle a sender holds, wherever its request is just now.

This module must not know of sockets or parsers.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from netrunner.errors import UpstreamError, UpstreamTimeout
from netrunner.http.sweep import NEVER
from netrunner.interfaces import IResponseReceiver, IUpstreamCall
from netrunner.values import ResponseHead, UpstreamRequest


class Carrier(Protocol):
    """The connection a call is on."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def drop(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def register_producer(self, producer: IPushProducer) -> None: ...


class Queue(Protocol):
    """Where a call waits that is on no connection."""

    reactor: Any

    def forget(self, call: Call) -> None: ...

    def begin(self, call: Call) -> None: ...


class IBreaks(Interface):
    """A receiver that tells its own fault from its upstream's."""

    def broken(failure: Failure) -> None:  # noqa: N805 - an interface's method
        """It raised what nobody expects while it took an answer. Nothing follows."""


def broken(receiver: IResponseReceiver, failure: Failure) -> None:
    """End what ``receiver`` works for, since it raised."""
    if IBreaks.providedBy(receiver):
        ends: Any = receiver
        ends.broken(failure)
    else:
        _log.failure("an answer could not be taken", failure)
        receiver.failed(UpstreamError("the answer could not be taken", code="upstream_invalid_response"))


_log = Logger()


@implementer(IUpstreamCall)
class Call:
    """One request on its way: waiting for a connection, on one, or over."""

    __slots__ = ("_later", "_queue", "carrier", "deadline", "paused", "receiver", "request", "whole", "wire")
    whole: tuple[IResponseReceiver, ResponseHead, bytes]
    """An answer that came whole, and who is to take it in its turn."""

    def __init__(self, queue: Queue, request: UpstreamRequest, receiver: IResponseReceiver) -> None:
        self._queue = queue
        self._later: IDelayedCall | None = None
        self.request = request
        self.receiver: IResponseReceiver | None = receiver
        """None as soon as it is to hear nothing more."""
        self.carrier: Carrier | None = None
        self.deadline = NEVER
        """Until when it waits for a connection to become free."""
        self.paused = False
        self.wire = b""
        """The head, and the body if that is bytes, until they are handed to a connection."""

    def pause(self) -> None:
        """Stop reading the response until ``resume``; idempotent."""
        if not self.paused:
            self.paused = True
            if self.carrier is not None:
                self.carrier.pause()

    def resume(self) -> None:
        """Read on; idempotent."""
        if self.paused:
            self.paused = False
            if self.carrier is not None:
                self.carrier.resume()

    def abort(self) -> None:
        """Give up at once; the receiver hears nothing more. Idempotent."""
        self.receiver = None
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self.carrier is not None:
            self.carrier.drop()
        elif self.deadline != NEVER:
            self._queue.forget(self)

    def flush(self) -> None:
        """Begin, unless it was aborted in the turn it was made in."""
        if self.receiver is not None:
            self._queue.begin(self)

    def take_turn(self) -> None:
        """Give the receiver an answer that came whole, unless it hears nothing more."""
        receiver, head, body = self.whole
        if self.receiver is not None:
            receiver.head_received(head)
            if self.receiver is receiver:
                self.receiver = None
                receiver.body_received(body, True)
        del self.whole  # a receiver holds its call

    def broken(self, failure: Failure) -> None:
        """The receiver raised when it was given the answer."""
        receiver, self.receiver = self.whole[0], None
        del self.whole
        broken(receiver, failure)

    def write(self, data: bytes) -> None:
        """Send raw bytes after a protocol switch; lost once the connection is gone."""
        if self.carrier is not None:
            self.carrier.write(data)

    def end(self) -> None:
        """No more raw bytes follow: this direction is closed when they are out."""
        if self.carrier is not None:
            self.carrier.end()

    def register_producer(self, producer: IPushProducer) -> None:
        """Pause ``producer``, the source of the raw bytes, while the upstream does not take them."""
        if self.carrier is not None:
            self.carrier.register_producer(producer)

    def fail(self, error: UpstreamError) -> None:
        """Tell the receiver that the response did not complete."""
        receiver = self.receiver
        self.receiver = self.carrier = None
        if receiver is not None:
            receiver.failed(error)

    def fail_later(self, error: UpstreamError) -> None:
        """Fail in a later turn of the reactor, since ``send`` has not returned yet."""
        self._later = self._queue.reactor.callLater(0, self._fail_now, error)

    def _fail_now(self, error: UpstreamError) -> None:
        self._later = None
        self.fail(error)

    def deadline_passed(self) -> None:
        """No connection became free in time."""
        self._queue.forget(self)
        self.fail(unsent(UpstreamTimeout("every connection to the upstream is in use")))


def unsent(error: UpstreamError) -> UpstreamError:
    """Mark ``error``: no byte of the request can have reached the upstream."""
    error.sent = False
    return error
