"""What is said to a SOCKS 5 proxy before a connection through it is there (RFC 1928, RFC 1929); bytes in, bytes out.

This module must not know of sockets.
"""

from __future__ import annotations

import enum
import ipaddress

from netrunner.errors import ProxyFailed, ProxyUnauthorized

_VERSION, _SUBVERSION, _CONNECT = 5, 1, 1
_NO_AUTHENTICATION, _PASSWORD, _NONE_ACCEPTABLE = 0, 2, 255
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REPLIES = {
    1: "a general failure",
    2: "its rules do not allow the connection",
    3: "the network cannot be reached",
    4: "the host cannot be reached",
    5: "the connection was refused",
    6: "the time to live ran out",
    7: "it does not know the command",
    8: "it does not know this kind of address",
}


class _State(enum.Enum):
    METHOD = "the proxy chooses how we show who we are"
    STATUS = "the proxy takes our password"
    REPLY = "the proxy has connected"
    DONE = "what follows is the upstream's"


class Socks5:
    """One request to be connected.

    Args:
        host: A name, which the proxy resolves, or a literal address.
        port: At the host.
        user, password: Shown if the proxy asks for them; at most 255 bytes each.
    """

    def __init__(self, host: str, port: int, user: bytes = b"", password: bytes = b"") -> None:
        self._target = _address(host) + port.to_bytes(2)
        self._user, self._password = user, password
        self._state = _State.METHOD
        self._read = b""

    @property
    def done(self) -> bool:
        """Whether the connection is there."""
        return self._state is _State.DONE

    @property
    def rest(self) -> bytes:
        """What came after the proxy's last word."""
        return self._read

    def begin(self) -> bytes:
        """Return what is said first."""
        methods = bytes([_NO_AUTHENTICATION, _PASSWORD] if self._user or self._password else [_NO_AUTHENTICATION])
        return bytes([_VERSION, len(methods)]) + methods

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy says; return what is said next, or nothing.

        Raises:
            ProxyFailed: when it will not connect us, or speaks something else.
            ProxyUnauthorized: when it wants to know who we are and is not satisfied.
        """
        self._read += data
        said = b""
        while not self.done and len(self._read) >= (length := self._length()):
            message, self._read = self._read[:length], self._read[length:]
            said += self._take(message)
        return said

    def _length(self) -> int:
        """Return how long the message is that the proxy is about to say, as far as that is known."""
        if self._state is not _State.REPLY:
            return 2
        if len(self._read) < 5:
            return 5
        kind, first = self._read[3], self._read[4]
        return 6 + {_IPV4: 4, _IPV6: 16}.get(kind, 1 + first)

    def _take(self, message: bytes) -> bytes:
        match self._state:
            case _State.METHOD:
                return self._method(*message)
            case _State.STATUS:
                if message[1] != 0:
                    raise ProxyUnauthorized("the proxy does not take our user and password")
                self._state = _State.REPLY
                return self._request()
            case _:
                self._reply(message)
                return b""

    def _method(self, version: int, method: int) -> bytes:
        if version != _VERSION:
            raise ProxyFailed("the proxy does not speak SOCKS 5")
        if method == _NO_AUTHENTICATION:
            self._state = _State.REPLY
            return self._request()
        if method == _PASSWORD and (self._user or self._password):
            self._state = _State.STATUS
            user, password = self._user, self._password
            return bytes([_SUBVERSION, len(user)]) + user + bytes([len(password)]) + password
        raise ProxyUnauthorized("the proxy asks for a user and password, or for something else that we have not")

    def _request(self) -> bytes:
        return bytes([_VERSION, _CONNECT, 0]) + self._target

    def _reply(self, message: bytes) -> None:
        if message[0] != _VERSION or message[3] not in (_IPV4, _NAME, _IPV6):
            raise ProxyFailed("the proxy does not speak SOCKS 5")
        if message[1] != 0:
            reason = _REPLIES.get(message[1], f"reply {message[1]}")
            raise ProxyFailed(f"the proxy could not connect to the upstream: {reason}")
        self._state = _State.DONE


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii" if host.isascii() else "idna")
        if len(name) > 255:
            raise ProxyFailed("the upstream's name is too long for the proxy") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
