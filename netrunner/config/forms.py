"""Checks beyond a type: what ``form`` of a setting stands for.

Each takes the text and returns it in its settled shape, or raises ``ValueError`` with what was expected.

This module must not touch the network, and of the file system only the current folder.
"""

from __future__ import annotations

import ipaddress
import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from netrunner.routing.proxies import ENVIRONMENT, Proxy

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")
_AUTHORITY = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])((?::[1-9][0-9]{0,4})?)")
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SEPARATOR = re.compile(r"(?<!\\):(?![^\[]*\])")
"""A colon that is neither escaped nor inside the brackets of an IPv6 address."""
_ARGUMENTS = {"tcp": {"interface", "backlog"}, "tcp6": {"interface", "backlog"}, "unix": {"mode"}}
_SCHEMES = re.compile(r"(?:https?://)*(https?)://")
_SLASHES = re.compile("/{2,}")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Listener:
    """One place to listen: a TCP address, or the path of a Unix socket."""

    interface: str = ""
    port: int = 0
    path: str = ""
    backlog: int | None = None
    mode: int = 0o660
    """Permissions of the path."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine gets there."""
        if self.path:
            return True
        if self.interface == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.interface).is_loopback
        except ValueError:
            return False

    @property
    def host(self) -> str | None:
        """The address as it stands in a Host field, or None if it is none in particular."""
        if self.path or self.interface in ("", "0.0.0.0", "::"):
            return None
        return f"[{self.interface}]" if ":" in self.interface else self.interface


def listener(text: str) -> Listener:
    r"""Read an endpoint string: ``tcp:PORT[:interface=ADDRESS][:backlog=N]``, or ``unix:PATH[:mode=OCTAL]``.

    An IPv6 address stands in brackets, or its colons are written ``\:`` as Twisted has it. No interface means every
    one; port 0 lets the kernel choose.

    Raises:
        ValueError: with what was expected.
    """
    kind, *parts = (re.sub(r"\\(.)", r"\1", part) for part in _SEPARATOR.split(text))
    named = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
    if kind in _ARGUMENTS and len(named) == len(parts) - 1 and parts[0] and named.keys() <= _ARGUMENTS[kind]:
        return _unix(parts[0], **named) if kind == "unix" else _tcp(kind, parts[0], **named)
    raise ValueError("an endpoint such as tcp:8080:interface=127.0.0.1 or unix:PATH")


def _unix(path: str, mode: str = "660") -> Listener:
    if not re.fullmatch("[0-7]{3,4}", mode):
        raise ValueError("a mode in octal, such as 660")
    return Listener(path=os.path.abspath(path), mode=int(mode, 8))


def _tcp(kind: str, port: str, interface: str | None = None, backlog: str | None = None) -> Listener:
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("a port from 1 to 65535")
    if backlog and not re.fullmatch("[1-9][0-9]{0,8}", backlog):
        raise ValueError("a backlog of at least 1")
    if interface is None:
        interface = "::" if kind == "tcp6" else ""
    return Listener(_address(interface), int(port), backlog=int(backlog) if backlog else None)


def _address(text: str) -> str:
    if text in ("", "localhost"):
        return text
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("an interface given as an IP address") from None


def _endpoint(text: str) -> str:
    there = listener(text)
    if not (there.path or there.port):
        raise ValueError("a port from 1 to 65535")
    return text


def _url(text: str) -> str:
    expected = "an absolute http or https URL with a host, without credentials or fragment"
    if _UNPRINTABLE.search(text):
        raise ValueError(expected)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    host_is_odd = not parts.hostname or "@" in parts.netloc or parts.netloc.endswith(":")
    if parts.scheme not in ("http", "https") or host_is_odd or "#" in text or port == 0:
        raise ValueError(expected)
    return text


def mended_url(text: str) -> str:
    """Return a URL from the environment as it was meant: with a scheme, and with one of it; one slash between parts."""
    text = text.strip()
    scheme = _SCHEMES.match(text)
    rest = text[scheme.end() :] if scheme else text
    if not rest or "://" in rest or (not scheme and ":/" in rest):
        return text
    return (scheme[1] if scheme else "http") + "://" + _SLASHES.sub("/", rest)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("1 to 64 letters, digits, dots, underscores and hyphens")
    return text


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("printable text that is not empty")
    return text


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("the path of a file or folder")
    return os.path.abspath(text)


def _prefix(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or _UNPRINTABLE.search(text) or "?" in text or "#" in text:
        raise ValueError("a path beginning with a slash, in ASCII")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text.lower()):
        raise ValueError("a host name, an address (IPv6 in brackets), or *")
    return text.lower()


def _origin(text: str) -> str:
    """Return an origin as browsers write it (RFC 6454, 6.2): in lower case, without the scheme's own port."""
    found = _ORIGIN.fullmatch(text.lower())
    if text == "*":
        return text
    if found is None:
        raise ValueError("an origin such as https://app.example, or *")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _authority(text: str) -> str:
    found = _AUTHORITY.fullmatch(text.lower())
    try:
        if found is None:
            raise ValueError
        host, rest = found[1], found[2]
        return (f"[{ipaddress.IPv6Address(host[1:-1])}]" if host[0] == "[" else host) + rest
    except ValueError:
        raise ValueError("a host name or an address (IPv6 in brackets), with `:port` or without") from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError("an address or a network such as 10.0.0.0/8") from None


def _header(text: str) -> str:
    if not _TOKEN.fullmatch(text.lower()):
        raise ValueError("the name of a header field")
    return text.lower()


def _proxy(text: str) -> str:
    if text != ENVIRONMENT and "@" in text:
        raise ValueError(
            "a URL without user and password; with them the whole URL comes as {env: NAME} or {file: PATH}"
        )
    if text != ENVIRONMENT:
        Proxy.of(text)
    return text


def _redaction(text: str) -> str:
    # RE2 is loaded by those who use it only.
    from netrunner.redaction.redact import checked

    return checked(text)


def _store(text: str) -> str:
    if text.startswith("sqlite:"):
        return "sqlite:" + _path(text.removeprefix("sqlite:"))
    if text != "sqlite" and not text.startswith("postgresql://"):
        raise ValueError("sqlite, sqlite:PATH or a postgresql:// URL")
    return text


def _shared(text: str) -> str:
    expected = "memory or a URL such as redis://127.0.0.1:6379/0"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    if text != "memory" and (
        parts.scheme not in ("redis", "rediss")
        or not parts.hostname
        or port == 0
        or parts.query
        or parts.fragment
        or not re.fullmatch("/?[0-9]{0,5}", parts.path)
    ):
        raise ValueError(expected)
    return text


FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "authority": _authority, "endpoint": _endpoint, "header": _header, "host": _host, "name": _name,
        "network": _network, "origin": _origin, "path": _path, "prefix": _prefix, "proxy": _proxy,
        "redaction": _redaction, "shared": _shared, "store": _store, "text": _text, "url": _url,
    }
)  # fmt: skip

ALONE = frozenset({"authority", "endpoint", "host", "network"})
"""Forms of which one may stand where a list is expected."""
