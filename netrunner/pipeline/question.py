"""A request of our own to a provider, through its pool and with its own key, and the whole answer, within bounds.

This module must not know what it is asked for.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import UpstreamError, UpstreamTimeout
from netrunner.http.inflate import Inflater
from netrunner.interfaces import IClock, IResponseReceiver, IUpstreamCall
from netrunner.pipeline.served import Served
from netrunner.values import Call, ResponseHead

TIMEOUT_S = 5.0
MAX_BYTES = 4 << 20


async def ask(served: Served, clock: IClock, call: Call) -> bytes:
    """Return the body of the answer to ``call``, without the provider's key.

    Raises:
        ExchangeError: if there is none, none in time, an error, or one that is too long.
    """
    provider: Any = served.provider
    if served.prepares:
        await provider.prepare(call)
    request = provider.build(call)
    keys = served.keys(call, request)
    whole = _Whole()
    whole.call = served.upstream.send(request, whole)
    whole.body.addTimeout(TIMEOUT_S, clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
    whole.body.addErrback(_late)
    body = await whole.body
    head = whole.head
    assert head is not None
    if keys is not None:
        head, body = keys.masked_head(head), keys.masked(body)
    if head.status >= 400:
        error: UpstreamError = provider.classify(head.status, head.headers, body)
        raise error
    if head.status != 200:
        raise UpstreamError(f"The provider answered with status {head.status}.", code="upstream_invalid_response")
    return body


@implementer(IResponseReceiver)
class _Whole:
    """Collects one answer; one that is too long, or that nobody waits for any more, is given up."""

    def __init__(self) -> None:
        self.body: Deferred[bytes] = Deferred(lambda _: self._abort())
        self.call: IUpstreamCall | None = None
        self.head: ResponseHead | None = None
        self._inflater: Inflater | None = None
        self._pieces = bytearray()

    def sent(self, reused: bool) -> None:
        """Wait for the answer."""

    def head_received(self, head: ResponseHead) -> None:
        """Keep the head."""
        self.head = head
        coding = (head.get(b"content-encoding") or b"identity").lower()
        if Inflater.knows(coding):
            self._inflater = Inflater(coding)
        elif coding != b"identity":
            self._give_up(UpstreamError("The provider's answer is in a coding.", code="upstream_bad_encoding"))

    def body_received(self, data: bytes, last: bool) -> None:
        """Keep the next bytes."""
        try:
            self._pieces += data if self._inflater is None else self._inflater.feed(data)
        except UpstreamError as error:
            self._give_up(error)
            return
        if len(self._pieces) > MAX_BYTES:
            self._give_up(UpstreamError("The provider's answer is too long.", code="answer_too_large"))
        elif last:
            self.body.callback(bytes(self._pieces))

    def failed(self, error: UpstreamError) -> None:
        """Tell it."""
        self.body.errback(error)

    def _give_up(self, error: UpstreamError) -> None:
        self._abort()
        self.body.errback(error)

    def _abort(self) -> None:
        if self.call is not None:
            self.call.abort()


def _late(failure: Failure) -> Any:
    if failure.check(NotInTime):
        raise UpstreamTimeout("The provider did not answer in time.") from failure.value
    return failure
