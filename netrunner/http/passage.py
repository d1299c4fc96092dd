"""Getting a transport to an origin through a proxy: to the proxy, its handshake, then TLS with the origin.

This module must not know what is said over the transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHandshakeListener, IProtocol, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import ProxyFailed, UpstreamError
from netrunner.http.connect import Connect
from netrunner.http.dial import Dial, Dialler, dial, factory_of, is_literal
from netrunner.http.resolve import resolve
from netrunner.http.socks import Socks5
from netrunner.http.tls import TlsContexts
from netrunner.routing.proxies import Proxies, Proxy
from netrunner.values import Origin


class Handshake(Protocol):
    """What is said to a proxy; bytes in, bytes out."""

    @property
    def done(self) -> bool:
        """Whether the upstream is connected to."""

    @property
    def rest(self) -> bytes:
        """What came after the proxy's last word."""

    def begin(self) -> bytes:
        """Return what is said first."""

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy says and return what is said next; raises ``ProxyFailed``."""


def through(proxies: Proxies) -> Dial:
    """Return what a ``Pool`` connects with so that it goes through proxies where there is one.

    Plain HTTP goes to an HTTP proxy as it is, so there the proxy itself is what is connected to.
    """

    def connect(
        reactor: Any, origin: Origin, tls: TlsContexts | None, protocol: Dialler, timeout_s: float
    ) -> Callable[[], None]:
        proxy = proxies.of(origin)
        if proxy is None:
            return dial(reactor, origin, tls, protocol, timeout_s)
        passage = _Passage(reactor, proxy, origin, tls, protocol, timeout_s)
        passage.begin()
        return passage.give_up

    return connect


@implementer(IProtocol, IHandshakeListener)
class _Passage:
    """The protocol of a connection to a proxy, until the one that wanted it takes over; then it hands on what comes."""

    def __init__(
        self,
        reactor: Any,
        proxy: Proxy,
        origin: Origin,
        tls: TlsContexts | None,
        protocol: Dialler,
        timeout_s: float,
    ) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._origin = origin
        self._tls = tls
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._handshake: Handshake | None = None
        self._transport: Any = None
        self._inner: Any = None
        """What the proxy's bytes are for, once the upstream is connected to."""
        self._stop: Callable[[], object] | None = None
        self._over = False
        """Whether whoever wanted the connection is to hear nothing more."""

    def begin(self) -> None:
        """Connect to the proxy; first resolve the upstream's name if the proxy shall not."""
        origin = self._origin
        if self._proxy.scheme == "socks5" and not is_literal(origin.host):
            stop = resolve(self._reactor, origin.host, origin.port, self._resolved)
            self._stop = self._stop or stop
        else:
            self._connect(origin.host)

    def _resolved(self, addresses: list[Any]) -> None:
        if addresses:
            self._connect(addresses[0].host)
        else:
            self._fail_later(UpstreamError("the upstream's name cannot be resolved"))

    def _connect(self, host: str) -> None:
        try:
            self._handshake = _handshake(self._proxy, self._origin, host)
        except ProxyFailed as error:
            self._fail_later(error)
        else:
            self._stop = dial(self._reactor, self._proxy.origin, self._tls, self, self._timeout_s)

    def _fail_later(self, error: UpstreamError) -> None:
        self._stop = self._reactor.callLater(0, self._fail, error).cancel

    def _fail(self, error: UpstreamError) -> None:
        self._over, self._stop = True, None
        if self._transport is not None:
            self._transport.abortConnection()
        self._protocol.connect_failed(Failure(error))

    def give_up(self) -> None:
        """Connect no more."""
        self._over = True
        if self._stop is not None:
            self._stop()

    def connect_failed(self, reason: Failure) -> None:
        """The proxy cannot be connected to."""
        if not self._over:
            unknown = reason.check(DNSLookupError)
            problem = "its name cannot be resolved" if unknown else type(reason.value).__name__
            self._fail(ProxyFailed(f"cannot connect to the proxy: {problem}"))

    def makeConnection(self, transport: Any) -> None:
        self._transport = transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self._stop = transport.abortConnection
        if self._over:
            transport.abortConnection()
        elif self._proxy.scheme != "https":
            self._greet()

    def connectionMade(self) -> None:
        """Nothing to do that ``makeConnection`` has not done."""

    def handshakeCompleted(self) -> None:
        """TLS with the proxy is up, its certificate verified."""
        if not self._over:
            self._greet()

    def _greet(self) -> None:
        if self._handshake is None:
            self._hand_over(b"")
        else:
            self._transport.write(self._handshake.begin())

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif self._handshake is not None and not self._over:
            self._listen(self._handshake, data)

    def _listen(self, handshake: Handshake, data: bytes) -> None:
        try:
            said = handshake.feed(data)
        except ProxyFailed as error:
            self._fail(error)
            return
        if said:
            self._transport.write(said)
        if handshake.done:
            self._hand_over(handshake.rest)

    def _hand_over(self, rest: bytes) -> None:
        self._inner = factory_of(self._reactor, self._origin, self._tls, self._protocol).buildProtocol(None)
        self._inner.makeConnection(self._transport)
        if rest:
            self._inner.dataReceived(rest)

    def connectionLost(self, reason: Failure) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self._over:
            certificate = reason.check(SSL.Error, VerificationError)
            told = "the TLS handshake with the proxy failed" if certificate else "the proxy closed the connection"
            self._fail(ProxyFailed(told))


def _handshake(proxy: Proxy, origin: Origin, host: str) -> Handshake | None:
    """Return how the upstream is asked for; None if each request tells it."""
    if not proxy.speaks_http:
        return Socks5(host, origin.port, proxy.user, proxy.password)
    if origin.scheme == "http":
        return None
    name = f"[{origin.host}]" if ":" in origin.host else origin.host
    authority = f"{name}:{origin.port}".encode("ascii" if name.isascii() else "idna")
    return Connect(authority, proxy.authorization)
