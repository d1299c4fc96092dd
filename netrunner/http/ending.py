"""How a client's connection ends: flushed, lingering until a refusal is read, cut, or aborted when nothing moves.

A client that takes some of what is unsent is given as long again; one that takes nothing is dropped.

This module must not know of requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol

from netrunner.http.flush import Writer, unsent
from netrunner.http.sweep import NEVER

if TYPE_CHECKING:
    from netrunner.http.site import Site

LINGER_S = 2.0
"""How long the rest of a refused body is read and thrown away, so that the refusal is not lost to a reset."""
MAX_LINGER_BYTES = 65536
LOOK_S = 1.0
"""How often it is looked whether a client takes what is sent to it."""
FLUSH_S = 1.0
"""How long a cut response may make no progress before the connection is aborted."""


class Ending(Protocol):
    """The part of a channel that outlives its requests."""

    transport: Any
    site: Site
    _out: Writer
    deadline = NEVER
    _closing = False
    """Whether the end has begun: nothing that comes is looked at any more."""
    _write_paused = False
    _pace_s = 0.0
    _unsent = 0
    _moved = 0.0
    """When the client was last seen to take anything."""
    _lingering: int | None = None
    _peer: Any = None

    def write(self, data: bytes) -> None:
        """Write to the client."""
        if self._write_paused:
            self._unsent += len(data)
        self._out.write(data)

    def write_now(self, data: bytes) -> None:
        """Write to the client before the turn ends."""
        if self._write_paused:
            self.write(data)
        else:
            self._out.write_now(data)

    def close(self) -> None:
        """Close once everything is flushed."""
        self._lingering = None
        self._end_in(self.site.limits.write_stall_s)
        self.transport.loseConnection()

    loseConnection = close
    """As a Resource asks for it."""

    def linger(self) -> None:
        """Close in a way that lets the client read the answer although not all it sent was read."""
        self._lingering = 0
        self._end_in(LINGER_S)
        if unsent(self.transport):
            self._end_in(self.site.limits.write_stall_s)
        lose = getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)
        lose()

    def cut(self) -> None:
        """Flush, then FIN, without an end of the message; abort what makes no progress."""
        self._end_in(FLUSH_S)
        self.transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abortConnection()

    def _end_in(self, pace_s: float) -> None:
        self._out.flush_early()
        if not self._closing:
            self._closing = True
            self.transport.unregisterProducer()
        self._pace_s = pace_s
        self._watch_unsent(pace_s)

    def _discard(self, size: int) -> None:
        """Throw away what comes after the end has begun."""
        if self._lingering is not None:
            self._lingering += size
            if self._lingering > MAX_LINGER_BYTES:
                self.transport.pauseProducing()

    def _is_stalled(self, now: float) -> None:
        """Look whether the client took anything; abort when it has not for as long as it may."""
        left = unsent(self.transport)
        pace_s = self._pace_s if self._closing else self.site.limits.write_stall_s
        if left < self._unsent:
            self._unsent = left
            self._moved = now
        elif now >= self._moved + pace_s:
            if left:
                self.site.cuts["stalled"] += 1
            self.transport.abortConnection()
            return
        self.deadline = min(self._moved + pace_s, now + LOOK_S)

    def _watch_unsent(self, pace_s: float) -> None:
        """Begin to look after what is unsent."""
        now = self.site.sweep.now
        self._unsent = unsent(self.transport)
        self._moved = now
        self.deadline = now + min(pace_s, LOOK_S)

    def getPeer(self) -> Any:
        """Return the client's address; it is the same for all requests of a connection."""
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    def getHost(self) -> Any:
        """Return our address."""
        return self.transport.getHost()

    def isSecure(self) -> bool:
        """Return whether the connection is TLS."""
        return False
