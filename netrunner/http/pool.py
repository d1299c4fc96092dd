"""The upstream pool: warm connections per origin, last in first out, and the calls that wait for one.

This module must not know how a response is read, nor what the bytes mean.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from zope.interface import implementer

from netrunner.errors import UpstreamError
from netrunner.http.call import Call, unsent
from netrunner.http.connection import Connection
from netrunner.http.dial import Dial
from netrunner.http.dial import dial as direct
from netrunner.http.flush import Flush
from netrunner.http.response import DEFAULT_LIMITS, ResponseLimits
from netrunner.http.sweep import NEVER, Sweep
from netrunner.http.tls import TlsContexts
from netrunner.http.turn import Later, at_once
from netrunner.http.wire import InvalidRequest, request_bytes
from netrunner.interfaces import IResponseReceiver, IUpstream
from netrunner.settings import PoolLimits, Timeouts
from netrunner.values import Origin, UpstreamRequest

Resend = Literal["unsent", "no_response", "never"]


@implementer(IUpstream)
class Pool:
    """Sends requests over connections it keeps warm.

    Args:
        reactor: Connects and calls later.
        sweep: Watches the deadlines; started and stopped by its owner.
        timeouts: How long the upstream may take.
        limits: Bounds of idle connections and of those in use.
        resend: What happens to a request when a warm connection dies before a byte of the answer came:
            sent again only if it was ``unsent`` (no byte can have left), also if there was ``no_response``
            (not for a streamed body), or ``never``.
        tls: Contexts for https origins; without them such a request fails.
        dial: How it connects: directly unless told otherwise.
        flush: Sends the requests of one turn of the reactor together; without it each leaves at once.
        response_limits: What an upstream may send besides the body.
    """

    def __init__(
        self,
        reactor: Any,
        sweep: Sweep,
        timeouts: Timeouts,
        limits: PoolLimits,
        *,
        resend: Resend = "unsent",
        tls: TlsContexts | None = None,
        dial: Dial = direct,
        flush: Flush | None = None,
        response_limits: ResponseLimits = DEFAULT_LIMITS,
    ) -> None:
        self.reactor = reactor
        self.sweep = sweep
        self.timeouts = timeouts
        self.resend = resend
        self.tls = tls
        self.dial = dial
        self._flush = flush
        self.later: Later = at_once if flush is None else flush.later
        self.response_limits = response_limits
        self._limits = limits
        self._max_idle = limits.max_idle
        self._max_active = limits.max_connections
        self._warm: dict[Origin, list[Connection]] = {}
        self._idle = 0
        self._active: set[Connection] = set()
        self._waiting: deque[Call] = deque()
        self._closed = False
        self.resent = 0
        """Requests sent again since a warm connection died before a byte of the answer."""

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> Call:
        """Send ``request``; ``receiver.sent`` is called within when a warm connection takes it."""
        call = Call(self, request, receiver)
        try:
            call.wire = request_bytes(request)
        except InvalidRequest as error:
            call.fail_later(unsent(UpstreamError(str(error), code="upstream_invalid_request")))
            return call
        if self._flush is not None:
            self._flush.add(call)
        else:
            self.begin(call)
        return call

    def begin(self, call: Call) -> None:
        """Send ``call``, or let it wait while every connection allowed is in use."""
        if self._closed:
            call.fail_later(unsent(UpstreamError("the upstream pool is closed", code="upstream_pool_closed")))
        elif self._max_active is not None and len(self._active) >= self._max_active:
            call.deadline = self.sweep.now + self.timeouts.connect_s
            self._waiting.append(call)
            self.sweep.watch(call)
        else:
            self._start(call)

    def close(self) -> None:
        """Abort every connection; calls under way fail. Idempotent."""
        self._closed = True
        for call in list(self._waiting):
            self.forget(call)
            call.fail(unsent(UpstreamError("the upstream pool is closed", code="upstream_pool_closed")))
        for connection in [one for warm in self._warm.values() for one in warm]:
            connection.drop()
        for connection in list(self._active):
            connection.fail(UpstreamError("the upstream pool is closed", code="upstream_pool_closed"))

    def stats(self) -> dict[str, int]:
        """Return how many connections are active and idle, and how many calls wait for one."""
        return {"active": len(self._active), "idle": self._idle, "waiting": len(self._waiting)}

    def forget(self, call: Call) -> None:
        """Let ``call`` wait no longer."""
        self.sweep.forget(call)
        call.deadline = NEVER
        self._waiting.remove(call)

    # Called by connections.

    def released(self, connection: Connection) -> None:
        """Keep ``connection``, whose response is complete and which may carry another request."""
        self._active.discard(connection)
        if self._closed or self._idle >= self._max_idle:
            connection.drop()
        else:
            warm = self._warm.get(connection.origin)
            if warm is None:
                warm = self._warm[connection.origin] = []
            warm.append(connection)
            self._idle += 1
            connection.deadline = self.sweep.now + self._limits.idle_s
        if self._waiting:
            self._next()

    def gone(self, connection: Connection) -> None:
        """Forget ``connection``: it is closed, or about to be."""
        if connection in self._active:
            self._active.discard(connection)
            if self._waiting:
                self._next()
            return
        warm = self._warm.get(connection.origin)
        if warm is not None and connection in warm:
            warm.remove(connection)
            self._idle -= 1
            if not warm:
                del self._warm[connection.origin]

    def unanswered(self, call: Call) -> bool:
        """Send ``call`` again over a fresh connection if the policy allows it; return whether."""
        if self.resend != "no_response" or self._closed or type(call.request.body) is not bytes:
            return False
        call.wire = request_bytes(call.request)
        self.resent += 1
        self._connect(call)
        return True

    def _next(self) -> None:
        if self._max_active is not None and len(self._active) < self._max_active and not self._closed:
            call = self._waiting[0]
            self.forget(call)
            self._start(call)

    def _start(self, call: Call) -> None:
        warm = self._warm.get(call.request.origin)
        while warm:
            connection = warm.pop()
            self._idle -= 1
            self._active.add(connection)
            if connection.start(call, True):
                return
            self._active.discard(connection)
            connection.drop()
            if self.resend == "never":
                call.fail_later(unsent(UpstreamError("the upstream had closed the connection")))
                return
        self._connect(call)

    def _connect(self, call: Call) -> None:
        if call.request.origin.scheme == "https" and self.tls is None:
            call.fail_later(unsent(UpstreamError("no TLS for this upstream", code="upstream_tls_failed")))
            return
        connection = Connection(self, call)
        self._active.add(connection)
        connection.connect()
