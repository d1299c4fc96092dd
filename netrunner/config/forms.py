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

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SEPARATOR = re.compile(r"(?<!\\):(?![^\[]*\])")
"""A colon that is neither escaped nor inside the brackets of an IPv6 address."""
_ARGUMENTS = {"tcp": {"interface", "backlog"}, "tcp6": {"interface", "backlog"}, "unix": {"mode"}}
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
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "#" in text or port == 0:
        raise ValueError(expected)
    return text


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
    if not text.startswith("/") or _UNPRINTABLE.search(text) or "?" in text or "#" in text:
        raise ValueError("a path beginning with a slash")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text.lower()):
        raise ValueError("a host name, an address (IPv6 in brackets), or *")
    return text.lower()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError("an address or a network such as 10.0.0.0/8") from None


def _header(text: str) -> str:
    if not _TOKEN.fullmatch(text.lower()):
        raise ValueError("the name of a header field")
    return text.lower()


def _redaction(text: str) -> str:
    # RE2 is loaded by those who use it only.
    from netrunner.redaction.redact import checked

    return checked(text)


def _store(text: str) -> str:
    if text != "sqlite" and not text.startswith("postgresql://"):
        raise ValueError("sqlite or a postgresql:// URL")
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
        "endpoint": _endpoint, "header": _header, "host": _host, "name": _name, "network": _network,
        "path": _path, "prefix": _prefix, "redaction": _redaction, "shared": _shared,
        "store": _store, "text": _text, "url": _url,
    }
)  # fmt: skip

ALONE = frozenset({"endpoint", "host"})
"""Forms of which one may stand where a list is expected."""
