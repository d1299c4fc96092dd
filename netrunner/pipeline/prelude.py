"""The beginning of a stream that nobody answers yet: its head, and signs of life for a caller that waits for a limit.

From then on the status is 200, whatever comes of it (decision 0016): what fails is told inside of the stream, and an
answer that is none of its kind cannot follow. Tries are made as before, as long as nothing but signs was sent.

This module must not decide who waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from netrunner.errors import ExchangeError, InternalError
from netrunner.http.request import Request
from netrunner.pipeline.ends import break_off
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.heads import own_headers
from netrunner.values import Answer, Headers, Outcome, ResponseHead

if TYPE_CHECKING:
    from netrunner.pipeline.run import Run

_LINES, _DOCUMENT = b"application/x-ndjson", b"application/json"


class Prelude:
    """Keeps the caller of one exchange company, which has asked for a stream, if that can begin so.

    Args:
        run: Told when the stream has begun, by its ``begun``.
        exchange, request: Who waits.
        every_s: Seconds until the stream is begun, and from each sign of life to the next.
    """

    def __init__(self, run: Run, exchange: Exchange, request: Request, every_s: float) -> None:
        self._run = run
        self._exchange = exchange
        self._request = request
        self._every_s = every_s
        self._type: bytes = exchange.dialect.stream_type(exchange.method, exchange.endpoint, exchange.query)
        self._headers: Headers = []
        self._call: IDelayedCall | None = None
        if self._type:
            self._call = exchange.clock.callLater(every_s, self._sign)

    def over(self) -> None:
        """The wait is over: a stream that has not begun is left to its answer. Idempotent."""
        if self._run.begun is None:
            self._stop()

    def fits(self, head: ResponseHead) -> bool:
        """Return whether an answer may follow: a stream of the same kind, or a document where each line is one."""
        kind, ours = _kind(head.get(b"content-type") or b""), _kind(self._type)
        return head.status == 200 and (kind == ours or (ours == _LINES and kind == _DOCUMENT))

    def follow(self) -> None:
        """The answer begins, or what ends the stream in its place: record the head that was sent."""
        recording = self._exchange.recording
        if recording is not None:
            recording.answer(b"HTTP/1.1 200 OK", self._headers, False)

    def answer(self, answer: Answer) -> None:
        """Go on with an answer that was made here, or was given before."""
        exchange = self._exchange
        if not self.fits(ResponseHead(answer.status, b"", answer.headers)):
            self.fail(InternalError("The answer is no stream, and one has begun."), Outcome.REFUSED)
            return
        exchange.bytes_out = len(answer.body)
        exchange.end(Outcome.DONE, answer.status)
        self._request.send(answer.body, True)

    def fail(self, error: ExchangeError, outcome: Outcome) -> None:
        """End the stream with an error."""
        exchange = self._exchange
        exchange.stream = True
        self.follow()
        self._request.discard_body()
        break_off(exchange, self._request, error, outcome, exchange.dialect.error_event(error))

    def _sign(self) -> None:
        self._call = None
        exchange = self._exchange
        if exchange.bytes_out:
            # The answer flows; whoever keeps streams alive looks after it.
            return
        if self._run.begun is None:
            self._begin()
        self._call = exchange.clock.callLater(self._every_s, self._sign)
        self._request.send(exchange.dialect.keepalive(exchange.endpoint, exchange.model or "", exchange.clock.wall()))

    def _begin(self) -> None:
        # Fields of the answer are not known, among them what its provider says of keeping it.
        ours = (b"content-type", self._type), (b"cache-control", b"no-store")
        self._headers = [*ours, *own_headers(self._exchange), (b"x-accel-buffering", b"no")]
        self._request.begin(200, b"OK", self._headers)
        self._request.notifyFinish().addBoth(lambda _: self._stop())
        self._run.begun = self

    def _stop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


def _kind(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()
