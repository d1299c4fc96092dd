"""The forward proxy: whole URLs and CONNECT, to public hosts and those that are allowed besides.

What comes out of a tunnel that is looked into comes here too, and is relayed as what comes with a whole URL.

This module must not look into what is relayed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.errors import Forbidden, Misdirected, Unauthenticated
from netrunner.globs import Globs
from netrunner.http.forwarding import CONNECT
from netrunner.http.intercept import Inside, Interceptor
from netrunner.http.request import IReadsHead, IRefuses, Request
from netrunner.interfaces import IUpstream
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.tunnel import Passage
from netrunner.settings import Secret
from netrunner.values import Origin
from netrunner.web.gate import basic
from netrunner.web.proxy import Entry, ModelRoute
from netrunner.web.raw import RawRun, passed_on

NAME = "forward"
"""What the listener is called in records."""
_PORTS = (80, 443)
"""Which may be asked for of any host."""
_PORT = re.compile(rb":[0-9]*\Z")
_CHALLENGE = ((b"proxy-authenticate", b'Basic realm="netrunner", charset="UTF-8"'),)


class PassageRun(RawRun):
    """A run whose bytes go through unseen."""

    tunnels = Passage


class Credential:
    """Says who may use the proxy.

    Args:
        user, password: Asked for by ``Proxy-Authorization``; without them everybody is let in.
    """

    def __init__(self, user: Secret | None, password: Secret | None) -> None:
        self._user = self._expected = None
        if user is not None and password is not None:
            self._user = user.reveal()
            self._expected = f"{self._user}:{password.reveal()}".encode()

    def check(self, request: Request) -> str | None:
        """Return the user who asks, None where nobody has a name.

        Raises:
            Unauthenticated: 407 with a challenge (RFC 9110, 11.7), compared in constant time.
        """
        given = basic(request.header(b"proxy-authorization"))
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            raise Unauthenticated(
                "The proxy asks for a user and a password.", code="proxy_auth_required", status=407, headers=_CHALLENGE
            )
        return self._user


class Hosts:
    """Says which hosts the proxy leads to, by their names; what addresses they have is seen when they are connected to.

    Args:
        include: Patterns of those it leads to; empty for any.
        exclude: Patterns of those it does not lead to.
        allow: Hosts, alone or with a port, of which other ports than those of HTTP may be asked for.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str], allow: Sequence[str]) -> None:
        self._include, self._exclude = Globs(include), Globs(exclude)
        self._allow = frozenset(allow)

    def check(self, origin: Origin) -> None:
        """Refuse what may not be asked for.

        Raises:
            Forbidden: ``host_denied``.
        """
        name, authority = origin.host, f"[{origin.host}]" if ":" in origin.host else origin.host
        allowed = not self._allow.isdisjoint((authority, f"{authority}:{origin.port}"))
        if name in self._exclude or (self._include and name not in self._include):
            raise Forbidden(f"This proxy does not lead to {authority}.", code="host_denied")
        if origin.port not in _PORTS and not allowed:
            raise Forbidden(f"This proxy does not lead to port {origin.port} of {authority}.", code="host_denied")


class Interception:
    """Says which tunnels are looked into.

    Args:
        interceptor: Looks into them.
        include, exclude: Patterns of the names of hosts.
    """

    def __init__(self, interceptor: Interceptor, include: Sequence[str], exclude: Sequence[str]) -> None:
        self.interceptor = interceptor
        self._include, self._exclude = Globs(include), Globs(exclude)

    def wants(self, origin: Origin) -> bool:
        """Return whether a tunnel to a host and port is looked into; at HTTP's own port nobody speaks TLS."""
        return origin.port != _PORTS[0] and origin.host in self._include and origin.host not in self._exclude


@implementer(IReadsHead, IRefuses)
class Forward(ModelRoute):
    """What is served where requests come to a proxy.

    Args:
        entry: Makes exchanges.
        credential: Who may use it.
        hosts: What it leads to.
        upstream: Carries requests for a URL.
        straight: Carries what is tunnelled.
        interception: Which tunnels are looked into, if any is.
    """

    takes_slashes = True

    def __init__(
        self,
        entry: Entry,
        credential: Credential,
        hosts: Hosts,
        upstream: IUpstream,
        straight: IUpstream,
        interception: Interception | None = None,
    ) -> None:
        super().__init__(entry, "openai", "", None)
        self._interception = interception
        self._credential = credential
        self._hosts = hosts
        self._upstream = upstream
        self._straight = straight

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Open the exchange, see who asks for what, and send at once; the body follows as it comes."""
        self._entry.open(request, self._dialect, NAME, "")
        exchange: Exchange = request.exchange
        inside = request.client
        if isinstance(inside, Inside):
            exchange.caller, origin = inside.user, inside.origin
            _check_host(request, origin)
        else:
            exchange.caller = self._credential.check(request)
            origin = _origin(request)
            self._hosts.check(origin)
        exchange.provider = NAME
        if request.facts.upgrade == CONNECT:
            sent = passed_on(request, origin, request.path, b"")
            PassageRun(self._entry.pipeline, exchange, request).send(NAME, sent, self._far_end(request, origin))
            return None
        body: Any = b""
        if request.facts.chunked or request.facts.content_length:
            body = exchange.upload = request.stream_body()
        sent = passed_on(request, origin, request.path, body)
        RawRun(self._entry.pipeline, exchange, request).send(NAME, sent, self._upstream)
        return None

    def _far_end(self, request: Request, origin: Origin) -> IUpstream:
        """Return where a tunnel leads: to its host, or into this process."""
        interception = self._interception
        if interception is None or not interception.wants(origin):
            return self._straight
        inside = Inside(request.client, Origin("https", origin.host, origin.port), request.exchange.caller)
        return interception.interceptor.tunnel(request.site, request.host, inside)

    def render(self, request: Request) -> int:
        """Nothing is left to do when the body is complete."""
        return NOT_DONE_YET


def _origin(request: Request) -> Origin:
    """Return where a request is to go."""
    host = request.facts.host
    assert host is not None, "rules.check refuses a whole URL without one"
    name, port = _named(host)
    return Origin("http", name, port or _PORTS[0])


def _check_host(request: Request, origin: Origin) -> None:
    """Refuse a request that came out of a tunnel to another host than it names.

    Raises:
        Misdirected: whoever is let in to one host is not for that let in to another behind it.
    """
    host = request.facts.host
    if host is not None:
        name, port = _named(host)
        if (name, port or _PORTS[1]) != (origin.host, origin.port):
            raise Misdirected("This connection leads to another host.")


def _named(host: bytes) -> tuple[str, int]:
    """Return the name and the port, 0 without one, of an authority."""
    name, _, port = host.decode("ascii").rpartition(":") if _PORT.search(host) else (host.decode("ascii"), "", "")
    return name.strip("[]").rstrip("."), int(port or 0)
