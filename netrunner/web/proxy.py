"""The resources that relay: the model routes.

This module must not choose providers or touch upstreams; that is the pipeline's.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.dialects.interfaces import IDialect
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import BadRequest, ExchangeError, MethodNotAllowed
from netrunner.http.request import IEndsBroken, IReadsHead, IRefuses, Request
from netrunner.http.via import Via
from netrunner.ids import uuid7
from netrunner.pipeline.breaking import broken
from netrunner.pipeline.chain import begin
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.handshake import named_model
from netrunner.pipeline.heads import own_headers
from netrunner.pipeline.refusal import refusal
from netrunner.pipeline.run import CLIENT_LEFT, Run
from netrunner.pipeline.shared import Pipeline
from netrunner.routing.patterns import MAX_NAME_CHARACTERS
from netrunner.values import Headers, Outcome
from netrunner.web.access import Door, Sources

_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


class Entry:
    """How a request becomes an exchange.

    Args:
        pipeline: What runs exchanges.
        door: Who is let in without a credential.
        sources: Where requests come from.
        random: The source of ids.
    """

    def __init__(self, pipeline: Pipeline, door: Door, sources: Sources, random: Any) -> None:
        self.pipeline = pipeline
        self._door = door
        self._sources = sources
        self._bits = random.getrandbits

    def open(self, request: Request, dialect: IDialect, route: str, endpoint: str) -> Deferred[None] | None:
        """Make the exchange of ``request`` and let the filters look at its head; return a Deferred if they take time.

        Raises:
            ExchangeError: when the request is refused; the exchange has ended then or never began.
        """
        pipeline = self.pipeline
        clock = pipeline.clock
        headers = request.raw_headers
        id = uuid7(clock.wall(), self._bits)
        request_id, correlation_id, forwarded = None, None, False
        for name, value in headers:
            if name == b"x-request-id":
                request_id = client_id(value)
            elif name == b"x-correlation-id":
                correlation_id = client_id(value)
            elif name == b"x-forwarded-for":
                forwarded = True
        peer = request.channel.getPeer()
        exchange = Exchange(
            id=id,
            request_id=request_id or id,
            correlation_id=correlation_id,
            method=request.method,
            path=request.path,
            query=_without_key(request.query) if request.query else b"",
            headers=headers,
            source=self._sources.of(peer, headers) if forwarded else getattr(peer, "host", "unix"),
            route=route,
            endpoint=endpoint,
            dialect=dialect,
            clock=clock,
            on_end=pipeline.ended,
        )
        if request.query:
            exchange.key = _key(request.query)
        exchange.stages = pipeline.stages
        if pipeline.tracing is not None:
            exchange.trace = pipeline.tracing.begin(headers)
        request.exchange = exchange
        pipeline.enter(exchange)
        request.on_disconnect = lambda: leave(exchange)
        self._door.check(request)
        if not pipeline.chain.head:
            return None
        return begin(pipeline.chain.on_head(exchange))


class WaryEntry(Entry):
    """An entry that refuses requests which went out of here before.

    Args:
        via: What they are marked with.
        rest: As of ``Entry``.
    """

    def __init__(self, via: Via, *rest: Any) -> None:
        super().__init__(*rest)
        self._via = via

    def open(self, request: Request, dialect: IDialect, route: str, endpoint: str) -> Deferred[None] | None:
        """As ``Entry``."""
        waiting = super().open(request, dialect, route, endpoint)
        if waiting is None:
            self._via.check(request.raw_headers)
            return None
        return waiting.addCallback(lambda _: self._via.check(request.raw_headers))


def leave(exchange: Exchange) -> None:
    """The client left before anything was done for it."""
    if exchange.outcome is None:
        exchange.end(Outcome.CLIENT_GONE, CLIENT_LEFT, "client_gone")


def client_id(value: bytes) -> str | None:
    """Return the id a client has given its request, if it may be one."""
    return value.decode("ascii") if _ID.fullmatch(value) else None


def _without_key(query: bytes) -> bytes:
    """Return a query without a credential in it."""
    return b"&".join(field for field in query.split(b"&") if not _is_key(field))


def _key(query: bytes) -> bytes | None:
    """Return the credential in a query."""
    for field in query.split(b"&"):
        if _is_key(field):
            return unquote_to_bytes(field.partition(b"=")[2].replace(b"+", b" "))
    return None


def _is_key(field: bytes) -> bool:
    return unquote_to_bytes(field.partition(b"=")[0]) == b"key"


def _checked(model: str | None) -> str | None:
    """Return a model's name unless it is none: names are recorded and told, so they are bounded."""
    if model is not None and len(model) > MAX_NAME_CHARACTERS:
        raise BadRequest(f"model: longer than {MAX_NAME_CHARACTERS} characters.", code="invalid_value", param="model")
    return model


