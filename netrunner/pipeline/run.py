"""The path of an exchange: filters, routing, candidates one after the other, until one commits or none is left.

This module must not read or write sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.dialects.estimate import of_length
from netrunner.dialects.interfaces import IRepair, IRepairs, ITap, ITranslates
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import ExchangeError, InternalError, NotFound, UpstreamError
from netrunner.http.request import Request
from netrunner.http.turn import ATTEMPT
from netrunner.interfaces import IProvider, IUpstream, IWatcher
from netrunner.pipeline import calls
from netrunner.pipeline.breaking import Breakable
from netrunner.pipeline.chain import begin
from netrunner.pipeline.empty import nothing_said, says_something
from netrunner.pipeline.ends import give, refuse
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.heads import own_headers
from netrunner.pipeline.intent import tell_intent
from netrunner.pipeline.lane import MAX_ANSWER_BYTES, MAX_REPAIRED_BYTES, EventLane, PlainLane, RepairLane
from netrunner.pipeline.prelude import Prelude
from netrunner.pipeline.relay import Relay
from netrunner.pipeline.served import Served
from netrunner.pipeline.shared import Pipeline
from netrunner.pipeline.translation import TranslatingLane, Translation
from netrunner.pipeline.tries import Tries
from netrunner.pipeline.tunnel import Tunnel
from netrunner.routing.route import route
from netrunner.routing.table import Candidate
from netrunner.values import Answer, Attempt, Call, Headers, Outcome, Recalled, ResponseHead, UpstreamRequest
from netrunner.veil import Keys

CLIENT_LEFT = 499
"""Recorded as the status when the client left before one was sent."""


class Run(Breakable):
    """Takes one exchange along the path.

    Args:
        pipeline: What it runs through.
        exchange: What runs.
        request: The client's side, its body received.
    """

    log = Logger()
    verbatim = False
    """Whether answers go through as they come, errors and codings too."""
    tunnels: type[Tunnel] = Tunnel
    """What carries the bytes after a protocol switch."""
    keys: Keys | None = None
    """Those that the attempt is made with, if they are not the caller's own: nothing of its answer tells them."""
    begun: Prelude | None = None
    """The stream that was begun before anybody answered, since its caller has to wait."""
    _listener: IWatcher | None = None
    """Hears the answer as the caller gets it, if a filter remembers it."""

    def __init__(self, pipeline: Pipeline, exchange: Exchange, request: Request) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._request = request
        self._tries = Tries(pipeline, exchange)
        self._routed = False
        self._provider: IProvider | None = None
        self._sent: UpstreamRequest | None = None
        self._translation: Translation | None = None
        """What is asked, in terms of no dialect; kept for further attempts."""
        self._asked = ""
        """The endpoint of a translated attempt."""
        self._repairs: IRepairs | None = None
        """What repairs the answer, if it is repaired."""
        self.filters_events = False
        """Whether the answer passes event filters."""
        exchange.work = self
        request.on_disconnect = self.client_gone

    @property
    def own_headers(self) -> Headers:
        """The header fields that the answer carries; to be asked for once, when it is committed."""
        return own_headers(self._exchange)

    def start(self) -> None:
        """Begin, in this turn of the reactor."""
        self._request.site.later(ATTEMPT, self)

    def take_turn(self) -> None:
        """Begin, unless it has ended in the meantime."""
        if self._exchange.outcome is None:
            self._launch(self._go() if self._pipeline.chain.request else self._attempt())

    def keep_company(self, every_s: float) -> Callable[[], object]:
        """Have the caller told that it still waits; see ``Exchange.keep_company``."""
        return (self.begun or Prelude(self, self._exchange, self._request, every_s)).over

    def _launch(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run ``coroutine``; whatever it raises ends the exchange."""
        try:
            waiting = begin(coroutine)
        except BaseException:  # noqa: BLE001 - told apart by ``_raised``
            self._raised(Failure())
            return
        if waiting is not None:
            waiting.addErrback(self._raised)

    def _raised(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, ExchangeError):
            self.log.failure("an exchange failed", failure=failure, id=self._exchange.id)
            error = InternalError("The request could not be processed.")
        failed = isinstance(error, UpstreamError) and self._exchange.attempts
        self.fail(error, Outcome.UPSTREAM_FAILED if failed else Outcome.REFUSED)

    async def _go(self) -> None:
        exchange, chain = self._exchange, self._pipeline.chain
        if chain.request:
            answer = await chain.on_request(exchange)
            exchange.mark("filtered")
            if exchange.outcome is not None:
                return
            if answer is not None:
                self._answer(answer)
                return
            exchange.settle_view()
        await self._attempt()

    def _route(self) -> tuple[Candidate, ...]:
        exchange, pipeline = self._exchange, self._pipeline
        needs_model = exchange.endpoint in exchange.dialect.needs_model
        exchange.meaning, candidates = route(
            pipeline.names, pipeline.table, exchange.model, exchange.source, exchange.path, needs_model
        )
        return candidates

    async def _recalled(self, candidates: tuple[Candidate, ...]) -> bool:
        """Return whether it is answered with what was answered before, or has ended meanwhile."""
        exchange, pipeline = self._exchange, self._pipeline
        found = await pipeline.chain.recall(exchange, [pipeline.place(one.provider, one.model) for one in candidates])
        if exchange.outcome is not None:
            return True
        if not isinstance(found, Recalled):
            self._listener = found
            return False
        exchange.cached = found.of
        self._answer(found)
        return True

    async def _attempt(self) -> None:
        """Try whoever is next."""
        exchange, pipeline, tries = self._exchange, self._pipeline, self._tries
        candidate = None
        if not self._routed:
            self._routed = True
            candidates = self._route()
            if pipeline.chain.memory is not None and await self._recalled(candidates):
                return
            candidate = tries.choose(candidates, exchange.meaning.pool, exchange.bytes_in)
        if candidate is None:
            candidate = await tries.next()
            if candidate is None:
                return
        served = pipeline.providers[candidate.provider]
        self._provider = provider = served.provider
        exchange.provider = candidate.provider
        exchange.upstream_model = candidate.model or None
        if self._stays(served):
            if not provider.serves(exchange.endpoint, exchange.model is not None):
                raise NotFound("No such endpoint.", code="endpoint_not_found")
            if pipeline.chain.event_filters:
                self.filters_events = self._has_events()
            self._asked = ""
            upgrade = self._request.facts.upgrade
            self._repairs = calls.repairs(served, exchange) if upgrade is None else None
            call = calls.plain(served, exchange, candidate.model, upgrade, self._repairs)
        else:
            translation = self._translated()
            if self._answered(translation):
                return
            lacking = pipeline.seals.lacking(exchange, SPOKEN[provider.dialect], translation.request)
            if lacking and not await self._fetched(lacking):
                return
            call = calls.translated(served, exchange, candidate.model, translation, pipeline.seals)
            self._asked, self._repairs = call.endpoint, None
            self.filters_events = bool(pipeline.chain.event_filters)
        if served.prepares and not await self._prepared(provider, call):
            return
        request = provider.build(call)
        self.keys = served.keys(call, request)
        if pipeline.chain.attempt:
            request = await pipeline.chain.on_attempt(exchange, request)
        if exchange.outcome is None:
            apart = None if candidate.timeouts is None else (candidate.provider, candidate.timeouts)
            self._send(candidate, request, served.upstream if apart is None else pipeline.choosing.apart[apart])

    def _stays(self, served: Served) -> bool:
        """Return whether a provider is asked in the caller's own dialect.

        One that it understands besides its own is left where event filters could not read the answer otherwise.
        """
        exchange, pipeline = self._exchange, self._pipeline
        if exchange.dialect.name not in served.dialects:
            return False
        return (
            not pipeline.chain.event_filters
            or served.provider.dialect == exchange.dialect.name
            or exchange.dialect.has_events(exchange.method, exchange.endpoint) is not None
        )

    async def _prepared(self, provider: Any, call: Call) -> bool:
        """Let a provider get ready for a call; return whether the exchange goes on with it."""
        try:
            await provider.prepare(call)
        except UpstreamError as error:
            error.of(self._exchange.provider or "", call.model)
            wait_s = self._tries.after(error)
            if wait_s is None:
                raise
            self._exchange.let_go()
            self._go_on(wait_s)
            return False
        return self._exchange.outcome is None

    def _answered(self, translation: Translation) -> bool:
        """Return whether it is answered here, since no model has to be asked."""
        answer = translation.answer()
        if answer is not None:
            self._answer(answer)
        return answer is not None

    async def _fetched(self, seals: Sequence[bytes]) -> bool:
        """Have seals at hand that other processes keep; return whether the exchange goes on."""
        await self._pipeline.seals.fetch(seals)
        return self._exchange.outcome is None

    def _translated(self) -> Translation:
        """Return what is asked, in terms of no dialect.

        Raises:
            NotFound: ``endpoint_not_found`` for what only the caller's dialect knows.
            BadRequest: see ``Translation``.
        """
        if self._translation is None:
            exchange, provider = self._exchange, self._provider
            dialect = exchange.dialect
            known = provider is not None and provider.dialect in SPOKEN
            if known and ITranslates.providedBy(dialect) and exchange.envelope is not None:
                operation = dialect.operation(exchange.method, exchange.endpoint)
                if operation is not None and self._request.facts.upgrade is None:
                    self._translation = Translation(exchange, dialect, operation)
                    return self._translation
            raise NotFound("The model's provider does not serve this endpoint.", code="endpoint_not_found")
        return self._translation

    def _send(self, candidate: Candidate, request: UpstreamRequest, upstream: IUpstream) -> None:
        exchange = self._exchange
        dialect = None if self._provider is None else self._provider.dialect
        attempt = Attempt(candidate.provider, candidate.model, dialect=dialect)
        exchange.attempts.append(attempt)
        self._sent = request
        exchange.upstream = request.origin
        exchange.mark("routed")
        if exchange.trace is not None and self._pipeline.tracing is not None:
            self._pipeline.tracing.attempt(exchange.trace, request, exchange.timings["routed"])
        if len(exchange.attempts) == 1:
            try:
                tell_intent(self._pipeline, exchange, self._request, self._listener)
            except ExchangeError:
                exchange.attempts.clear()
                exchange.upstream = None
                raise
        else:
            # Stages are those of the last attempt; what came before it is routing.
            exchange.timings.pop("upstream_sent", None)
            exchange.timings.pop("first_byte", None)
        relay = (self.tunnels if request.upgrade else Relay)(self, exchange, self._request, attempt)
        exchange.work = relay
        self._request.on_disconnect = relay.client_gone
        self._request.aborts_on_half_close = True
        if self._request.channel.input_ended and self._request.site.limits.half_close_aborts:
            relay.client_gone()
            self._request.channel.abort()
            return
        relay.started(upstream.send(request, relay))

    # What an attempt tells before it commits.

    @property
    def drains(self) -> bool:
        """Whether the answer is read on when the client has left: its model says so."""
        return self._exchange.meaning.pool in self._pipeline.table.draining

    @property
    def decides_on_heads(self) -> bool:
        """Whether a filter wants to see the heads of answers."""
        return bool(self._pipeline.chain.response)

    @property
    def translates(self) -> bool:
        """Whether the answer comes in another dialect than the caller's."""
        return bool(self._asked)

    def translating_lane(self, streaming: bool) -> TranslatingLane:
        """Return the way from the provider's dialect to the caller's for an answer."""
        assert self._provider is not None
        assert self._translation is not None
        spoken = SPOKEN[self._provider.dialect]
        translation = self._translation
        decoder = spoken.decoder(self._asked, streaming, translation.max_bytes)
        decoder = self._pipeline.seals.reader(self._exchange, spoken, decoder)
        return TranslatingLane(
            self._pipeline.chain, self._exchange, decoder, translation.encoder(), translation.request
        )

    def lane(self, head: ResponseHead, readable: bool) -> EventLane | RepairLane | PlainLane | None:
        """Return the way of an answer that stays in its dialect; None for one that goes on, or cannot be read."""
        exchange, streaming = self._exchange, self._exchange.stream
        if self.filters_events:
            codec = exchange.dialect.events(exchange.endpoint, streaming, MAX_ANSWER_BYTES)
            return EventLane(self._pipeline.chain, exchange, codec)
        if self.verbatim or not readable:
            return None
        repair = None if self._repairs is None else self._repair(self._repairs, streaming)
        if repair is not None:
            return RepairLane(repair, streaming)
        if streaming or not (self._tries.wary or head.get(b"content-length") == b"0"):
            return None
        return PlainLane() if exchange.dialect.has_events(exchange.method, exchange.endpoint) is True else None

    def _repair(self, repairs: IRepairs, streaming: bool) -> IRepair | None:
        exchange = self._exchange
        asked = exchange.envelope is not None and exchange.envelope.wants_usage
        model, at = exchange.model or "", int(exchange.at_accept)
        repair: IRepair | None = repairs.repair(
            exchange.endpoint, streaming, exchange.id, model, at, not asked, MAX_REPAIRED_BYTES
        )
        return repair

    def tap(self, untouched: bool) -> ITap:
        """Return what learns of an answer; ``untouched`` is one that goes on as it came, and can be read."""
        return self._pipeline.telling.tap(self._exchange, untouched and not self.verbatim)

    def _has_events(self) -> bool:
        """Return whether the answer holds events for filters.

        Raises:
            InternalError: ``filter_unsupported`` if that cannot be read as events: nothing goes past a filter.
        """
        exchange = self._exchange
        answer = exchange.dialect.has_events(exchange.method, exchange.endpoint)
        if answer is None or self._request.facts.upgrade is not None:
            name = type(self._pipeline.chain.event_filters[0]).__name__
            raise InternalError(
                f"The filter {name} is configured, and cannot see the answers of this endpoint.",
                code="filter_unsupported",
                status=501,
            )
        return bool(answer)

    def decide(self, relay: Relay, head: ResponseHead) -> None:
        """Let the filters look at ``head``; the relay goes on with what they return."""

        async def ask() -> None:
            relay.decided(await self._pipeline.chain.on_response(self._exchange, head))

        try:
            waiting = begin(ask())
        except ExchangeError as error:
            relay.stop(Outcome.REFUSED, error)
            return
        if waiting is not None:
            waiting.addErrback(self._undecided, relay)

    def _undecided(self, failure: Failure, relay: Relay) -> None:
        error = failure.value
        if not isinstance(error, ExchangeError):
            self.log.failure("an exchange failed", failure=failure, id=self._exchange.id)
            error = InternalError("The request could not be processed.")
        relay.stop(Outcome.REFUSED, error)

    def committed(self) -> None:
        """The answer is on its way: nothing of the request is needed any more, and a stream may last for hours."""
        self._request.discard_body()
        self._translation = None
        envelope = self._exchange.envelope
        if envelope is not None:
            if self._repairs is not None or self.filters_events or not self._exchange.stream:
                self._exchange.asked_tokens = of_length(envelope.body)
            envelope.body, envelope.located = b"", None
            if self._sent is not None:
                self._sent.body = b""

    def rejection(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Return the provider's own reading of an error answer."""
        assert self._provider is not None
        error: UpstreamError = self._provider.classify(status, headers, body)
        return error

    def keeps_to_itself(self, rejection: UpstreamError) -> bool:
        """Return whether the provider's own words do not reach the caller.

        They are written in another dialect, or cannot follow what was sent, or the fault is our key, not theirs.
        """
        return self.translates or self.begun is not None or rejection.code == "upstream_auth"

    def check(self, body: bytes) -> None:
        """Look at a whole answer in the caller's dialect, where another try may be made, or where there is nothing.

        Raises:
            UpstreamError: for one that says nothing, or cannot be read.
        """
        exchange = self._exchange
        looked_at = self._tries.wary or not body
        if looked_at and not says_something(exchange.dialect, exchange.method, exchange.endpoint, body):
            raise nothing_said()

    def tries_on(self, rejection: UpstreamError) -> bool:
        """Return whether another try is made after an error answer, so that nobody is told of it."""
        return self._tries.after(rejection) is not None

    def attempt_failed(self, error: UpstreamError) -> None:
        """An attempt ended before it was committed: another try if there is one to be made, else the end."""
        self._request.aborts_on_half_close = False
        self._exchange.attempts[-1].error = error.code
        self._exchange.attempt_ended()
        wait_s = self._tries.after(error)
        self._exchange.let_go()
        if wait_s is None:
            self.fail(self.last(error), Outcome.UPSTREAM_FAILED)
        else:
            self._go_on(wait_s)

    def _go_on(self, wait_s: float) -> None:
        """Try again after a wait, or at once; nothing is left of the try before."""
        exchange = self._exchange
        exchange.work = self
        exchange.tap = exchange.error = None
        exchange.stream = exchange.envelope is not None and exchange.envelope.stream
        self._request.on_disconnect = self.client_gone
        if wait_s:
            self._tries.wait(wait_s, self._try_again, self._give_up)
        else:
            self._try_again()

    def _try_again(self) -> None:
        self._launch(self._attempt())

    def _give_up(self) -> None:
        """There is no time to wait: what failed has failed."""
        error = self._tries.error
        assert error is not None
        self.fail(error, Outcome.UPSTREAM_FAILED)

    def last(self, error: UpstreamError) -> UpstreamError:
        """Return what the caller is told of the attempt that was the last."""
        return error

    # Ends without an upstream's answer.

    def fail(self, error: ExchangeError, outcome: Outcome = Outcome.REFUSED) -> None:
        """Answer with an error in the caller's dialect; nothing if it has ended already."""
        if self._exchange.outcome is not None:
            return
        if self.begun is None:
            refuse(self._exchange, self._request, error, outcome)
        else:
            self.begun.fail(error, outcome)

    def client_gone(self) -> None:
        """The client left while filters were at work."""
        if self._exchange.outcome is None:
            status = CLIENT_LEFT if self.begun is None else self._request.code
            self._exchange.end(Outcome.CLIENT_GONE, status, "client_gone")

    def stop(self, outcome: Outcome, error: ExchangeError) -> None:
        """End it for a reason of ours while filters are at work."""
        self.fail(error, outcome)

    def _answer(self, answer: Answer) -> None:
        if self.begun is None:
            give(self._exchange, self._request, answer)
        else:
            self.begun.answer(answer)
