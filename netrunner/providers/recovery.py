"""Answers that Groq refuses to give because it cannot read its model's calls: given all the same where we can.

This module must not know how models write calls.
"""

from __future__ import annotations

from zope.interface import implementer

from netrunner.dialects.openai.recovered import recovered
from netrunner.interfaces import IClock, IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.providers.steps import MAX_BYTES, Steps
from netrunner.values import ResponseHead, UpstreamRequest


@implementer(IUpstream)
class Recovering:
    """Takes the requests of one provider; chats with tools may be answered in its place.

    Args:
        upstream: What they go through.
        clock: Time.
    """

    def __init__(self, upstream: IUpstream, clock: IClock) -> None:
        self._upstream = upstream
        self._clock = clock

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """Send a request; see ``IUpstream``."""
        if type(request.body) is not bytes or b'"tools"' not in request.body:
            call: IUpstreamCall = self._upstream.send(request, receiver)
            return call
        recovery = _Recovery(self._upstream, receiver, request.body, self._clock)
        recovery.step(request)
        return recovery


class _Recovery(Steps):
    """One chat with tools."""

    def __init__(self, upstream: IUpstream, receiver: IResponseReceiver, body: bytes, clock: IClock) -> None:
        super().__init__(upstream, receiver)
        self._body = body
        self._clock = clock
        self._refusal: ResponseHead | None = None
        """The head of an error answer of which not all has come."""
        self._held = bytearray()

    def head_received(self, head: ResponseHead) -> None:
        """Wait for the reason of a refusal."""
        if head.status == 400:
            self._refusal = head
        else:
            self._body = b""
            super().head_received(head)

    def body_received(self, data: bytes, last: bool) -> None:
        """Answer in the provider's place, or pass on what it has said."""
        head = self._refusal
        if head is None:
            super().body_received(data, last)
            return
        self._held += data
        if not last and len(self._held) <= MAX_BYTES:
            return
        self._refusal = None
        held = bytes(self._held)
        found = recovered(self._body, held, int(self._clock.wall())) if last else None
        if found is not None:
            content_type, held = found
            head = ResponseHead(200, b"OK", [(b"content-type", content_type)])
        super().head_received(head)
        super().body_received(held, last)
