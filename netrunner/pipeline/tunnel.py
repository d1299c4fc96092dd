"""A connection that changed its protocol: raw bytes both ways until one side ends.

It is an exchange like any other: recorded, stopped by the same means, closed from whichever side ends first.

This module must not look into the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from netrunner.errors import ExchangeError, UpstreamError
from netrunner.http.request import Request
from netrunner.interfaces import IResponseReceiver
from netrunner.journal.entry import REQUEST, RESPONSE
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.relay import Relay
from netrunner.values import Attempt, Headers, Outcome, ResponseHead

if TYPE_CHECKING:
    from netrunner.pipeline.run import Run


@implementer(IPushProducer)
class Intake:
    """What the client sends, held back while the upstream does not take it."""

    def __init__(self, request: Request) -> None:
        self._channel = request.channel

    def pauseProducing(self) -> None:
        """The upstream does not keep up."""
        self._channel.hold_input("tunnel", True)

    def resumeProducing(self) -> None:
        """The upstream has caught up."""
        self._channel.hold_input("tunnel", False)

    def stopProducing(self) -> None:
        """The upstream's transport is lost; the receiver hears of it."""


@implementer(IResponseReceiver, IPushProducer)
class Tunnel(Relay):
    """Asks an upstream for another protocol; until it agrees, and if it refuses, this is a relay."""

    __slots__ = ("_limit", "_open")
    agreed = 101
    """The status with which an upstream agrees."""
    shown = True
    """Whether the bytes are recorded, and shown to whoever watches."""

    def __init__(self, run: Run, exchange: Exchange, request: Request, attempt: Attempt) -> None:
        super().__init__(run, exchange, request, attempt)
        self._open = False
        self._limit: IDelayedCall | None = None
        """Ends a tunnel that has been open for as long as one may be."""

    def head_received(self, head: ResponseHead) -> None:
        """Open the tunnel if the upstream agrees; anything else is an ordinary answer, the last on its connection."""
        if head.status != self.agreed:
            self._request.close_after()
            super().head_received(head)
            return
        head = self._seen(head)
        self._open = True
        self._request.code = head.status
        self._limit = self._exchange.clock.callLater(self._request.site.limits.max_tunnel_s, self._too_long)
        assert self._call is not None
        self._call.register_producer(Intake(self._request))
        self._request.registerProducer(self, True)
        fields = [*self._fields(head), *self._run.own_headers]
        if self._exchange.recording is not None:
            self._exchange.recording.answer(b"HTTP/1.1 %d %b" % (head.status, head.reason), fields)
        self._request.switch(fields, self._from_client, self._client_ended, self.agreed)

    def _fields(self, head: ResponseHead) -> Headers:
        """Return what of an upstream's agreement its client is told."""
        return [(b"upgrade", b"websocket"), *[one for one in head.headers if one[0].startswith(b"sec-websocket-")]]

    def body_received(self, data: bytes, last: bool) -> None:
        """Pass bytes to the client."""
        if not self._open:
            super().body_received(data, last)
            return
        self._exchange.bytes_out += len(data)
        if self.shown and self._exchange.recording is not None:
            self._exchange.recording.piece(RESPONSE, data)
        if data:
            self._request.channel.write(data)
        if last:
            self._end(Outcome.DONE, None)

    def failed(self, error: UpstreamError) -> None:
        """The upstream broke off."""
        if not self._open:
            super().failed(error)
        else:
            self._attempt.error = error.code
            self._end(Outcome.UPSTREAM_TRUNCATED, error.code)

    def _from_client(self, data: bytes) -> None:
        self._exchange.bytes_in += len(data)
        if self.shown and self._exchange.recording is not None:
            self._exchange.recording.piece(REQUEST, data)
        assert self._call is not None
        self._call.write(data)

    def _client_ended(self) -> None:
        """The client's side is closed: close the other, and take what still comes from there."""
        if self._exchange.outcome is None and self._call is not None:
            self._call.end()

    def client_gone(self) -> None:
        """The client's connection is lost."""
        if not self._open:
            super().client_gone()
        elif self._exchange.outcome is None:
            self._abort()
            self._closed(Outcome.DONE, None)

    def stop(self, outcome: Outcome, error: ExchangeError) -> None:
        """End it for a reason of ours."""
        if not self._open:
            super().stop(outcome, error)
        else:
            self._abort()
            self._end(outcome, error.code)

    def _end(self, outcome: Outcome, code: str | None) -> None:
        """Close both sides once what was written to them is out."""
        if self._exchange.outcome is None:
            self._closed(outcome, code)
            if self._call is not None:
                self._call.end()
            self._request.unregisterProducer()
            self._request.channel.cut()

    def _closed(self, outcome: Outcome, code: str | None) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._exchange.end(outcome, self.agreed, code)

    def _too_long(self) -> None:
        self._end(Outcome.CANCELLED, "tunnel_timeout")


class Passage(Tunnel):
    """What a CONNECT opens; nothing of it is recorded but its length, since all there is to see is TLS."""

    __slots__ = ()
    agreed = 200
    shown = False

    def _fields(self, head: ResponseHead) -> Headers:
        return []
