"""A streamed request body on its way to an upstream, at the pace the upstream takes it.

This module must not know of responses.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


class Owner(Protocol):
    """Who is told how the body fares."""

    def body_sent(self) -> None: ...

    def body_failed(self, message: str) -> None: ...

    def body_stalled(self, stalled: bool) -> None: ...


@implementer(IPushProducer)
class Upload:
    """Stands between an ``IBodyProducer`` and a transport: frames, counts, and stops exactly once."""

    __slots__ = ("_body", "_left", "_owner", "_transport", "over")

    def __init__(self, owner: Owner, transport: IConsumer, body: IBodyProducer) -> None:
        self._owner = owner
        self._transport = transport
        self._body = body
        self._left = body.length if type(body.length) is int else None
        """Bytes still to come; None for a chunked body."""
        self.over = False
        """Sent, failed or stopped."""

    def start(self) -> None:
        """Let the body produce; the head of the request is written already."""
        self._transport.registerProducer(self, True)
        if not self.over:
            self._body.startProducing(self).addCallbacks(self._done, self._broken)

    def write(self, data: bytes) -> None:
        """Called by the body with its next bytes."""
        if self.over or not data:
            return
        if self._left is None:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif len(data) > self._left:
            self._fail("the request's body is longer than declared")
        else:
            self._left -= len(data)
            self._transport.write(data)

    def stop(self) -> None:
        """The body is not wanted any more; idempotent."""
        if not self.over:
            self.over = True
            self._transport.unregisterProducer()
            self._body.stopProducing()

    def pauseProducing(self) -> None:
        """The upstream does not take more for now."""
        if not self.over:
            self._body.pauseProducing()
            self._owner.body_stalled(True)

    def resumeProducing(self) -> None:
        """The upstream takes more."""
        if not self.over:
            self._owner.body_stalled(False)
            self._body.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.stop()

    def _done(self, _: object) -> None:
        if self.over:
            return
        if self._left:
            self._fail("the request's body is shorter than declared")
            return
        self.over = True
        self._transport.unregisterProducer()
        if self._left is None:
            self._transport.write(b"0\r\n\r\n")
        self._owner.body_sent()

    def _broken(self, _: Failure) -> None:
        if not self.over:
            self.over = True
            self._transport.unregisterProducer()
            self._owner.body_failed("the request's body broke off")

    def _fail(self, message: str) -> None:
        self.stop()
        self._owner.body_failed(message)
