"""How a client's connection ends: flushed, lingering until a refusal is read, cut, or aborted when nothing moves.

A client that takes what it is sent at a minimum rate is given as long as it needs; one that is slower is dropped.
What counts is what it has acknowledged, not what the kernel keeps for it.

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
MIN_RATE_BYTES = 256
"""Bytes a second that are progress, on average of the time a client may stall: fewer are probes of a closed window."""


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
    _written = 0
    """Bytes in all."""
    _taken = 0
    """How much of what was written the client had taken when the stall clock was last set."""
    _untaken = 0
    """What was left then."""
    _moved = 0.0
    """When that was."""
    _lingering: int | None = None
    _peer: Any = None
    _host: Any = None

    def write(self, data: bytes) -> None:
        """Write to the client."""
        self._written += len(data)
        self._out.write(data)

    def write_now(self, data: bytes) -> None:
        """Write to the client before the turn ends."""
        self._written += len(data)
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
        self._set_stall_clock(self._out.untaken())
        self.deadline = self._moved + min(pace_s, LOOK_S)

    def _discard(self, size: int) -> None:
        """Throw away what comes after the end has begun."""
        if self._lingering is not None:
            self._lingering += size
            if self._lingering > MAX_LINGER_BYTES:
                self.transport.pauseProducing()

    def _is_stalled(self, now: float) -> None:
        """Look whether the client took enough; abort when it has not for as long as it may."""
        pace_s = self._pace_s if self._closing else self.site.limits.write_stall_s
        left = self._out.untaken()
        if self._untaken and self._took_enough(left, pace_s):
            self._set_stall_clock(left)
        elif now >= self._moved + pace_s:
            if left:
                self.site.cuts["stalled"] += 1
            self.transport.abortConnection()
            return
        self.deadline = min(self._moved + pace_s, now + LOOK_S)

    def _watch_unread(self) -> None:
        """Begin to look after what the client leaves unread.

        The clock goes on if the client has not taken enough since it was set: that all of it went to the kernel
        in between, whose buffer had grown, is not the client's doing.
        """
        pace_s = self.site.limits.write_stall_s
        left = self._out.untaken()
        if self._took_enough(left, pace_s):
            self._set_stall_clock(left)
        self.deadline = self.site.sweep.now + min(pace_s, LOOK_S)

    def _took_enough(self, left: int, pace_s: float) -> bool:
        """Return whether the client took all that was left when the clock was set, or a stall's worth of it."""
        owed = min(self._untaken, MIN_RATE_BYTES * pace_s)
        return not owed or self._written - left - self._taken >= owed

    def _set_stall_clock(self, left: int) -> None:
        self._untaken = left
        self._taken = self._written - left
        self._moved = self.site.sweep.now

    def getPeer(self) -> Any:
        """Return the client's address; it is the same for all requests of a connection."""
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    def getHost(self) -> Any:
        """Return our address; it is the same for all requests of a connection."""
        if self._host is None:
            self._host = self.transport.getHost()
        return self._host

    def isSecure(self) -> bool:
        """Return whether the connection is TLS."""
        return False