def _content_type(exchange: Exchange, body: bytes) -> bytes:
    """Return the body's type; JSON where curl's ``-d`` calls it a form, also for the upstream."""
    stated = exchange.header(b"content-type") or b""
    if stated[:33].lower() == b"application/x-www-form-urlencoded" and body[:64].lstrip()[:1] == b"{":
        stated = b"application/json"
        exchange.headers = [(name, stated if name == b"content-type" else value) for name, value in exchange.headers]
    return stated


@implementer(IReadsHead, IRefuses, IEndsBroken)
class ModelRoute(Resource):
    """Relays what is sent to one endpoint, or to every endpoint below it, to the provider of its model.

    Args:
        entry: Makes exchanges.
        dialect: Name of what callers speak here; it is loaded when the first of them comes.
        endpoint: Path below ``/v1/``; None takes it from the request's path.
        methods: Those allowed; None allows all.
        takes_aliases: Whether every method is allowed to a request for an alias.
    """

    isLeaf = True
    runs: type[Run] = Run
    """What takes exchanges along the path."""

    def __init__(
        self,
        entry: Entry,
        dialect: str,
        endpoint: str | None,
        methods: tuple[bytes, ...] | None = (b"POST",),
        takes_aliases: bool = False,
    ) -> None:
        super().__init__()
        self._entry = entry
        self._takes_aliases = takes_aliases
        self._speaks = dialect
        self._endpoint = endpoint
        self._methods = methods

    @property
    def _dialect(self) -> Any:
        return SPOKEN[self._speaks]

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Open the exchange and check what the head tells, before any of the body is read."""
        endpoint = self._endpoint if self._endpoint is not None else b"/".join(request.postpath or []).decode("latin-1")
        waiting = self._entry.open(request, self._dialect, "models", endpoint)
        if self._allows(request.method) or self._may_be_for_alias(request):
            return waiting
        if waiting is None:
            self._refuse_method(None)
        else:
            waiting.addCallback(self._refuse_method)
        return waiting

    def _allows(self, method: bytes) -> bool:
        return self._methods is None or method in self._methods

    def _may_be_for_alias(self, request: Request) -> bool:
        """Return whether the body has to tell: an alias takes every method below ``/v1``."""
        has_body = request.facts.chunked or bool(request.facts.content_length)
        return self._takes_aliases and has_body and bool(self._entry.pipeline.names.registered)

    def _refuse_method(self, _: object) -> None:
        allowed = b", ".join(self._methods or ())
        raise MethodNotAllowed(f"Only {allowed.decode()} is allowed here.", headers=[(b"allow", allowed)])

    def render(self, request: Request) -> int:
        """Read the envelope and run."""
        exchange: Exchange = request.exchange
        exchange.bytes_in = request.body_bytes
        exchange.mark("body")
        body = request.body()
        if body or request.method == b"POST":
            dialect: Any = exchange.dialect
            envelope = dialect.envelope(exchange.endpoint, _content_type(exchange, body), body, exchange.query)
            if (version := getattr(dialect, "version_header", None)) is not None:
                envelope.version = (exchange.header(version) or b"").decode("latin-1") or None
            exchange.envelope = envelope
            exchange.model = _checked(envelope.model)
            exchange.stream = envelope.stream
            if not self._allows(exchange.method) and exchange.model not in self._entry.pipeline.names.registered:
                self._refuse_method(None)
        elif request.facts.upgrade is not None:
            exchange.model = _checked(named_model(exchange.query))
        self.runs(self._entry.pipeline, exchange, request).start()
        return NOT_DONE_YET

    def refusal(self, request: Request, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write ``error`` in this route's dialect and end the exchange with it, if there is one."""
        status, headers, body = refusal(self._dialect, error)
        exchange: Exchange | None = request.exchange
        if exchange is not None:
            headers += own_headers(exchange)
            if exchange.outcome is None:
                exchange.bytes_in = request.body_bytes
                exchange.bytes_out = len(body)
                exchange.end(Outcome.REFUSED, status, error.code)
        return status, headers, body

    def broken(self, request: Request, failure: Failure) -> None:
        """End what has begun for ``request``."""
        broken(request.exchange, request, failure)
