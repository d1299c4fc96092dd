"""Answers that Gemini breaks off and wants to be asked on for: asked on, so that they are one to whoever reads them.

Google's own clients do so themselves; this is for the callers of other dialects. A stream's documents go on as they
come; the documents of an answer that is no stream become a list of them.

This module must not know what a document says.
"""

from __future__ import annotations

from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.dialects.answers import truncated
from netrunner.dialects.gemini.continuations import FINISH, MARK, asked_on, token_in
from netrunner.interfaces import IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.providers.steps import Steps
from netrunner.values import ResponseHead, UpstreamRequest

MAX_STEPS = 32
"""The most that one answer is asked for."""
MAX_EVENT_BYTES = 1 << 20
"""The most of what came last that is looked at; what is longer is not asked on for."""
_RESTS = (b"\n\n", b"\r\n\r\n")


class Continuable(UpstreamRequest):
    """A request whose answer may be asked on for."""


@implementer(IUpstream)
class Continuing:
    """Takes the requests of one provider."""

    def __init__(self, upstream: IUpstream) -> None:
        self._upstream = upstream

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """Send a request; see ``IUpstream``."""
        if not isinstance(request, Continuable):
            call: IUpstreamCall = self._upstream.send(request, receiver)
            return call
        answer = _Continued(self._upstream, receiver, request)
        answer.step(request)
        return answer


class _Continued(Steps):
    """One answer, in as many steps as it takes."""

    def __init__(self, upstream: IUpstream, receiver: IResponseReceiver, request: UpstreamRequest) -> None:
        super().__init__(upstream, receiver)
        self._request = request
        self._body: Any = request.body
        self._steps = 1
        self._streams = False
        self._recent = b""
        """What came last: of a stream the events since it last rested between two, else all of this step."""
        self._token: str | None = None
        """What this step has been told to ask on with."""
        self._asked: str | None = None
        """The same of the step before."""
        self._whole: list[bytes] = []
        """The documents of an answer that is no stream."""

    def head_received(self, head: ResponseHead) -> None:
        """Pass on the first head; the others have to be like it."""
        if self._steps > 1:
            if head.status != 200:
                self.fail(truncated())
            return
        if head.status != 200 or head.get(b"content-encoding") not in (None, b"identity"):
            self._steps = MAX_STEPS
        self._streams = (head.get(b"content-type") or b"").startswith(b"text/event-stream")
        super().head_received(head)

    def body_received(self, data: bytes, last: bool) -> None:
        """Pass on what comes; its end only if the answer has ended."""
        if self._steps >= MAX_STEPS and not self._whole:
            super().body_received(data, last)
        elif self._streams:
            self._look(data)
            goes_on = last and self._goes_on()
            # The blank line ends an event that the provider has not ended.
            super().body_received(data + b"\n\n" if goes_on else data, last and not goes_on)
            if goes_on:
                self._ask_on()
        else:
            self._recent += data
            if last:
                self._collect()

    def over(self) -> None:
        """Let the request go."""
        self._body = b""

    def _look(self, data: bytes) -> None:
        """Look for the word of an answer that wants to be asked on for."""
        recent = self._recent + data if self._recent else data
        if MARK in recent:
            self._token = token_in(recent)
        elif FINISH in recent:
            self._token = None
        self._recent = b"" if recent.endswith(_RESTS) or len(recent) > MAX_EVENT_BYTES else recent

    def _collect(self) -> None:
        """Take a whole document; ask on, or pass on all of them."""
        document, self._recent = self._recent, b""
        self._token = token_in(document) if MARK in document else None
        self._whole.append(document)
        if self._goes_on():
            self._ask_on()
            return
        whole = self._whole[0] if len(self._whole) == 1 else b"[%b]" % b",".join(self._whole)
        super().body_received(whole, True)

    def _goes_on(self) -> bool:
        return self._token not in (None, self._asked) and self._steps < MAX_STEPS

    def _ask_on(self) -> None:
        assert self._token is not None
        self._asked, self._token, self._recent = self._token, None, b""
        self._steps += 1
        self.step(msgspec.structs.replace(self._request, body=asked_on(self._body, self._asked)))
