"""The way of a request in memory, from a client's bytes to an upstream that the test plays, and its records."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from zope.interface import implementer

from netrunner.claims import Claim
from netrunner.errors import UpstreamError
from netrunner.filters.bearer import Bearer
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.interfaces import IResponseReceiver, ISteps, IUpstream, IUpstreamCall
from netrunner.limits.memory import MemoryCounters
from netrunner.pipeline.aliases import AliasProviders
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.choosing import Choosing
from netrunner.pipeline.sealed import Seals
from netrunner.pipeline.shared import Pipeline
from netrunner.pipeline.tracing import Tracing
from netrunner.routing.names import Names
from netrunner.routing.pool import Member, Pool
from netrunner.routing.table import Candidate, Table
from netrunner.routing.targets import Targets
from netrunner.settings import Health, Secret
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Headers, Record, ResponseHead, UpstreamRequest
from netrunner.web.access import Door, Sources
from netrunner.web.proxy import Entry
from netrunner.web.raw import RawRoute
from netrunner.web.tree import NOTHING, tree
from tests.support.client import Client

KEY = "sk-stored-key-of-the-operator"
LOOPBACK = IPv4Address("TCP", "127.0.0.1", 8080)
SSE = (b"content-type", b"text/event-stream")
JSON = (b"content-type", b"application/json")
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
DONE = b"data: [DONE]\n\n"


@implementer(IUpstreamCall)
class UpstreamCall:
    """One request as an upstream got it; the test answers by calling ``head``, ``body`` and ``fail``."""

    def __init__(self, request: UpstreamRequest, receiver: IResponseReceiver) -> None:
        self.request = request
        self.sent_body = request.body
        self.receiver: Any = receiver
        self.paused = self.aborted = self.ended = False
        self.written = b""
        self.producer: Any = None

    def header(self, name: bytes) -> list[bytes]:
        """Return every value of a field that was sent."""
        return [value for key, value in self.request.headers if key == name]

    def head(self, status: int = 200, *headers: tuple[bytes, bytes], reason: bytes = b"Fine") -> UpstreamCall:
        """Answer with a head."""
        self.receiver.sent(False)
        if not self.aborted:
            self.receiver.head_received(ResponseHead(status, reason, list(headers)))
        return self

    def body(self, data: bytes, last: bool = False) -> UpstreamCall:
        """Send the next bytes; an aborted call stays silent."""
        if not self.aborted:
            self.receiver.body_received(data, last)
        return self

    def fail(self, error: UpstreamError | None = None) -> None:
        """Break off."""
        if not self.aborted:
            self.receiver.failed(error or UpstreamError("broken", code="upstream_truncated"))

    def pause(self) -> None:
        """Note it."""
        self.paused = True

    def resume(self) -> None:
        """Note it."""
        self.paused = False

    def abort(self) -> None:
        """Note it."""
        self.aborted = True

    def write(self, data: bytes) -> None:
        """Keep raw bytes."""
        self.written += data

    def end(self) -> None:
        """Note it."""
        self.ended = True

    def register_producer(self, producer: Any) -> None:
        """Keep it."""
        self.producer = producer


@implementer(IUpstream)
class Upstream:
    """Takes every request and waits for the test to answer."""

    def __init__(self) -> None:
        self.calls: list[UpstreamCall] = []

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> UpstreamCall:
        """Keep the request."""
        self.calls.append(UpstreamCall(request, receiver))
        return self.calls[-1]


class Ledger:
    """In the journal's place: keeps what exchanges began with, and every record."""

    def __init__(self) -> None:
        self.intents: list[Record] = []
        self.records: list[Record] = []

    def begin(self, record: Callable[[], Record], *request: object) -> None:
        """Keep the record as it is now."""
        self.intents.append(msgspec.structs.replace(record()))

    def ended(self, record: Record, refused: bool) -> None:
        """Keep it."""
        self.records.append(record)


