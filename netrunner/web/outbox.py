"""What goes to somebody who looks on: events, one after the other, and none of them waited for.

A browser that does not keep up misses events and is told how many; whoever is looked at never notices. This module must
not know where events come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

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
_encode = msgspec.json.Encoder().encode


class Outbox(Protocol):
    """The way to one who looks on."""

    missed: int
    """Events it was too slow for, all told."""

    @property
    def is_open(self) -> bool:
        """Whether anything more can be told."""

    def begin(self) -> None:
        """Answer the request."""

    def put(self, name: str, data: Any) -> None:
        """Send an event, or count it as skipped."""

    def end(self) -> None:
        """Nothing follows."""


@implementer(IPushProducer)
class EventStream:
    """Server-Sent Events as the answer to a request.

    Args:
        request: What is answered.
        clock: For keepalives.
        closed: Called once, when the browser is gone or ``end`` was called.
    """

    def __init__(self, request: Request, clock: IClock, closed: Callable[[], None]) -> None:
        self._request = request
        self._clock = clock
        self._closed: Callable[[], None] | None = closed
        self._paused = False
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._skipped = 0
        self.missed = 0
        self._keepalive: IDelayedCall | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything more can be told."""
        return self._closed is not None

    def begin(self) -> None:
        """Answer; to HEAD, with nothing behind it."""
        self._request.on_disconnect = self._gone
        self._request.begin(200, b"OK", EVENTS)
        if self._request.method == b"HEAD":
            self.end()
            return
        self._request.registerProducer(self, True)
        self._keep_alive()

    def put(self, name: str, data: Any) -> None:
        """Send an event, or count it as skipped."""
        if self._closed is None:
            return
        if self._skipped:
            self._skipped += 1
            self.missed += 1
            return
        self._send(b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data)))

    def end(self) -> None:
        """Send what waits, and end; a browser that does not read is cut, so that nobody waits for it."""
        if self._closed is not None:
            self._over()
            waiting = b"".join(self._waiting)
            self._waiting.clear()
            if self._paused:
                self._request.break_off(waiting)
            else:
                self._request.send(waiting, last=True)

    def _send(self, event: bytes) -> None:
        if not self._paused:
            self._request.send(event)
        elif self._waiting_bytes + len(event) > MAX_WAITING_BYTES:
            self._skipped = 1
            self.missed += 1
        else:
            self._waiting.append(event)
            self._waiting_bytes += len(event)

    def pauseProducing(self) -> None:
        """The browser does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has caught up: send what waits, and say how much it missed."""
        self._paused = False
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._request.send(b"".join(waiting))
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            self.put("skipped", {"events": skipped})

    def stopProducing(self) -> None:
        """The transport is lost; ``on_disconnect`` tells the rest."""

    def _keep_alive(self) -> None:
        self._keepalive = self._clock.callLater(KEEPALIVE_S, self._keep_alive)
        if not self._paused:
            self._request.send(b": \n\n")

    def _gone(self) -> None:
        if self._closed is not None:
            self._over()

    def _over(self) -> None:
        closed, self._closed = self._closed, None
        if self._keepalive is not None:
            self._keepalive.cancel()
        if closed is not None:
            closed()
