"""The reader of paced streams: opens many, checks every byte, notes how long each event was on its way.

Run as a process of its own (``python -m benchmarks.streams``), so that it shares no interpreter with anything
it measures; it prints its findings as one line of JSON.

This module must not decode an event: what is expected is known, so it is compared.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

import httptools

from benchmarks import wire
from benchmarks.figures import percentile

# Streams are opened at a pace that no event pace is a multiple of: their events do not fall together.
_OPENED_PER_S = 470


@dataclass(frozen=True, slots=True)
class Order:
    """What to open, and where.

    ``hold`` waits for standard input to end once each stream has its first event; ``rewritten`` says that the relay
    writes events in its own words, so that only their texts can be compared; ``headers`` go with each request. The
    rest is what ``wire.Asked`` has.
    """

    port: int
    token: str
    model: str
    streams: int
    pace_ms: int
    seconds: float
    in_step: bool = False
    at_once: int = 1
    hold: bool = False
    rewritten: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Return how many events each stream is to have: enough to span the opening of all, and ``seconds``."""
        return 1 + self.writes * self.at_once

    @property
    def writes(self) -> int:
        """Return how many times the upstream is to write events after the first one."""
        return 1 + int((self.streams / _OPENED_PER_S + self.seconds) * 1000 / self.pace_ms)


@dataclass(slots=True)
class Findings:
    """What came of an order; latencies in microseconds, of events sent while every stream was open.

    The end of a stream counts as one more event in ``expected`` and ``delivered``.
    """

    expected: int
    delivered: int = 0
    events_measured: int = 0
    p50_us: float = 0.0
    p99_us: float = 0.0
    faults: list[str] = field(default_factory=list)


class Stream:
    """One response as it arrives: parsed by llhttp, cut into events by their size, compared with what must come."""

    def __init__(self, sock: socket.socket, order: Order, number: int) -> None:
        self.sock = sock
        self.arrivals: list[tuple[int, int]] = []
        self.fault = ""
        self.ended = False
        self.number = number
        self._events = order.events
        self._pending = bytearray()
        self._now_ns = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take what was read at ``now_ns``; empty when the connection ended."""
        if not data:
            self.fault = self.fault or "closed early"
            return
        self._now_ns = now_ns
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fault = f"not HTTP: {error}"

    def on_headers_complete(self) -> None:
        """Called by llhttp."""
        if self._parser.get_status_code() != 200:
            self.fault = f"status {self._parser.get_status_code()}"

    def on_body(self, data: bytes) -> None:
        """Called by llhttp."""
        self._pending += data
        while not self.fault and len(self.arrivals) < self._events and len(self._pending) >= wire.EVENT_BYTES:
            event = bytes(self._pending[: wire.EVENT_BYTES])
            del self._pending[: wire.EVENT_BYTES]
            try:
                sent_ns = wire.sent_ns(event)
            except ValueError:
                sent_ns = 0
            if event != wire.event(self.number, len(self.arrivals), sent_ns):
                self.fault = f"event {len(self.arrivals)} is {event!r}"
                return
            self.arrivals.append((sent_ns, self._now_ns))

    def on_message_complete(self) -> None:
        """Called by llhttp."""
        self.ended = True
        if not self.fault and (len(self.arrivals) != self._events or self._pending != wire.LAST):
            self.fault = f"ended after {len(self.arrivals)} of {self._events} events with {bytes(self._pending)!r}"


class RewrittenStream(Stream):
    """One response of a relay that writes events anew: they end with an empty line, and their texts are compared."""

    _done = False

    def on_body(self, data: bytes) -> None:
        """Called by llhttp."""
        self._pending += data
        *events, rest = bytes(self._pending).split(b"\n\n")
        self._pending = bytearray(rest)
        for event in events:
            found = wire.found(event)
            if found is None:
                self._done = self._done or event == b"data: [DONE]"
            elif found[:2] != (self.number, len(self.arrivals)):
                self.fault = self.fault or f"event {len(self.arrivals)} is {event!r}"
            else:
                self.arrivals.append((found[2], self._now_ns))

    def on_message_complete(self) -> None:
        """Called by llhttp."""
        self.ended = True
        if not self.fault and (len(self.arrivals) != self._events or not self._done):
            self.fault = f"ended after {len(self.arrivals)} of {self._events} events"


class Reader:
    """Opens the streams of an order one after the other and reads them all until they end."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._epoll = select.epoll()
        self._open: dict[int, Stream] = {}
        self._streams: list[Stream] = []
        self._first_event_missing: set[Stream] = set()

    def run(self) -> Findings:
        """Read until every stream ended, or until 20 s after they all should have."""
        order = self._order
        began = time.monotonic()
        limit = began + order.streams / _OPENED_PER_S + order.writes * order.pace_ms / 1000 + 20.0
        while len(self._streams) < order.streams or self._open:
            now = time.monotonic()
            if now > limit:
                break
            while len(self._streams) < min(order.streams, (now - began) * _OPENED_PER_S):
                self._connect()
            self._poll(0.002 if len(self._streams) < order.streams else limit - now)
            if order.hold and len(self._streams) == order.streams and not self._first_event_missing:
                break
        findings = self._findings()
        if order.hold:
            print(json.dumps(asdict(findings)), flush=True)
            sys.stdin.read()
        for stream in self._streams:
            stream.sock.close()
        return findings

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self._order.port))
        kind = RewrittenStream if self._order.rewritten else Stream
        stream = kind(sock, self._order, len(self._streams))
        self._streams.append(stream)
        self._open[sock.fileno()] = stream
        self._first_event_missing.add(stream)
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _poll(self, wait_s: float) -> None:
        for descriptor, mask in self._epoll.poll(wait_s):
            stream = self._open[descriptor]
            try:
                if mask & select.EPOLLOUT:
                    stream.sock.send(self._request(stream))
                    self._epoll.modify(descriptor, select.EPOLLIN)
                    continue
                data = stream.sock.recv(65536)
            except OSError as error:
                stream.fault, data = str(error), b""
            stream.feed(data, time.monotonic_ns())
            if stream.arrivals or stream.fault:
                self._first_event_missing.discard(stream)
            if stream.ended or stream.fault:
                self._epoll.unregister(descriptor)
                del self._open[descriptor]

    def _request(self, stream: Stream) -> bytes:
        order = self._order
        asked = wire.Asked(stream.number, order.events, order.pace_ms, order.in_step, order.at_once)
        return wire.request(order.port, order.token, order.model, asked, order.headers)

    def _findings(self) -> Findings:
        arrivals = [stream.arrivals for stream in self._streams]
        findings = Findings(expected=(self._order.events + 1) * self._order.streams)
        findings.delivered = sum(map(len, arrivals))
        findings.delivered += sum(stream.ended and not stream.fault for stream in self._streams)
        findings.faults = sorted({stream.fault for stream in self._streams if stream.fault})[:5]
        if all(arrivals):
            opened_ns = max(events[0][1] for events in arrivals)
            closing_ns = min(events[-1][0] for events in arrivals)
            latencies = [
                (read_ns - sent_ns) / 1000
                for events in arrivals
                for sent_ns, read_ns in events
                if opened_ns < sent_ns < closing_ns
            ]
            if latencies:
                findings.events_measured = len(latencies)
                findings.p50_us, findings.p99_us = percentile(latencies, 0.50), percentile(latencies, 0.99)
        return findings


def main() -> None:
    """Carry out the order given as JSON on the command line."""
    order = Order(**json.loads(sys.argv[1]))
    findings = Reader(order).run()
    if not order.hold:
        print(json.dumps(asdict(findings)))


if __name__ == "__main__":
    main()
