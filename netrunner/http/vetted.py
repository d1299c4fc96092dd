"""Connecting only to addresses that were vetted: a name is resolved once, and what it resolved to is what is used.

TLS still asks for the name. Nothing here or in the pool follows redirects.

This module must not decide which addresses are good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import UpstreamError
from netrunner.http.dial import Dial, Dialler, dial, is_literal
from netrunner.http.resolve import resolve
from netrunner.http.tls import TlsContexts
from netrunner.values import Origin

Permits = Callable[[Origin, str], bool]
"""Whether a literal address may be connected to for an origin."""


class AddressDenied(UpstreamError):
    """The upstream's address, or one of those its name has, is none that may be connected to."""

    default_code = "upstream_address_denied"
    retryable = False
    sent = False


def vetted(permits: Permits) -> Dial:
    """Return what a ``Pool`` connects with so that it reaches no address but those that are permitted.

    A name of which one address is not permitted is not connected to at all.
    """

    def connect(
        reactor: Any, origin: Origin, tls: TlsContexts | None, protocol: Dialler, timeout_s: float
    ) -> Callable[[], None]:
        attempt = _Attempt(reactor, origin, tls, protocol, timeout_s, permits)
        attempt.begin()
        return attempt.give_up

    return connect


class _Attempt:
    """Resolves a name, and connects to what it resolved to if all of that is permitted."""

    def __init__(
        self,
        reactor: Any,
        origin: Origin,
        tls: TlsContexts | None,
        protocol: Dialler,
        timeout_s: float,
        permits: Permits,
    ) -> None:
        self._reactor = reactor
        self._origin = origin
        self._dial = partial(dial, origin=origin, tls=tls, protocol=protocol, timeout_s=timeout_s)
        self._protocol = protocol
        self._permits = permits
        self._stop: Callable[[], object] | None = None

    def begin(self) -> None:
        """Resolve, or look at a literal address at once."""
        origin = self._origin
        if is_literal(origin.host):
            self._vet([origin.host], [])
        else:
            stop = resolve(self._reactor, origin.host, origin.port, self._resolved)
            self._stop = self._stop or stop

    def _resolved(self, addresses: list[Any]) -> None:
        self._vet([address.host for address in addresses], addresses)

    def _vet(self, hosts: list[str], addresses: list[Any]) -> None:
        if all(self._permits(self._origin, host) for host in hosts):
            self._stop = self._dial(_Resolved(self._reactor, addresses))
        else:
            self._stop = self._reactor.callLater(0, self._deny).cancel

    def _deny(self) -> None:
        self._stop = None
        self._protocol.connect_failed(Failure(AddressDenied("the upstream's address may not be connected to")))

    def give_up(self) -> None:
        """Connect no more."""
        if self._stop is not None:
            self._stop()


@implementer(IReactorPluggableNameResolver, IHostnameResolver, IHostResolution)
class _Resolved:
    """A reactor that has resolved the one name it will be asked for."""

    def __init__(self, reactor: Any, addresses: list[IAddress]) -> None:
        self._addresses = addresses
        self.name = ""
        self.nameResolver = self
        self.connectTCP = reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError("the name is resolved")

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolutionReceiver.resolutionBegan(self)
        for address in self._addresses:
            resolutionReceiver.addressResolved(address)
        resolutionReceiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """It is over by the time somebody could."""
