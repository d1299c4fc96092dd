"""An exchange whose provider speaks another dialect than its caller: what is asked, written anew for each attempt, and
the answer's way back.

This module must not know sockets, and no dialect by its name.
"""

from __future__ import annotations

import math
from typing import Any

from zope.interface import implementer

from netrunner.dialects.answers import merged
from netrunner.dialects.conversation import Asked, Conversation, Operation, Picture, Request, Written
from netrunner.dialects.estimate import estimate, made_by
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDraws, IEncoder, ILoads, ISpoken, ITap, ITranslates
from netrunner.errors import NotFound, UpstreamError
from netrunner.events import Event, Finish, KeepAlive, Start, UsageSeen
from netrunner.pipeline import heads
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.failures import error_of
from netrunner.pipeline.lane import MAX_ANSWER_BYTES, MAX_IMAGE_BYTES
from netrunner.values import Answer, Headers, ResponseHead, Usage


class Translation:
    """What one exchange asks for, in terms of no dialect.

    Args:
        exchange: Its filters have seen it.
        dialect: What its caller speaks.
        operation: What its endpoint asks for.

    Raises:
        BadRequest: for a request that is malformed, or cannot be carried to another dialect.
    """

    def __init__(self, exchange: Exchange, dialect: ITranslates, operation: Operation) -> None:
        self.operation = operation
        self._exchange = exchange
        self.gaps = Gaps()
        """What is lost before any provider is chosen."""
        self._dialect = dialect
        self.request: Request = dialect.read(exchange.envelope, exchange.endpoint, self.gaps)

    def written(self, spoken: ISpoken, model: str, gaps: Gaps, request: Request) -> Written:
        """Return what is asked, as a provider that speaks ``spoken`` wants it.

        Args:
            spoken, model, gaps: As of ``ISpoken.write``.
            request: ``self.request``, or what this provider needs in its place.

        Raises:
            NotFound: ``endpoint_not_found`` for an image where none are made.
        """
        if self.operation is Operation.IMAGE and not IDraws.providedBy(spoken):
            raise NotFound("The model's provider makes no images.", code="endpoint_not_found")
        written: Written = spoken.write(request, model, self._streams, gaps)
        return written

    @property
    def _streams(self) -> bool:
        return self._exchange.stream and self.operation is Operation.CHAT

    def answer(self) -> Answer | None:
        """Return the answer where no model has to be asked.

        Tokens are counted by a rule of thumb: a provider of another dialect has no such endpoint.
        """
        if self.operation is Operation.COUNT:
            assert isinstance(self.request, Conversation)
            body: bytes = self._dialect.counted(estimate(self.request))
            return Answer(200, [(b"content-type", b"application/json"), (b"netrunner-estimated", b"tokens")], body)
        dialect = self._dialect
        if not ILoads.providedBy(dialect):
            return None
        loaded: Answer | None = dialect.loaded(self._asked())
        return loaded

    @property
    def max_bytes(self) -> int:
        """The most that the answer, or one event of it, may take."""
        return MAX_IMAGE_BYTES if self.operation is Operation.IMAGE else MAX_ANSWER_BYTES

    def encoder(self) -> IEncoder:
        """Return what writes the answer for the caller."""
        encoder: IEncoder = self._dialect.encoder(self._asked())
        return encoder

    def _asked(self) -> Asked:
        exchange = self._exchange
        envelope, clock, started = exchange.envelope, exchange.clock, exchange.started
        return Asked(
            id=exchange.id,
            model=exchange.model or "",
            endpoint=exchange.endpoint,
            stream=self._streams,
            wants_usage=envelope is not None and envelope.wants_usage,
            at=exchange.at_accept,
            elapsed_s=lambda: clock.seconds() - started,
            query=exchange.query,
            request=self.request,
        )


