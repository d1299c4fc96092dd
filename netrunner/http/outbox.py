"""What goes to somebody who looks on: events, one after the other, and none of them waited for.

A browser that does not keep up misses events and is told how many; whoever is looked at never notices. This module must
not know where events come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from netrunner import sse
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.values import Headers

MAX_WAITING_BYTES = 262144
"""Kept for a browser that is slow."""
KEEPALIVE_S = 15.0
EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


@implementer(IPushProducer)
class Outbox:
    """The way to one who looks on: what waits, what was missed, and the end; how events are written is its kind's.

    Args:
        clock: For keepalives.
        closed: Called once, when the browser is gone or nothing follows.
    """

    def __init__(self, clock: IClock, closed: Callable[[], None]) -> None:
        self._clock = clock
        self._closed: Callable[[], None] | None = closed
        self._paused = False
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._skipped = 0
        """Events that found no room; none is kept behind one that was skipped."""
        self._last: bytes | None = None
        """The event behind which nothing follows."""
        self.missed = 0
        """Events it was too slow for, all told."""
        self._keepalive: IDelayedCall | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything more can be told."""
        return self._closed is not None and self._last is None

    def begin(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    def put(self, name: str, data: Any) -> None:
        """Send an event, or count it as skipped."""
        if not self.is_open:
            return
        if self._skipped:
            self._skipped += 1
            self.missed += 1
            return
        event = self._event(name, data)
        if not self._paused:
            self._send(event)
        elif self._waiting_bytes + len(event) > MAX_WAITING_BYTES:
            self._skipped = 1
            self.missed += 1
        else:
            self._waiting.append(event)
            self._waiting_bytes += len(event)

    def finish(self, name: str, data: Any) -> None:
        """Send a last event, which is never skipped, and end once the browser has taken what waits before it."""
        if self.is_open:
            self._last = self._event(name, data)
            if not self._paused:
                self.end()

    def end(self) -> None:
        """Send what waits, and end; a browser that does not read is cut, so that nobody waits for it."""
        if self._closed is not None:
            rest = self._rest()
            self._over()
            self._send_last(rest)

    def pauseProducing(self) -> None:
        """The browser does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has caught up: send what waits, and say how much it missed."""
        self._paused = False
        if self._last is not None:
            self.end()
        elif self._closed is not None and (rest := self._rest()):
            self._send(rest)

    def stopProducing(self) -> None:
        """The transport is lost; ``on_disconnect`` tells the rest."""

    def _event(self, name: str, data: Any) -> bytes:
        """Return an event as it is sent."""
        raise NotImplementedError

    def _send(self, data: bytes) -> None:
        """Send it at once."""
        raise NotImplementedError

    def _send_last(self, data: bytes) -> None:
        """Send it, and nothing behind it."""
        raise NotImplementedError

    def _rest(self) -> bytes:
        """Return what waits, and forget it."""
        rest, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self._skipped:
            rest.append(self._event("skipped", {"events": self._skipped}))
            self._skipped = 0
        if self._last is not None:
            rest.append(self._last)
        return b"".join(rest)

    def _over(self) -> None:
        """Nothing more is sent, and whoever sent it is told; idempotent."""
        closed, self._closed = self._closed, None
        if self._keepalive is not None and self._keepalive.active():
            self._keepalive.cancel()
        if closed is not None:
            closed()


class Lines(Outbox):
    """Lines of JSON to another process, ``{"type": NAME, "data": ...}``; begun as soon as it is made.

    Args:
        transport: To that process.
        clock: Unused: no proxy in between cuts what is silent.
    """

    def __init__(self, transport: Any, clock: IClock) -> None:
        super().__init__(clock, lambda: None)
        self._transport = transport
        transport.registerProducer(self, True)

    def _event(self, name: str, data: Any) -> bytes:
        return msgspec.json.encode({"type": name, "data": data}) + b"\n"

    def _send(self, data: bytes) -> None:
        self._transport.write(data)

    def _send_last(self, data: bytes) -> None:
        self._transport.unregisterProducer()
        self._transport.write(data)
        self._transport.loseConnection()


class EventStream(Outbox):
    """Server-Sent Events as the answer to a request.

    Args:
        request: What is answered.
        clock, closed: As of ``Outbox``.
    """

    def __init__(self, request: Request, clock: IClock, closed: Callable[[], None]) -> None:
        super().__init__(clock, closed)
        self._request = request

    def begin(self) -> None:
        """Answer; to HEAD, with nothing behind it."""
        self._request.on_disconnect = self._over
        self._request.begin(200, b"OK", EVENTS)
        if self._request.method == b"HEAD":
            self.end()
            return
        self._request.registerProducer(self, True)
        self._keep_alive()

    def _event(self, name: str, data: Any) -> bytes:
        return b"event: %b\n%b" % (name.encode(), sse.event(data))

    def _send(self, data: bytes) -> None:
        self._request.send(data)

    def _send_last(self, data: bytes) -> None:
        if self._paused:
            self._request.break_off(data)
        else:
            self._request.send(data, last=True)

    def _keep_alive(self) -> None:
        self._keepalive = self._clock.callLater(KEEPALIVE_S, self._keep_alive)
        if not self._paused:
            self._request.send(b": \n\n")
