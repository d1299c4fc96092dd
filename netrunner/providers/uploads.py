"""Images on their way to GigaChat: each is sent as a file first, and deleted when the answer has come.

They go through the same pool as the chat, after its intent is on record, and the time that they take is the answer's. A
file that is refused is the answer.

This module must not know what a chat looks like.
"""

from __future__ import annotations

from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.dialects.answers import too_large, unreadable
from netrunner.dialects.gigachat import files
from netrunner.dialects.gigachat.api import GigaChatApi
from netrunner.errors import UpstreamError
from netrunner.interfaces import IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.providers.steps import MAX_BYTES, Steps
from netrunner.values import ResponseHead, UpstreamRequest


@implementer(IUpstream)
class Uploading:
    """Takes the requests of one provider, those with images in steps.

    Args:
        upstream: What they go through.
        api: How it is asked.
        keeps: Whether files stay there when the answer has come.
    """

    def __init__(self, upstream: IUpstream, api: GigaChatApi, keeps: bool) -> None:
        self.upstream = upstream
        self.api = api
        self.keeps = keeps

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """Send a request; see ``IUpstream``."""
        waiting = files.waiting(request.body) if type(request.body) is bytes else []
        if not waiting:
            call: IUpstreamCall = self.upstream.send(request, receiver)
            return call
        upload = _Upload(self, request, waiting, receiver)
        upload.next()
        return upload


class _Upload(Steps):
    """One request whose images are sent before it, one after the other."""

    def __init__(
        self, through: Uploading, request: UpstreamRequest, waiting: list[str], receiver: IResponseReceiver
    ) -> None:
        super().__init__(through.upstream, receiver)
        self._through = through
        self._request = request
        self._body: bytes = request.body
        self._waiting = waiting
        self._ids: dict[str, str] = {}
        self._answer: bytearray | None = None
        """To the file that was sent last; None while what comes is the exchange's."""

    def next(self) -> None:
        """Send the next file; the request itself when there are no more."""
        if not self._waiting:
            body, self._body = files.with_ids(self._body, self._ids), b""
            self.step(msgspec.structs.replace(self._request, body=body))
            return
        self._answer = bytearray()
        self.step(self._through.api.beside(self._request, files.ENDPOINT, *files.form(self._waiting[0])))

    def head_received(self, head: ResponseHead) -> None:
        """Look at what became of a file; a refusal is the exchange's to hear."""
        if self._answer is None or head.status >= 400:
            self._answer = None
            super().head_received(head)
        elif head.status not in (200, 201):
            self.fail(unreadable(f"to a file has the status {head.status}"))

    def body_received(self, data: bytes, last: bool) -> None:
        """Read the id of a file, or pass on the answer."""
        if self._answer is None:
            super().body_received(data, last)
            return
        self._answer += data
        if len(self._answer) > MAX_BYTES:
            self.fail(too_large())
        elif last:
            try:
                self._ids[self._waiting[0]] = files.id_in(bytes(self._answer))
            except UpstreamError as error:
                self.fail(error)
                return
            del self._waiting[0]
            self._answer = None
            self.next()

    def over(self) -> None:
        """Delete the files; whether that succeeds changes nothing for anybody."""
        self._body = b""
        for id in () if self._through.keeps else self._ids.values():
            self.upstream.send(self._through.api.beside(self._request, files.removal(id)), _Unheard())


@implementer(IResponseReceiver)
class _Unheard:
    """Hears what nobody waits for."""

    def sent(self, reused: bool) -> None:
        """Let it go."""

    def head_received(self, head: Any) -> None:
        """Let it go."""

    def body_received(self, data: bytes, last: bool) -> None:
        """Let it go."""

    def failed(self, error: UpstreamError) -> None:
        """Let it go."""
