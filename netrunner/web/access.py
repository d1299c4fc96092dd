"""Who is let in without a credential, and whose word about addresses is believed.

This module must not check credentials.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from netrunner.errors import Forbidden
from netrunner.http.local import is_local
from netrunner.http.request import Request
from netrunner.values import Headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door:
    """The rule for requests that carry no credential.

    Args:
        open: Whether the mode is ``open``; any other mode has a filter that asks for a credential.
        public: Whether ``access.public`` lets everybody in.
    """

    def __init__(self, open: bool, public: bool) -> None:
        self._asks = open and not public

    def check(self, request: Request) -> None:
        """Refuse a request that needs a credential which this configuration has no way to check."""
        if self._asks and not is_local(request):
            raise Forbidden(
                "Without credentials only local requests are served: set access.mode to 'token' and access.token,"
                " or access.public to true.",
                code="not_local",
            )


class Sources:
    """Tells where a request comes from, by the word of proxies that are trusted.

    Args:
        trusted: Networks whose ``X-Forwarded-For`` is believed.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted: list[Network] = [ipaddress.ip_network(one) for one in trusted]

    def of(self, peer: Any, headers: Headers) -> str:
        """Return the client's address as text: the last one named that is not a trusted proxy itself."""
        source: str = getattr(peer, "host", None) or "unix"
        named = [value for name, value in headers if name == b"x-forwarded-for"]
        if not named or not (source == "unix" or self._trusts(source)):
            return source
        for hop in reversed(b",".join(named).split(b",")):
            text = hop.strip().decode("latin-1")
            try:
                address = str(ipaddress.ip_address(text))
            except ValueError:
                return source
            source = address
            if not self._trusts(source):
                break
        return source

    def is_secure(self, request: Request) -> bool:
        """Return whether the client speaks TLS, to us or to a proxy that is trusted and says so."""
        if request.isSecure():
            return True
        source = getattr(request.client, "host", None) or "unix"
        return (source == "unix" or self._trusts(source)) and request.header(b"x-forwarded-proto") == b"https"

    def _trusts(self, address: str) -> bool:
        one = ipaddress.ip_address(address.partition("%")[0])
        return any(one in network for network in self._trusted)
