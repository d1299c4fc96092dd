"""Connections of side calls, of which Twisted does not write lines into the daemon's log.

This module must not carry requests of clients: their connections are ``pool``'s.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web.client import HTTPConnectionPool
from zope.interface import implementer


@implementer(IStreamClientEndpoint)
class _Quiet:
    """Connects as another endpoint does, by factories that are silent.

    Each connection makes a factory of its own; two lines a call, with its address in memory, tell nobody anything.
    """

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        protocolFactory.noisy = False  # type: ignore[attr-defined]  # of every Factory, but of no interface
        return self._endpoint.connect(protocolFactory)


class QuietPool(HTTPConnectionPool):
    """A connection for each call, closed after it.

    Args:
        reactor: Makes them.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, persistent=False)

    def getConnection(self, key: Any, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """Return a connection to where an ``Agent`` wants to ask."""
        return super().getConnection(key, _Quiet(endpoint))
