"""The factory of channels: the Resource tree, its limits, and what all connections share.

This module must not know what stands in the tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from twisted.web import http, server
from twisted.web.resource import IResource, getChildForRequest
from zope.interface import implementer

from netrunner.errors import BadRequest, ExchangeError, Misdirected, Overloaded
from netrunner.http import rules
from netrunner.http.channel import Channel
from netrunner.http.flush import Flush
from netrunner.http.request import IRefuses, Request
from netrunner.http.sweep import Sweep
from netrunner.http.turn import Later, at_once
from netrunner.values import Headers

SPARE_CONNECTIONS = 1024
"""The most connections beyond ``max_connections`` that are told so by a 503."""
Refusal = Callable[[Request | None, ExchangeError], tuple[int, Headers, bytes]]


class Limits(msgspec.Struct, frozen=True):
    """What a client may send, and how slowly; see ``server`` in ``docs/config.md``."""

    header_timeout_s: float = 10
    body_grace_s: float = 10
    body_min_rate_bytes: int = 500
    idle_timeout_s: float = 75
    write_stall_s: float = 60
    max_tunnel_s: float = 3600
    max_header_bytes: int = 16384
    max_headers: int = 100
    max_body_bytes: int = 33554432
    max_buffered_bytes: int = 268435456
    max_connections: int = 10000
    spare_connections: int = SPARE_CONNECTIONS
    hosts: frozenset[str] | None = None
    """Names answered for, without ports, lowercase; None for any."""
    half_close_aborts: bool = True
    forward: bool = False
    """Whether requests come as to a proxy."""


@implementer(IRefuses)
class Site(server.Site):
    """A ``twisted.web`` site whose connections are parsed by llhttp.

    Args:
        root: The root resource.
        sweep: Shared deadlines; started and stopped by whoever made it.
        limits: What a client may send.
        refusal: Writes an error that no resource answered for.
        refused: Told of every refusal, for the record.
        flush: Sends what one turn of the reactor writes together; without it each write leaves at once.
    """

    def __init__(
        self,
        root: IResource,
        sweep: Sweep,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        refusal: Refusal | None = None,
        refused: Callable[[Request | None, ExchangeError], None] | None = None,
        flush: Flush | None = None,
    ) -> None:
        self.resource = root
        self.sweep = sweep
        self.limits = limits
        self.flush = flush
        self.later: Later = at_once if flush is None else flush.later
        """Does something in a step of this turn of the reactor."""
        self.channels: set[Channel] = set()
        self.buffered_bytes = 0
        self.accepting = True
        self.cuts: Counter[str] = Counter()
        """Connections dropped without an answer, by reason: ``no_room``, ``stalled``, ``pipelined``, ``body``."""
        self._refusal = refusal or plain_refusal
        self._refused = refused
        self.sessions: dict[bytes, Any] = {}
        self.counter = 0
        self.displayTracebacks = False
        self._date = b""
        self._date_at = -1.0

    # Twisted's factory hooks: no access log of its own, no timer for its date.

    def startFactory(self) -> None:
        """Nothing to start."""

    def stopFactory(self) -> None:
        """Nothing to stop."""

    def log(self, request: Any) -> None:
        """The record is the pipeline's."""

    def buildProtocol(self, addr: Any) -> Channel | None:  # type: ignore[override]  # a channel of our own
        """Return the channel of a new connection; None closes one that is not even worth a refusal."""
        if len(self.channels) >= self.limits.max_connections + self.limits.spare_connections:
            self.cuts["no_room"] += 1
            return None
        return Channel(self)

    # What channels tell and ask.

    def opened(self, channel: Channel) -> None:
        """A connection began."""
        self.channels.add(channel)
        self.sweep.watch(channel)

    def closed(self, channel: Channel) -> None:
        """A connection ended."""
        self.channels.discard(channel)
        self.sweep.forget(channel)

    def admit(self, request: Request) -> None:
        """Refuse a request whose Host is not ours, or that comes when there is no room."""
        hosts = self.limits.hosts
        if hosts is not None and request.facts.host is not None:
            name = hostname(request.facts.host)
            if name not in hosts:
                raise Misdirected("This server does not answer for that Host.")
        if len(self.channels) > self.limits.max_connections or not self.accepting:
            # In an end, clients that never pause would otherwise come until they are cut.
            request.close_after(announce=not self.accepting)
            if len(self.channels) > self.limits.max_connections:
                raise Overloaded("Too many connections.", code="too_many_connections", retry_after_s=1)

    def check_size(self, size: int) -> None:
        """Refuse a buffered body of more than the allowed bytes."""
        if size > self.limits.max_body_bytes:
            raise rules.too_large(self.limits.max_body_bytes)

    def resource_for(self, request: Request) -> IResource:
        """Walk the tree to the resource of a request's path.

        An encoded slash is part of a name and no step. Others may read it as a step, so it is refused unless the
        resource says ``takes_slashes``.
        """
        request.prepath = []
        request.sitepath = []
        request.postpath = segments = request.path[1:].split(b"/")
        encoded = b"%" in request.path
        if encoded:
            request.postpath = list(map(unquote_to_bytes, segments))
        resource: IResource = getChildForRequest(self.resource, request)
        if encoded and b"%2f" in request.path.lower() and not getattr(resource, "takes_slashes", False):
            raise BadRequest("The path holds an encoded slash.", code="bad_path")
        return resource

    def date(self) -> bytes:
        """Return the value of ``Date`` for an answer sent now (RFC 9110, 5.6.7)."""
        if self._date_at != self.sweep.now:
            self._date_at = self.sweep.now
            self._date = http.datetimeToString(self.sweep.wall())
        return self._date

    def refusal(self, request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Return the answer for an error outside any resource."""
        return self._refusal(request, error)

    def refused(self, request: Request | None, error: ExchangeError) -> None:
        """Note a refusal."""
        if self._refused is not None:
            self._refused(request, error)

    def stop_accepting(self) -> None:
        """Answer what is in progress and close; idle connections end after a moment."""
        self.accepting = False
        for channel in list(self.channels):
            channel.close_when_idle()


@lru_cache(maxsize=256)
def hostname(host: bytes) -> str:
    """Return the name of a ``Host`` value, without port and brackets."""
    name = host.decode("latin-1")
    if name.startswith("["):
        return name[1 : name.index("]")]
    return name.partition(":")[0].rstrip(".")


def plain_refusal(request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
    """Return an error as one line of text."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *error.fields()]
    return error.status, headers, error.message.encode() + b"\n"