@implementer(ITap)
class EventTap:
    """What an answer says about itself, learned from its events.

    Args:
        request: What was asked: a provider that tells no counts is counted for, and the counts say so.
    """

    __slots__ = ("_request", "began", "complete", "error", "finish_reason", "made", "usage")

    def __init__(self, request: Request) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: str | None = None
        self.complete = False
        self.began = False
        """Whether an event has come that a caller sees."""
        self._request = request
        self.made = 0.0

    def see(self, events: list[Event]) -> None:
        """See the next events."""
        for event in events:
            if isinstance(event, UsageSeen):
                self.usage = merged(self.usage, event.usage)
            elif isinstance(event, Finish):
                self.finish_reason = event.reason or event.kind.value
            else:
                self.made += made_by(event)
            self.began = self.began or not isinstance(event, Start | KeepAlive)

    def feed(self, data: bytes) -> None:
        """Ignore bytes: events tell everything."""

    def close(self) -> None:
        """Count, by a rule of thumb, what the provider has not counted of an answer that began; no image has one."""
        if self.usage is None and self.began and self.error is None and not isinstance(self._request, Picture):
            tokens = math.ceil(self.made)
            self.usage = Usage(input_total=estimate(self._request), output_total=tokens, source="counted")


class TranslatingLane:
    """Takes one answer from a provider's dialect to its caller's, and through the event filters on the way.

    An error inside the answer is kept in ``error``: what came before it is still to be sent.

    Args:
        chain: The compiled filters.
        exchange: What the answer belongs to.
        decoder: Reads it.
        encoder: Writes it.
        request: What was asked.
    """

    __slots__ = ("_chain", "_decoder", "_encoder", "_exchange", "_late", "content_type", "error", "tap")

    def __init__(
        self,
        chain: Chain,
        exchange: Exchange,
        decoder: IDecoder,
        encoder: IEncoder,
        request: Request,
    ) -> None:
        self._chain = chain
        self._exchange = exchange
        self._decoder = decoder
        self._encoder = encoder
        self._late: list[Event] = []
        """Finishes, which wait until filters have given what they hold back."""
        self.content_type: bytes = encoder.content_type
        self.tap = EventTap(request)
        self.error: UpstreamError | None = None

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go to the client of all that has come; ``last`` tells that nothing follows.

        Raises:
            ExchangeError: from a filter; ``filter_failed`` for one that raised anything else.
        """
        try:
            written = self._write(self._decoder.feed(data, False))
        except UpstreamError as error:
            self.error = error
            return b""
        if not last or self.error is not None:
            return written
        try:
            written += self._write(self._decoder.feed(b"", True))
        except UpstreamError as error:
            self.error = error
            return written
        if self.error is None:
            written += self._end()
        return written

    def error_event(self, error: Any) -> bytes:
        """Return the bytes that tell an error after what was written."""
        tell = getattr(self._encoder, "error", self._exchange.dialect.error_event)
        told: bytes = tell(error)
        return told

    def head(self, head: ResponseHead, recoded: bool) -> ResponseHead:
        """Return the head that the caller gets for the provider's; filters see this one.

        Args:
            head: The provider's.
            recoded: Whether its content coding is taken off.
        """
        coding = head.get(b"content-encoding")
        headers: Headers = [(b"content-type", self.content_type), *heads.foreign_limits(head)]
        if not recoded and coding is not None:
            headers.append((b"content-encoding", coding))
        return ResponseHead(200, b"OK", headers)

    def typed(self, head: ResponseHead) -> ResponseHead:
        """Return the head of a whole answer with its type, where that shows only in what was written."""
        if self._encoder.content_type == self.content_type:
            return head
        headers = [field for field in head.headers if field != (b"content-type", self.content_type)]
        return ResponseHead(head.status, head.reason, [(b"content-type", self._encoder.content_type), *headers])

    def _write(self, events: list[Event]) -> bytes:
        """Write events up to the first that tells an error."""
        self.tap.see(events)
        for number, event in enumerate(events):
            self.error = error_of(event)
            if self.error is not None:
                self.tap.error = self.error.code
                events = events[:number]
                break
        if self._chain.event_filters:
            events = self._filtered(events)
        written: bytes = self._encoder.write(events) if events else b""
        return written

    def _filtered(self, events: list[Event]) -> list[Event]:
        passed: list[Event] = []
        for event in events:
            if isinstance(event, Finish):
                self._late.append(event)
            else:
                passed += self._chain.on_event(self._exchange, event)
        return passed

    def _end(self) -> bytes:
        chain, exchange = self._chain, self._exchange
        self.tap.complete = True
        events: list[Event] = []
        if chain.event_filters:
            events = chain.on_end(exchange)
            for event in self._late:
                events += chain.on_event(exchange, event)
        written: bytes = self._encoder.write(events) + self._encoder.end()
        return written
