"""A client of the server channel that needs no socket: it says bytes and reads what came back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.http.request import IReadsHead, Request
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.testing.fakes import FakeClock


class Transport(StringTransport):
    """A string for a socket; it knows abort, half close, and how much the other side has not taken."""

    aborted = half_closed = False
    disconnected = False

    def __init__(self) -> None:
        super().__init__()
        self.dataBuffer = b""

    def abortConnection(self) -> None:
        """Note it; ``Client.settle`` tells the protocol, as a reactor does one turn later."""
        self.aborted = True

    def loseWriteConnection(self) -> None:
        """Note our FIN."""
        self.half_closed = True


class Client:
    """One connection to ``site`` in memory."""

    def __init__(self, site: Site, clock: FakeClock) -> None:
        self.site = site
        self.clock = clock
        self.transport = Transport()
        channel = site.buildProtocol(None)
        assert channel is not None
        self.channel = channel
        self.channel.makeConnection(self.transport)

    def say(self, *pieces: bytes) -> Client:
        """Send ``pieces``, each as a segment of its own, unless the connection is over by then."""
        for piece in pieces:
            if not self.is_over():
                self.channel.dataReceived(piece)
        return self

    def heard(self) -> bytes:
        """Return everything received since it was asked last."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def pass_time(self, seconds: float) -> None:
        """Let ``seconds`` pass in steps no longer than a sweep."""
        while seconds > 0:
            step = min(seconds, 0.25)
            self.clock.advance(step)
            seconds -= step

    def is_over(self) -> bool:
        """Whether the server has ended the connection or said that it will."""
        return bool(self.transport.aborted or self.transport.disconnecting or self.transport.half_closed)

    def is_paused(self) -> bool:
        """Whether the server does not read for now."""
        return bool(self.transport.producerState == "paused")

    def finish(self) -> None:
        """Send FIN."""
        self.channel.readConnectionLost()

    def settle(self) -> None:
        """Let the connection be lost, in the way the server wanted it or else as if the client had gone."""
        reason: Exception = ConnectionAborted() if self.transport.aborted else ConnectionDone()
        self.transport.disconnected = True
        producer, self.transport.producer = self.transport.producer, None
        if producer is not None:
            producer.stopProducing()
        self.channel.connectionLost(Failure(reason))


@dataclass
class Seen:
    """A request as a resource got it."""

    method: bytes
    uri: bytes
    body: bytes


@dataclass
class Echo:
    """A resource at every path that answers with the body it got, and writes down what came."""

    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resource = _Whole(self.take)

    def take(self, request: Request) -> int:
        """Answer at once."""
        self.seen.append(Seen(request.method, request.uri, request.body()))
        request.respond(200, [(b"content-type", b"text/plain")], request.body())
        return NOT_DONE_YET


class _Whole(Resource):
    isLeaf = True
    takes_slashes = False

    def __init__(self, take: Callable[[Request], Any]) -> None:
        super().__init__()
        self._take = take

    def render(self, request: Any) -> Any:
        result = self._take(request)
        return NOT_DONE_YET if result is None else result


@implementer(IReadsHead)
class Asked(_Whole):
    """A leaf whose ``head_received`` and ``render`` are functions of the test."""

    def __init__(self, head: Callable[[Request], Any], take: Callable[[Request], Any] = lambda _: NOT_DONE_YET) -> None:
        super().__init__(take)
        self._head = head

    def head_received(self, request: Request) -> Any:
        """Ask the test."""
        return self._head(request)


def leaf(take: Callable[[Request], Any]) -> Resource:
    """Return a resource at every path below it that renders by ``take``."""
    return _Whole(take)


def site_of(resource: Any, clock: FakeClock | None = None, **limits: Any) -> tuple[Site, FakeClock]:
    """Return a site whose deadlines a fake clock keeps, and that clock."""
    clock = clock or FakeClock()
    sweep = Sweep(clock)
    sweep.start()
    return Site(resource, sweep, Limits(**limits)), clock


def connect(resource: Any, **limits: Any) -> Client:
    """Return a client of a fresh site."""
    return Client(*site_of(resource, **limits))


@dataclass(frozen=True)
class Answer:
    """One response as h11 reads it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def answers(data: bytes, *methods: bytes, closed: bool = False) -> list[Answer]:
    """Read ``data`` as the responses to requests of ``methods`` (GET where not given), with another parser than ours.

    Raises:
        h11.RemoteProtocolError: for anything that is no response, and for one that is cut short.
    """
    found: list[Answer] = []
    while data:
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
        reader.send(h11.EndOfMessage())
        reader.receive_data(data)
        answer, closing = _next_answer(reader, closed)
        found.append(answer)
        data = b"" if closing else reader.trailing_data[0]
    return found


def _next_answer(reader: h11.Connection, closed: bool) -> tuple[Answer, bool]:
    status, headers, body = 0, {}, b""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            if not closed:
                raise h11.RemoteProtocolError("the response is cut short")
            reader.receive_data(b"")
            closed = False
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, dict(event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, headers, body), not reader.trailing_data[0]
        elif isinstance(event, h11.ConnectionClosed):
            return Answer(status, headers, body), True
