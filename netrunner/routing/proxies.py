"""Which proxy leads to an upstream: the one that was configured, or the environment's by its usual rules.

Pure: no I/O. This module must not speak to a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from netrunner.values import Origin

ENVIRONMENT = "environment"
"""What a setting says to go by ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``."""
EXPECTED = "an http, https, socks5 or socks5h URL of a proxy's host and port, or `environment`"
MAX_CREDENTIAL = 255
"""Bytes of a user's name and of a password (RFC 1929, 2)."""
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SEPARATORS = re.compile(r"[\s,]+")
_RULE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


class Proxy(msgspec.Struct, frozen=True):
    """One proxy."""

    scheme: Literal["http", "https", "socks5", "socks5h"]
    """``socks5`` is told addresses, ``socks5h`` names."""
    host: str
    port: int
    user: bytes = b""
    password: bytes = b""

    def __repr__(self) -> str:
        return f"<Proxy {self.scheme}://{self.host}:{self.port}>"

    @classmethod
    def of(cls, url: str) -> Proxy:
        """Read a URL; user and password in it are percent-encoded where they have to be.

        Raises:
            ValueError: with what was expected.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(EXPECTED) from None
        user, password = unquote_to_bytes(parts.username or ""), unquote_to_bytes(parts.password or "")
        if parts.scheme not in _PORTS or not parts.hostname or port == 0 or _UNPRINTABLE.search(url):
            raise ValueError(EXPECTED)
        if (
            parts.path.strip("/")
            or "?" in url
            or "#" in url
            or b":" in user
            or max(len(user), len(password)) > MAX_CREDENTIAL
        ):
            raise ValueError(EXPECTED)
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, password)  # type: ignore[arg-type]  # one of _PORTS

    @property
    def origin(self) -> Origin:
        """Where it listens, and whether it is spoken to by TLS."""
        return Origin("https" if self.scheme == "https" else "http", self.host, self.port)

    @property
    def speaks_http(self) -> bool:
        """Whether it is a proxy of HTTP rather than of SOCKS."""
        return self.scheme in ("http", "https")

    @property
    def authorization(self) -> bytes | None:
        """The value of ``Proxy-Authorization`` (RFC 7617), if it asks for a credential."""
        if not (self.user or self.password):
            return None
        return b"Basic " + base64.b64encode(self.user + b":" + self.password)


class Proxies:
    """Tells which proxy leads to an origin.

    Args:
        by_scheme: The proxy by the origin's scheme.
        bypass: What is reached directly; None lets everything go through the proxy.
    """

    def __init__(self, by_scheme: Mapping[str, Proxy], bypass: Bypass | None = None) -> None:
        self._by_scheme = dict(by_scheme)
        self._bypass = bypass
        self._known: dict[Origin, Proxy | None] = {}

    @classmethod
    def always(cls, proxy: Proxy) -> Proxies:
        """Return the choice of one proxy for everything."""
        return cls({"http": proxy, "https": proxy})

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Proxies:
        """Return the choice that an environment makes; of each variable, the lowercase form comes first.

        Raises:
            ValueError: naming the variable that is no proxy's URL.
        """
        by_scheme = {}
        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
                if url := environ.get(name):
                    try:
                        by_scheme[scheme] = Proxy.of(url if "://" in url else f"http://{url}")
                    except ValueError:
                        raise ValueError(f"{name}: expected {EXPECTED.partition(', or')[0]}") from None
                    break
        return cls(by_scheme, Bypass(environ.get("no_proxy") or environ.get("NO_PROXY") or ""))

    def of(self, origin: Origin) -> Proxy | None:
        """Return the proxy for ``origin``, None if it is reached directly."""
        try:
            return self._known[origin]
        except KeyError:
            direct = self._bypass is not None and self._bypass.covers(origin)
            proxy = self._known[origin] = None if direct else self._by_scheme.get(origin.scheme)
            return proxy

    def all(self) -> Iterator[Proxy]:
        """Yield every proxy there may be."""
        yield from self._by_scheme.values()


class Bypass:
    """What ``NO_PROXY`` says is reached directly; this machine always is.

    Args:
        text: Rules between commas or spaces, each with ``:port`` or without: ``*`` for everything; a name, which stands
            for those below it too, with a dot in front or without; an address; a network, as ``10.0.0.0/8``.
    """

    def __init__(self, text: str) -> None:
        self._everything = False
        self._names: list[tuple[str, int | None]] = []
        self._networks: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int | None]] = []
        for rule in filter(None, _SEPARATORS.split(text)):
            self._add(rule)

    def _add(self, rule: str) -> None:
        if rule == "*":
            self._everything = True
            return
        try:
            self._networks.append((ipaddress.ip_network(rule, strict=False), None))
        except ValueError:
            found = _RULE.fullmatch(rule)
            if found is None:
                return
            host, port = found["host"].strip("[]"), int(found["port"]) if found["port"] else None
            try:
                self._networks.append((ipaddress.ip_network(host, strict=False), port))
            except ValueError:
                self._names.append((host.lower().removeprefix("*").strip("."), port))

    def covers(self, origin: Origin) -> bool:
        """Return whether ``origin`` is reached directly."""
        host, port = origin.host.lower().rstrip("."), origin.port
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            near = host == "localhost" or host.endswith(".localhost")
            rules = any((host == name or host.endswith(f".{name}")) and _fits(port, of) for name, of in self._names)
        else:
            near = address.is_loopback
            rules = any(address in network and _fits(port, of) for network, of in self._networks)
        return self._everything or near or rules


def _fits(port: int, wanted: int | None) -> bool:
    return wanted is None or wanted == port
