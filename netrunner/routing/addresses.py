"""Where a URL that a caller registered may lead: public https, and the hosts an operator allowed besides.

A name is only text; what counts is the address that is connected to, so every address is asked about when it is about
to be used (``AddressPolicy.permits``), however the name resolved before.

Pure: no I/O. This module must not resolve names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from netrunner.errors import BadRequest
from netrunner.values import Origin

MAX_PORT = 65535
MAX_NAME = 253
"""Characters of a host name (RFC 1035, 2.3.4)."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?",
    re.ASCII | re.IGNORECASE,
)
"""No credentials, query or fragment, nothing that two readers of URLs could take for different hosts."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes other readers take a whole name for an address (WHATWG URL, 3.5)."""
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has assigned; what looks global outside of it is not."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = [
    ipaddress.ip_network(one)
    for one in (
        # Where clouds tell a machine its credentials.
        "169.254.0.0/16", "fe80::/10", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd20:ce::254", "fd00:42::42",
        # Nobody's address: whoever connects to it reaches itself, many, or nothing.
        "0.0.0.0/8", "::", "224.0.0.0/3", "ff00::/8",
    )
]  # fmt: skip
"""What not even an allowed host may lead to."""
_NOT_GLOBAL = [ipaddress.ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")]
"""What some versions of ``ipaddress`` call global and is not."""


class AddressPolicy:
    """Says what a URL given by a caller may lead to.

    Args:
        allow: Hosts, each alone or as ``host:port`` (IPv6 in brackets), that may also be spoken to by http, and that
            may have any address but a cloud's metadata service and those that are nobody's.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = frozenset(one.lower() for one in allow)

    def check(self, url: str, param: str) -> None:
        """Refuse a URL by what can be seen of it; its name is resolved only when it is connected to.

        Args:
            url: As the caller gave it.
            param: The field it came in, for the message.

        Raises:
            BadRequest: ``address_denied``.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise _denied(param, "expected an absolute https URL of a host and a path, without credentials or query")
        host = found["host"]
        address = _address(host)
        if int(found["port"] or 0) > MAX_PORT or len(host) > MAX_NAME or (address is None and _looks_numeric(host)):
            raise _denied(param, "the host is neither a name nor an address as it is usually written")
        origin = Origin.of(url)
        if origin.scheme != "https" and not self._allows(origin):
            raise _denied(param, "https is required, except for hosts that register.allow names")
        if address is not None and not self.permits(origin, origin.host):
            raise _denied(param, "the address is not a public one, and register.allow does not name it")

    def permits(self, origin: Origin, address: str) -> bool:
        """Return whether a connection to ``address``, a literal one, may be made for ``origin``."""
        try:
            meant = list(_unwrapped(ipaddress.ip_address(address)))
        except ValueError:
            return False
        if self._allows(origin):
            return not any(one in network for one in meant for network in _NEVER)
        return origin.scheme == "https" and all(map(_is_global, meant))

    def _allows(self, origin: Origin) -> bool:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        return not self._allow.isdisjoint((host, f"{host}:{origin.port}"))


def _denied(param: str, reason: str) -> BadRequest:
    return BadRequest(f"{param}: {reason}.", code="address_denied", param=param)


def _address(host: str) -> Address | None:
    """Return the address that a URL's host is, if it is written in the one canonical way (RFC 5952)."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    canonical = str(address) if address.version == 4 else f"[{address}]"
    return address if canonical == host and list(_unwrapped(address)) == [address] else None


def _looks_numeric(host: str) -> bool:
    return host[0] == "[" or _NUMBER.fullmatch(host.rpartition(".")[2].lower()) is not None


def _unwrapped(address: Address) -> Iterator[Address]:
    """Yield an address, or those that a translator or tunnel would send to instead of it."""
    if address.version == 4:
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    else:
        yield address


def _is_global(address: Address) -> bool:
    if any(address in network for network in (*_NEVER, *_NOT_GLOBAL)):
        return False
    return address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)