class Stage:
    """One configuration: the model ``m``, the alias ``alias`` of ``real``, one provider ``up``, raw routes.

    Args:
        filters: After the bearer filter, if there is a token.
        key: The provider's ``api_key``.
        token: The shared token; without it access is open.
        header: The field the token comes in.
        public: ``access.public``.
        models: Names to candidates instead of the usual two.
        unknown_model, default_provider, max_streams: As in the configuration.
        routes: Source to destination, or to destination and ``rewrite``.
        endpoints: What else the stored key is for.
        repair: The provider's setting.
        draining: Models whose answers are read on when the client has left.
        strategies: Of models with several candidates; ``priority`` when not given.
        health: When targets are left alone.
        claims: Of limited models.
        images: Who makes images where no model is named.
        provider: What ``up`` is, any type that is built in.
        other: What ``other`` is, the same when not given.
        settings: Of these providers, beside their address and key.
        names: What ``Names`` takes besides models: rules, map, aliases.
        tracing, seals: As of ``Pipeline``.
        limits: Of the server.
    """

    def __init__(
        self,
        *filters: Any,
        key: Any = KEY,
        token: str | None = None,
        header: str | None = None,
        public: bool = False,
        models: Mapping[str, tuple[Candidate, ...]] | None = None,
        unknown_model: str | None = None,
        default_provider: str | None = None,
        max_streams: int = 100,
        routes: Mapping[str, tuple[str, str]] | None = None,
        endpoints: tuple[str, ...] = (),
        draining: tuple[str, ...] = (),
        images: tuple[Candidate, ...] = (),
        repair: bool = False,
        strategies: Mapping[str, str] = MappingProxyType({}),
        health: Health = Health(),  # noqa: B008 - frozen
        claims: Mapping[str, Claim] = MappingProxyType({}),
        provider: str = "openai",
        other: str | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
        names: Mapping[str, Any] = MappingProxyType({}),
        tracing: Tracing | None = None,
        seals: Seals | None = None,
        **limits: Any,
    ) -> None:
        self.clock = FakeClock()
        self.upstream = Upstream()
        self.ledger = Ledger()
        chain: list[Any] = list(filters)
        if token is not None:
            chain.insert(0, Bearer(Secret(token), header))
        stored = Secret(key) if isinstance(key, str) and key != "passthrough" else key
        given = {
            "base_url": "http://up.example/v1",
            "api_key": stored,
            "endpoints": endpoints,
            "repair": repair,
            **settings,
        }
        up = _built(provider, given, self.clock)
        built = {"up": up, "other": _built(other, given, self.clock) if other else up}
        table = {"m": (Candidate("up", "m"),), "alias": (Candidate("up", "real"),)} if models is None else models
        targets = Targets()
        named = [one for candidates in table.values() for one in candidates]
        targets.keep([(one.provider, one.model) for one in named], {"up": health, "other": health})
        pools = {
            name: Pool(
                name,
                [Member(one, targets.known(one.provider, one.model)) for one in candidates],
                strategies.get(name, "priority"),
            )
            for name, candidates in table.items()
            if len(candidates) > 1 or health.alone
        }
        self.targets = targets
        self.counters = MemoryCounters(self.clock)
        self.pipeline = Pipeline(
            Chain(chain),
            Table(table, unknown_model, default_provider, frozenset(draining), images),
            {name: (one, self._reach(one)) for name, one in built.items()},
            self.ledger,
            self.clock,
            max_streams,
            choosing=Choosing(targets, pools, claims, self.counters),
            names=Names(table, unknown_model, **names),
            tracing=tracing,
            seals=seals,
        )
        AliasProviders(self.pipeline, self.upstream, token is None or header is not None).follow(
            names.get("aliases", {})
        )
        entry = Entry(
            self.pipeline, Door(token is None, public), Sources(["127.0.0.1/32", "10.0.0.0/8"]), random.Random(0)
        )
        raw = {
            source.encode(): RawRoute(
                entry, "openai", "raw", destination, self.upstream, source.encode() if rewrite == "replace" else b""
            )
            for source, (destination, rewrite) in (routes or {}).items()
        }
        sweep = Sweep(self.clock)
        sweep.start()
        self.site = Site(tree(entry, raw, {}), sweep, Limits(**limits), NOTHING.refusal)

    def _reach(self, provider: Any) -> IUpstream:
        """Return what takes a provider's requests to the upstream."""
        return provider.over(self.upstream) if ISteps.providedBy(provider) else self.upstream

    def client(self, host: Any = LOOPBACK, peer: Any = None) -> Client:
        """Return a client that came in on the address ``host``."""
        client = Client(self.site, self.clock)
        client.transport.hostAddr = host
        client.transport.peerAddr = peer or IPv4Address("TCP", "127.0.0.1", 50000)
        return client

    def ask(self, body: Any = None, path: str = "/v1/chat/completions", **kw: Any) -> Client:
        """Return a client that has sent a whole request, a chat for the model ``m`` unless told otherwise."""
        return self.client().say(request(path, {"model": "m", "messages": []} if body is None else body, **kw))

    @property
    def call(self) -> UpstreamCall:
        """The request that came last to the upstream."""
        return self.upstream.calls[-1]

    @property
    def records(self) -> list[Record]:
        """Everything recorded so far."""
        return self.ledger.records

    def record(self) -> Record:
        """Return the only record, of an exchange for which nothing is held any more."""
        (record,) = self.records
        assert self.pipeline.inflight == {}
        assert self.site.buffered_bytes == 0
        return record


def _built(provider: str, given: Mapping[str, Any], clock: FakeClock) -> Any:
    factory = import_module(f"netrunner.providers.{provider}").plugin
    return factory.build(factory.settings(**given), FakeEnvironment("up", clock=clock))


def request(
    path: str = "/v1/chat/completions",
    body: Any = b"",
    *fields: str,
    method: str | None = None,
    host: str = "localhost",
    headers: Headers = (),  # type: ignore[assignment]  # an empty tuple is an empty list that nobody can change
) -> bytes:
    """Return a request; ``body`` is bytes, or a document that becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method or ('POST' if data else 'GET')} {path} HTTP/1.1", f"Host: {host}", *fields]
    if data:
        lines.append(f"Content-Length: {len(data)}")
    head = "".join(line + "\r\n" for line in lines).encode()
    return head + b"".join(b"%b: %b\r\n" % field for field in headers) + b"\r\n" + data


def error_of(body: bytes) -> dict[str, Any]:
    """Return the error object of a JSON body in OpenAI's shape."""
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) - {"provider", "model"} == {"message", "type", "param", "code"}
    return error


def body_of(heard: bytes) -> bytes:
    """Return the bytes of a chunked body, complete or not."""
    _, _, rest = heard.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


Build = Callable[..., Stage]
