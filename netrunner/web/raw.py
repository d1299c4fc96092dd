"""Raw routes: a path prefix relayed to any HTTP server, bodies streamed both ways, nothing read.

This module must not look into bodies.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.http.headers import end_to_end
from netrunner.http.request import IReadsHead, IRefuses, Request
from netrunner.interfaces import IUpstream
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.run import Run
from netrunner.routing.table import Candidate
from netrunner.values import Headers, Origin, UpstreamRequest
from netrunner.web.proxy import Entry, ModelRoute

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(rb"[A-Za-z0-9\-._~]")


class RawRun(Run):
    """A run with one destination and no dialect's rules: fields and bodies as they come, in both directions."""

    verbatim = True

    def send(self, name: str, request: UpstreamRequest, upstream: IUpstream) -> None:
        """Send the request that was built from the client's."""
        self._send(Candidate(name, ""), request, upstream)


@implementer(IReadsHead, IRefuses)
class RawRoute(ModelRoute):
    """Relays everything below a prefix. An encoded slash in a path is for the destination to read.

    Args:
        entry: Makes exchanges.
        dialect: Name of what the errors made here are written in.
        name: Of the route, in the record.
        destination: URL of the server.
        upstream: Carries the requests.
        prefix: What is replaced by the destination's path; empty keeps the whole path.
    """

    takes_slashes = True

    def __init__(
        self, entry: Entry, dialect: str, name: str, destination: str, upstream: IUpstream, prefix: bytes
    ) -> None:
        super().__init__(entry, dialect, "", None)
        self._name = name
        self._upstream = upstream
        self.origin = Origin.of(destination)
        path = urlsplit(destination).path.encode("ascii")
        self._prefix = prefix
        self._path = path if prefix else b""

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Open the exchange and send at once; the body follows as it comes."""
        waiting = self._entry.open(request, self._dialect, self._name, "")
        body: Any = b""
        if request.facts.chunked or request.facts.content_length:
            body = request.exchange.upload = request.stream_body()
        if waiting is None:
            self._relay(request, body)
            return None
        return waiting.addCallback(lambda _: self._relay(request, body))

    def _relay(self, request: Request, body: Any) -> None:
        exchange: Exchange = request.exchange
        if exchange.outcome is not None:
            return
        sent = passed_on(request, self.origin, self.target(plain(request.path)), body)
        exchange.provider = self._name
        RawRun(self._entry.pipeline, exchange, request).send(self._name, sent, self._upstream)

    def target(self, path: bytes) -> bytes:
        """Return the path at the destination for a path here."""
        if not self._prefix:
            return path
        rest = path[len(self._prefix.rstrip(b"/")) :].removeprefix(b"/")
        return self._path.rstrip(b"/") + b"/" + rest

    def render(self, request: Request) -> int:
        """Nothing is left to do when the body is complete."""
        return NOT_DONE_YET


def passed_on(request: Request, origin: Origin, path: bytes, body: Any) -> UpstreamRequest:
    """Return a request for another server: its query and its end-to-end fields, without what was for us alone."""
    headers: Headers = [
        field
        for field in end_to_end(request.exchange.headers)
        if field[0] not in (b"host", b"content-length", b"expect")
    ]
    target = path + (b"?" + request.query if request.query else b"")
    return UpstreamRequest(origin, request.method, target, headers, body, request.facts.upgrade)


class Prefixes(Resource):
    """Raw routes over the built-in tree: the longest prefix wins across both, a route wins a tie.

    Args:
        tree: The built-in resources.
        routes: Prefix, beginning with a slash, to route.
        built_in: Paths of the built-in resources.
    """

    isLeaf = False

    def __init__(self, tree: Resource, routes: dict[bytes, Resource], built_in: frozenset[bytes]) -> None:
        super().__init__()
        self._tree = tree
        self._routes = sorted(
            ((prefix.rstrip(b"/"), route) for prefix, route in routes.items()), key=lambda one: -len(one[0])
        )
        self._built_in = sorted(built_in, key=len, reverse=True)

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """Choose between the routes and the tree by the whole path."""
        whole = plain(request.path)
        route = next((one for one in self._routes if _below(whole, one[0])), None)
        if route is not None:
            own = next((one for one in self._built_in if _below(whole, one)), b"")
            if len(route[0]) >= len(own):
                request.postpath = []
                return route[1]
        return self._tree.getChildWithDefault(path, request)


def _below(path: bytes, prefix: bytes) -> bool:
    return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix) : len(prefix) + 1] == b"/")


def plain(path: bytes) -> bytes:
    """Return ``path`` with what need not be encoded decoded, so that it is written in one way (RFC 3986, 6.2.2.2)."""
    return _ENCODED.sub(_decoded, path) if b"%" in path else path


def _decoded(found: re.Match[bytes]) -> bytes:
    byte = bytes([int(found[1], 16)])
    return byte if _UNRESERVED.fullmatch(byte) else found[0]
