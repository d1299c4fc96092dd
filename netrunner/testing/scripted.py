"""A provider that answers byte for byte as it is told, on a real TCP socket.

A script is a sequence of steps from ``netrunner.testing.script``, and builders there make the usual ones::

    provider = ScriptedProvider(reactor, json_answer({"object": "list", "data": []}))
    await provider.start()
    ...                                        # ask provider.base_url for something
    request = await provider.wait_for_request()
    assert request.header(b"authorization") == b"Bearer sk-1"
    await provider.stop()

Bad framing is only another ``Send``. This module must not know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import httptools
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.testing.script import (
    Cut,
    Delay,
    ReadBody,
    ReadRaw,
    ReceivedRequest,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    StopReading,
)
from netrunner.values import Origin

Answers: TypeAlias = Script | Sequence[Script] | Callable[[ReceivedRequest], Script]


class _Tally:
    """Counts something and tells who waits for the n-th of it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._waiting: list[tuple[int, Deferred[Any]]] = []

    def add(self, one: Any) -> None:
        self.seen.append(one)
        due = [waiting for number, waiting in self._waiting if number <= len(self.seen)]
        self._waiting = [pair for pair in self._waiting if pair[0] > len(self.seen)]
        for waiting in due:
            waiting.callback(one)

    def wait_for(self, number: int) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        if number <= len(self.seen):
            waiting.callback(self.seen[number - 1])
        else:
            self._waiting.append((number, waiting))
        return waiting


