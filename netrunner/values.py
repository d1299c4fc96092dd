"""Plain data that crosses borders: heads, requests to upstreams, usage, outcomes, records.

Everything here is immutable and knows nothing of sockets, clocks or dialects. Header names are
lowercase bytes. Times ending in ``_s`` are seconds; those named ``at_*`` are Unix times.

This module must not import anything of netrunner but itself.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

Headers = list[tuple[bytes, bytes]]
"""Header fields in wire order; names lowercase, values without surrounding white space."""


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """Where an upstream lives: what a stored key is bound to."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authority: bytes = b""
    """The value of a ``Host`` header for this origin (RFC 9110, 7.2); made from the other fields."""
    url: str = ""
    """Scheme, host and port, as records name it; made from the other fields."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "authority", self._authority())
        msgspec.structs.force_setattr(self, "url", f"{self.scheme}://{self.host}:{self.port}")

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of an absolute http or https URL."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls("https" if secure else "http", parts.hostname or "", parts.port or (443 if secure else 80))

    @property
    def is_readable_by_others(self) -> bool:
        """Whether what is sent there crosses a network unencrypted."""
        try:
            local = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            local = self.host == "localhost"
        return self.scheme != "https" and not local

    def _authority(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        authority = host if self.port == default else f"{host}:{self.port}"
        return authority.encode("ascii" if host.isascii() else "idna")


class ResponseHead(msgspec.Struct, frozen=True):
    """The status line and header fields of a response, hop-by-hop fields already removed."""

    status: int
    reason: bytes
    headers: Headers

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the header called ``name`` (lowercase), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class UpstreamRequest(msgspec.Struct):
    """One attempt as it will go out; a filter's attempt phase may change or replace it.

    ``headers`` holds no framing and no ``Host``: the connection writes ``host``,
    ``content-length`` or ``transfer-encoding`` itself. ``body`` is bytes, or a
    ``twisted.web.iweb.IBodyProducer`` for a streamed one. ``upgrade`` asks for a
    protocol switch and then carries the wanted protocol (``b"websocket"``).
    """

    origin: Origin
    method: bytes
    target: bytes
    headers: Headers
    body: Any = b""
    upgrade: bytes | None = None


class Alias(msgspec.Struct, frozen=True):
    """A name that was registered for a model somewhere."""

    name: str
    model: str
    """The name by which the model is known there."""
    api_url: str
    """Takes the place of ``/v1``."""
    at_registered: float


class Envelope(msgspec.Struct):
    """What routing reads of a request body; ``body`` stays the bytes as they came."""

    body: bytes
    content_type: bytes
    model: str | None = None
    stream: bool = False
    wants_usage: bool = False
    """The caller asked for usage inside the stream."""
    located: tuple[bytes, int, int] | None = None
    """The dialect's note of where the model's value stands: in which body, from, until."""
    version: str | None = None
    """Of the API that the caller speaks, where its dialect has several: the value of ``version_header``."""


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation in neutral terms."""

    role: str
    text: str
    """Its text parts, joined."""
    native: Any = None
    """The decoded message as it came."""


class Call(msgspec.Struct):
    """What is to be asked of a provider: the client's request after routing, one per attempt."""

    method: bytes
    endpoint: str
    """The path below ``/v1/``, without a query: ``chat/completions``."""
    query: bytes
    """Without ``?``; a credential in it is already removed."""
    headers: Headers
    """Those the dialect passes on, the request id among them."""
    body: Any
    """bytes, the model's name already replaced; or an IBodyProducer."""
    model: str
    """The name this provider knows; empty when the request names none."""
    stream: bool
    authorization: bytes | None = None
    """The caller's own Authorization value for a ``passthrough`` provider, its project's key for a ``project`` one."""
    upgrade: bytes | None = None
    gaps: Any = None
    """``netrunner.dialects.gaps.Gaps`` of a request that was translated, or may be changed: what the provider gives up
    is told there."""
    translated: bool = False
    """It was written in the provider's dialect for a caller of another, who sees nothing of the answer's form."""


class Answer(msgspec.Struct, frozen=True):
    """A whole response made here: by a filter, a page, or an error."""

    status: int
    headers: Headers
    body: bytes


class Recalled(Answer, frozen=True):
    """An answer that was given before, to the same question."""

    of: str
    """The id of the record of it."""


class Usage(msgspec.Struct, frozen=True):
    """Token counts in their canonical form (None: the provider did not say).

    ``input_total`` includes ``cache_read`` and ``cache_write``; ``output_total`` includes ``reasoning``.
    ``source`` tells who counted.
    """

    input_total: int | None = None
    output_total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio: int | None = None
    source: Literal["provider", "counted"] = "provider"

    @property
    def total(self) -> int | None:
        """Tokens in and out together; None if neither is known."""
        if self.input_total is None and self.output_total is None:
            return None
        return (self.input_total or 0) + (self.output_total or 0)


