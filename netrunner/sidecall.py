"""A side call: a form or a document posted, and its whole answer, within bounds of time and size.

This module must not know what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from netrunner.errors import UpstreamError, UpstreamTimeout
from netrunner.interfaces import IClock

TIMEOUT_S = 10.0
MAX_BYTES = 65536


async def post_form(
    http: Any, clock: IClock, url: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Return the status and body of the answer to a form; redirects are not followed.

    Raises:
        UpstreamError: if there is none, or it is too long; ``UpstreamTimeout`` if it takes too long.
    """
    return await _post(http, clock, url, dict(form), headers, TIMEOUT_S)


async def post_json(
    http: Any, clock: IClock, url: str, document: bytes, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes]:
    """As ``post_form``, with a JSON document; its answer may take ``timeout_s`` to begin, and as long to end."""
    return await _post(http, clock, url, document, {"Content-Type": "application/json", **headers}, timeout_s)


async def _post(
    http: Any, clock: Any, url: str, data: object, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes]:
    asked: Deferred[Any] = http.post(url, data=data, headers=dict(headers), allow_redirects=False, unbuffered=True)
    asked.addTimeout(timeout_s, clock).addErrback(_unanswered)
    response = await asked
    body = _Body()
    response.deliverBody(body)
    body.whole.addTimeout(timeout_s, clock).addErrback(_unanswered)
    return response.code, await body.whole


class _Body(Protocol):
    """Collects an answer's body; a long one, or one that nobody waits for any more, is cut off."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._cut())
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        self._pieces.append(data)
        if self._size > MAX_BYTES and not self.whole.called:
            self._cut()
            self.whole.errback(UpstreamError("The answer is too long."))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)

    def _cut(self) -> None:
        # Twisted hands out a proxy of the transport that knows no abort.
        transport = getattr(self.transport, "_producer", None)
        if transport is not None:
            transport.abortConnection()


def _unanswered(failure: Failure) -> None:
    """Raise our error for whatever kept an answer from coming."""
    if failure.check(UpstreamError):
        failure.raiseException()
    error: UpstreamError = UpstreamError("There was no answer.")
    if failure.check(NotInTime):
        error = UpstreamTimeout("There was no answer in time.")
    raise error from failure.value
