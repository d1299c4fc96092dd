"""Getting a transport to an origin: resolving its name, connecting, TLS, and why that failed.

This module must not know what is said over the transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from netrunner.errors import UpstreamError, UpstreamTimeout
from netrunner.http.tls import TlsContexts
from netrunner.values import Origin


class Dialler(Protocol):
    """The protocol that wants a transport."""

    def connect_failed(self, reason: Failure) -> None:
        """No transport was made."""


Dial = Callable[[Any, Origin, TlsContexts | None, Dialler, float], Callable[[], None]]
"""A way to connect, with the arguments of ``dial``, which is the direct one."""


class _Once(ClientFactory):
    """Hands the one protocol to the transport that is made for it."""

    noisy = False

    def __init__(self, protocol: Dialler) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._protocol.connect_failed(reason)


def dial(
    reactor: Any, origin: Origin, tls: TlsContexts | None, protocol: Dialler, timeout_s: float
) -> Callable[[], None]:
    """Connect ``protocol`` to ``origin``; return what gives up.

    A literal address is connected to directly; a name by ``HostnameEndpoint`` (RFC 8305).
    """
    factory = factory_of(reactor, origin, tls, protocol)
    if is_literal(origin.host):
        connector: IConnector = reactor.connectTCP(origin.host, origin.port, factory, timeout_s)
        return connector.disconnect
    attempt: Deferred[Any] = HostnameEndpoint(reactor, origin.host, origin.port, timeout_s).connect(factory)
    attempt.addErrback(protocol.connect_failed)
    return attempt.cancel


def factory_of(reactor: Any, origin: Origin, tls: TlsContexts | None, protocol: Dialler) -> Any:
    """Return what makes ``protocol``, inside TLS if that is how ``origin`` is spoken to."""
    factory: Any = _Once(protocol)
    if origin.scheme == "https":
        assert tls is not None, "the pool refuses https without TlsContexts"
        factory = TLSMemoryBIOFactory(tls.creator(origin.host), True, factory, reactor)
        # A request is one write: the buffering default would only add a delayed call to each.
        factory.protocol = TLSMemoryBIOProtocol
    return factory


def is_literal(host: str) -> bool:
    """Return whether ``host`` is an address rather than a name."""
    return isIPAddress(host) or isIPv6Address(host)


def connect_error(reason: Failure) -> UpstreamError:
    """Return what to tell of a failed connection or handshake; what is an ``UpstreamError`` already tells itself."""
    if isinstance(reason.value, UpstreamError):
        return reason.value
    if reason.check(SSL.Error, VerificationError):
        return UpstreamError("the TLS handshake with the upstream failed", code="upstream_tls_failed")
    if reason.check(ConnectTimeout):
        return UpstreamTimeout("connecting to the upstream took too long")
    if reason.check(DNSLookupError):
        return UpstreamError("the upstream's name cannot be resolved")
    if reason.check(ConnectError):
        return UpstreamError(f"cannot connect to the upstream: {type(reason.value).__name__}")
    return UpstreamError("the upstream closed the connection during the handshake")
