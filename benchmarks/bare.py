"""The least that a relay in Python can be: ``python -m benchmarks.bare PORT=UPSTREAM ...``, llhttp on both legs.

It checks no token, maps no name, counts, records and bounds nothing, and survives no fault: what it takes is what the
machine's Python and Twisted take, and what netrunner takes beside it is what netrunner does.

This module must not use anything of netrunner's.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import httptools
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import ClientFactory, Factory, Protocol

_HEALTH = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_HOP_BY_HOP = frozenset({b"host", b"connection", b"keep-alive"})


class _Leg(Protocol):
    """One connection; llhttp calls what begins with ``on_``."""

    transport: Any

    def __init__(self, pool: _Pool) -> None:
        self.pool = pool
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.complete = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in _HOP_BY_HOP:
            self.head += (name, b": ", value, b"\r\n")

    def on_headers_complete(self) -> None:
        self.head.append(b"\r\n")

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = True

    def taken(self) -> list[bytes]:
        """Return what has come of head and body, and hold it no more."""
        taken = self.head + self.body
        self.head, self.body = [], []
        return taken


class _Caller(_Leg):
    def connectionMade(self) -> None:
        super().connectionMade()
        self._parser = httptools.HttpRequestParser(self)
        self._upstream: _Upstream | None = None

    def on_url(self, url: bytes) -> None:
        self._target = url

    def dataReceived(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if not self.complete:
            return
        self.complete = False
        request = (self._parser.get_method(), b" ", self._target, b" HTTP/1.1\r\nhost: upstream\r\n", *self.taken())
        if self._target == b"/health":
            self.transport.write(_HEALTH)
        else:
            self._upstream = self.pool.send(b"".join(request), self)

    def connectionLost(self, reason: object = None) -> None:
        if self._upstream is not None and not self._upstream.complete:
            self._upstream.transport.abortConnection()


class _Upstream(_Leg):
    chunked = False
    caller: _Caller
    request: bytes

    def connectionMade(self) -> None:
        super().connectionMade()
        self.send(self.request, self.caller)

    def send(self, request: bytes, caller: _Caller) -> None:
        self.caller = caller
        self.chunked = self.complete = False
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def dataReceived(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self.complete and self.chunked:
            self.body.append(b"0\r\n\r\n")
        self.caller.transport.write(b"".join(self.taken()))
        if self.complete:
            self.pool.idle.append(self)

    def on_status(self, reason: bytes) -> None:
        self.head = [b"HTTP/1.1 %d " % self._parser.get_status_code(), reason, b"\r\n"]

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self.chunked = self.chunked or name.lower() == b"transfer-encoding"

    def on_body(self, data: bytes) -> None:
        self.body += (b"%x\r\n" % len(data), data, b"\r\n") if self.chunked else (data,)

    def connectionLost(self, reason: object = None) -> None:
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        else:
            self.caller.transport.abortConnection()


class _Pool:
    """Connections to one upstream; the one used last is used first."""

    def __init__(self, reactor: EPollReactor, port: int) -> None:
        self.idle: list[_Upstream] = []
        self._reactor = reactor
        self._port = port

    def send(self, request: bytes, caller: _Caller) -> _Upstream:
        """Send a request whose answer goes to ``caller``."""
        if self.idle:
            upstream = self.idle.pop()
            upstream.send(request, caller)
            return upstream
        upstream = _Upstream(self)
        upstream.request, upstream.caller = request, caller
        factory = ClientFactory()
        factory.protocol = lambda: upstream
        factory.noisy = False
        self._reactor.connectTCP("127.0.0.1", self._port, factory)
        return upstream


def main(arguments: list[str]) -> None:
    """Relay each of the ports given to its upstream until ended."""
    reactor = EPollReactor()
    for pair in arguments:
        port, upstream = map(int, pair.split("="))
        factory = Factory.forProtocol(partial(_Caller, _Pool(reactor, upstream)))
        reactor.listenTCP(port, factory, backlog=4096, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