class ScriptedProvider:
    """The server; ``start`` it, ask it for something, look at what it got, ``stop`` it.

    Args:
        reactor: Listens on 127.0.0.1, on a free port.
        answers: One script for every request, a list of scripts (for the first, the second, ...; the last one
            for all that follow), or a callable that is given the ``ReceivedRequest`` at the end of its head.
        clock: Counts the seconds of ``Delay``; the reactor when not given.
        endpoint: Another place to listen, such as a TLS endpoint; ``port`` is asked from it.
        scheme: Of ``base_url``.
    """

    def __init__(
        self,
        reactor: Any,
        answers: Answers,
        *,
        clock: Any = None,
        endpoint: Any = None,
        scheme: Any = "http",
    ) -> None:
        self._endpoint = endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._answers = answers
        self._scheme = scheme
        self._listening: Any = None
        self._open: set[_Connection] = set()
        self._received = _Tally()
        self._lost = _Tally()
        self._begun = 0
        self.clock = clock or reactor
        self.port = 0
        self.connections = 0
        """Connections accepted so far."""

    @property
    def origin(self) -> Origin:
        """Where it is."""
        return Origin(self._scheme, "127.0.0.1", self.port)

    @property
    def base_url(self) -> str:
        """What to put in a provider's ``base_url``."""
        return f"{self._scheme}://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The complete requests received so far."""
        return list(self._received.seen)

    @property
    def disconnects(self) -> list[str]:
        """How clients left, in order: ``closed`` (FIN), or ``aborted`` (RST or any other error)."""
        return list(self._lost.seen)

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self._open)

    def start(self) -> Deferred[None]:
        """Listen; fires when ``port`` is known."""
        factory = Factory.forProtocol(lambda: _Connection(self))
        factory.noisy = False
        started: Deferred[Any] = self._endpoint.listen(factory)
        return started.addCallback(self._listens)

    def stop(self) -> Deferred[None]:
        """Stop listening and abort what is open; fires when nothing is left."""
        gone = [connection.gone for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        stopped = maybeDeferred(self._listening.stopListening) if self._listening else None
        return DeferredList([*gone, *([stopped] if stopped else [])]).addCallback(lambda _: None)

    def wait_for_request(self, number: int = 1) -> Deferred[ReceivedRequest]:
        """Return a Deferred of the ``number``-th complete request (from 1)."""
        return self._received.wait_for(number)

    def wait_for_disconnect(self, number: int = 1) -> Deferred[str]:
        """Return a Deferred that fires when the ``number``-th client left, with ``closed`` or ``aborted``."""
        return self._lost.wait_for(number)

    def _listens(self, listening: Any) -> None:
        self._listening = listening
        self.port = listening.getHost().port

    def _accept(self, connection: _Connection) -> int:
        self._open.add(connection)
        self.connections += 1
        return self.connections - 1

    def _script(self, request: ReceivedRequest) -> Iterator[Step]:
        number = self._begun
        self._begun += 1
        if callable(self._answers):
            return iter(self._answers(request))
        scripts: Any = self._answers
        if scripts and not isinstance(scripts[0], Step):
            scripts = scripts[min(number, len(scripts) - 1)]
        return iter(scripts)


@implementer(IPullProducer)
class _Connection(Protocol):
    """One client; its requests are answered in turn, each by its script."""

    transport: Any

    def __init__(self, provider: ScriptedProvider) -> None:
        self._provider = provider
        self._parser = httptools.HttpRequestParser(self)
        self._queue: list[ReceivedRequest] = []
        self._incoming = ReceivedRequest()
        self._read = b""
        self._script: Iterator[Step] | None = None
        self._wanted: Callable[[], bool] | None = None
        self._flushing = False
        self._raw = False
        self._over = False
        self._delay: Any = None
        self.gone: Deferred[None] = Deferred()

    # Twisted calls these.

    def connectionMade(self) -> None:
        self._number = self._provider._accept(self)

    def dataReceived(self, data: bytes) -> None:
        self._read += data
        if self._raw:
            self._incoming.raw += data
        else:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._raw = True
                self._incoming = self._queue[-1]
                self._incoming.raw += data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.abort()
        self._go_on()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        if self._delay is not None:
            self._delay.cancel()
        by_client, self._over = not self._over, True
        self._provider._open.discard(self)
        self.gone.callback(None)
        if by_client:
            self._provider._lost.add("closed" if reason.check(ConnectionDone) else "aborted")

    def resumeProducing(self) -> None:
        # The transport asks once when the producer is registered, and again when its buffer is empty.
        if self._flushing:
            self._flushing = False
            self.transport.unregisterProducer()
            self._go_on()

    def stopProducing(self) -> None:
        self._flushing = False

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._incoming = ReceivedRequest(connection=self._number)

    def on_url(self, url: bytes) -> None:
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._incoming.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._incoming.method = self._parser.get_method()
        self._incoming.head, self._read = self._read, b""
        self._queue.append(self._incoming)

    def on_body(self, body: bytes) -> None:
        self._incoming.body += body

    def on_message_complete(self) -> None:
        self._incoming.complete = True
        self._provider._received.add(self._incoming)

    # The script.

    def abort(self) -> None:
        """Break the connection; nobody is told that the client left."""
        self._over = True
        self.transport.abortConnection()

    def _go_on(self) -> None:
        """Take steps until one has to wait."""
        while not (self._over or self._flushing or self._delay):
            if self._wanted is not None:
                if not self._wanted():
                    return
                self._wanted = None
            if self._script is None:
                if not self._queue:
                    return
                self._script = self._provider._script(self._queue[0])
            step = next(self._script, None)
            if step is None:
                self._finish()
            else:
                self._take(step)

    def _finish(self) -> None:
        """The script has run out: the next request is answered when this one is complete."""
        request = self._queue[0]
        if request.complete:
            self._script = None
            self._queue.pop(0)
        else:
            self._script = iter(())
            self._wanted = lambda: request.complete

    def _take(self, step: Step) -> None:
        request = self._queue[0]
        match step:
            case Send(data) if data:
                self.transport.write(data)
                self.transport.registerProducer(self, False)
                self._flushing = True
            case Delay(seconds):
                self._delay = self._provider.clock.callLater(seconds, self._delayed)
            case ReadBody():
                self._wanted = lambda: request.complete
            case ReadRaw(size):
                self._wanted = lambda: len(request.raw) >= size
            case StopReading():
                self.transport.pauseProducing()
            case Stall():
                self._wanted = lambda: False
            case Cut():
                self._over = True
                self.transport.loseConnection()
            case Reset():
                self.abort()

    def _delayed(self) -> None:
        self._delay = None
        self._go_on()