class Outcome(enum.Enum):
    """How an exchange ended; every exchange has exactly one."""

    DONE = "done"
    REFUSED = "refused"
    """Answered here with an error before any provider was called."""
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    """The upstream broke after the response was committed."""
    CLIENT_GONE = "client_gone"
    CANCELLED = "cancelled"
    SHUT_DOWN = "shut_down"
    INTERRUPTED = "interrupted"
    """The process died; written by whoever found its journal."""


class MessageHead(msgspec.Struct, frozen=True, array_like=True):
    """What stands before a recorded body: the start line and the fields, credentials in them masked."""

    start: bytes
    """As on the wire, without its line end: ``POST /v1/chat/completions HTTP/1.1``, ``HTTP/1.1 200 OK``."""
    headers: Headers


class Copy(msgspec.Struct, frozen=True):
    """What the journal keeps of one message, and where; ``ICopies`` reads it."""

    folder: str
    """Of the journal, below ``state/journal``."""
    offset: int
    """Of the message's last frame, which leads to those before it."""
    bytes: int
    """Kept of the body."""
    complete: bool
    """Whether that is all of the body there was; otherwise the policy, or a full disk, cut it."""


class Attempt(msgspec.Struct):
    """One try at one candidate, as the record tells it."""

    provider: str
    model: str
    status: int | None = None
    error: str | None = None
    """The error's code, None when the attempt was answered."""
    reused: bool | None = None
    """Whether a warm connection carried it."""
    possibly_billed: bool = False
    """Sent but unanswered, and then tried elsewhere."""
    dialect: str | None = None
    """What the provider speaks."""
    request_id: str | None = None
    """The provider's own id of the request, as its answer told it."""


class Span(msgspec.Struct):
    """One attempt, as a trace tells it."""

    id: str
    """16 hexadecimal digits; the upstream was told it."""
    upstream: str
    """The origin called."""
    began_s: float
    """Seconds since the record's ``at_accept``."""
    ended_s: float | None = None
    """The same, of an attempt that failed and was not the end; None where it ended with the exchange."""


class Trace(msgspec.Struct):
    """The place of one exchange in a trace (W3C Trace Context)."""

    id: str
    """32 hexadecimal digits."""
    span: str
    """16 hexadecimal digits: the exchange's own."""
    parent: str | None
    """The caller's span; None if the trace begins here."""
    state: str | None
    """What the caller said in ``tracestate``."""
    sampled: bool
    attempts: list[Span] = []
    """One for each of the record's."""


class Record(msgspec.Struct):
    """What is written down about one exchange."""

    id: str
    request_id: str
    correlation_id: str | None
    at_accept: float
    """Unix time of the end of the request's headers."""
    source: str
    """The client's address, by the trusted proxies' word where there is one."""
    method: str
    path: str
    """Without the query: a query may carry a key."""
    route: str
    """The name of the route that served it: ``models``, a raw route's name, or ``-``."""
    dialect: str | None
    streaming: bool
    model: str | None
    """As the client named it."""
    upstream_model: str | None
    provider: str | None
    upstream: str | None
    """The origin called, None when none was."""
    attempts: list[Attempt]
    status: int
    """As the client saw it; 499 when it left before a status was sent."""
    outcome: str
    error: str | None
    """The error's code."""
    finish_reason: str | None
    usage: Usage | None
    bytes_in: int
    bytes_out: int
    duration_s: float
    timings: dict[str, float]
    """Seconds since ``at_accept`` by stage, in order: body, filtered, routed, upstream_sent, first_byte, committed,
    last_byte; those that were reached."""
    token: str | None = None
    """Identity of the caller's credential: a masked prefix, never the credential."""
    project: str | None = None
    """The project the credential belongs to."""
    request_sha256: str | None = None
    """Of the request's body as it came, in hexadecimal; None when nothing was recorded of it."""
    response_sha256: str | None = None
    """Of the answer's body as the client got it, without the signs of life in a stream."""
    request_copy: Copy | None = None
    response_copy: Copy | None = None
    dropped: list[str] = []
    """The caller's names of what had no place in the provider's dialect."""
    resolved: list[str] = []
    """The steps from the model's name to what it meant; empty where it is a configured one and meant itself."""
    trace: Trace | None = None
    """Where traces are kept, its place in one."""
    cached: str | None = None
    """The id of the record whose answer was given again; nobody was asked then."""
