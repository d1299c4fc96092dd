"""A request that takes several steps at its provider, each of them a request through the same pool.

The exchange hears of one request: whatever a subclass does not keep from it. This module must not know what the steps
are.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from netrunner.errors import UpstreamError
from netrunner.interfaces import IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.values import ResponseHead, UpstreamRequest

MAX_BYTES = 65536
"""The most of an answer that is read here."""


@implementer(IUpstreamCall, IResponseReceiver)
class Steps:
    """One request on its way, which hears the answer to each step, and passes everything on unless a subclass does not.

    Args:
        upstream: What the steps go through.
        receiver: The exchange's.
    """

    def __init__(self, upstream: IUpstream, receiver: IResponseReceiver) -> None:
        self.upstream = upstream
        self.receiver: Any = receiver
        """None once it is to hear nothing more."""
        self._call: IUpstreamCall | None = None
        self._paused = False
        self._given_up = False

    def step(self, request: UpstreamRequest) -> None:
        """Send the next request, unless nobody waits any more."""
        if self._given_up:
            return
        self._call = self.upstream.send(request, self)
        if self._paused:
            self._call.pause()

    def over(self) -> None:
        """Nothing of the last step follows; called once."""

    # What the exchange does.

    def pause(self) -> None:
        """Stop reading, this step and those that follow."""
        self._paused = True
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._call is not None:
            self._call.resume()

    def abort(self) -> None:
        """Give up."""
        if self._call is not None and not self._given_up:
            self._call.abort()
            self._done()

    def write(self, data: bytes) -> None:
        """Never called: steps switch no protocols."""

    def end(self) -> None:
        """Never called, as ``write``."""

    def register_producer(self, producer: Any) -> None:
        """Never called, as ``write``."""

    # What the provider tells.

    def sent(self, reused: bool) -> None:
        """A step is on its way."""
        self.receiver.sent(reused)

    def head_received(self, head: ResponseHead) -> None:
        """Pass on a head."""
        self.receiver.head_received(head)

    def body_received(self, data: bytes, last: bool) -> None:
        """Pass on the next bytes."""
        receiver = self.receiver
        if last:
            self._done()
        if receiver is not None:
            receiver.body_received(data, last)

    def failed(self, error: UpstreamError) -> None:
        """Pass on that it broke off."""
        receiver = self.receiver
        self._done()
        if receiver is not None:
            receiver.failed(error)

    def fail(self, error: UpstreamError) -> None:
        """Break off here."""
        if self._call is not None:
            self._call.abort()
        self.failed(error)

    def _done(self) -> None:
        if not self._given_up:
            self._given_up = True
            self.receiver = None  # which holds this
            self.over()
