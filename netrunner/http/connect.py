"""What is said to an HTTP proxy before a tunnel through it is there (RFC 9110, 9.3.6); bytes in, bytes out.

This module must not know of sockets.
"""

from __future__ import annotations

import re

from netrunner.errors import ProxyFailed, ProxyUnauthorized

MAX_HEAD_BYTES = 16384
"""Of the proxy's answer."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")


class Connect:
    """One request for a tunnel.

    Args:
        authority: Host and port.
        authorization: Value of ``Proxy-Authorization``, if there is a credential.
    """

    def __init__(self, authority: bytes, authorization: bytes | None) -> None:
        self._authority = authority
        self._authorization = authorization
        self._read = b""
        self.done = False
        """Whether the tunnel is there."""

    @property
    def rest(self) -> bytes:
        """What came after the head of the proxy's answer."""
        return self._read

    def begin(self) -> bytes:
        """Return the request."""
        lines = [b"CONNECT %b HTTP/1.1" % self._authority, b"host: " + self._authority]
        if self._authorization is not None:
            lines.append(b"proxy-authorization: " + self._authorization)
        return b"\r\n".join([*lines, b"", b""])

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy says; there is nothing to be said again.

        Raises:
            ProxyFailed: when there will be no tunnel, or the proxy speaks something else.
            ProxyUnauthorized: when it wants to know who we are and is not satisfied.
        """
        self._read += data
        end = _END.search(self._read, 0, MAX_HEAD_BYTES)
        if end is None:
            if len(self._read) >= MAX_HEAD_BYTES or not b"HTTP/1.".startswith(self._read[:7]):
                raise ProxyFailed("the proxy does not speak HTTP")
            return b""
        found = _STATUS.match(self._read)
        if found is None:
            raise ProxyFailed("the proxy does not speak HTTP")
        # There are proxies that answer a wrong password with 401, which no upstream can have said here.
        status, self._read = int(found[1]), self._read[end.end() :]
        if status in (401, 407):
            raise ProxyUnauthorized("the proxy asks for a user and password, or does not take ours")
        if status >= 300 or status < 200:
            raise ProxyFailed(f"the proxy made no tunnel to the upstream: it answered {status}")
        self.done = True
        return b""
