"""The end of an exchange in whose turn something raised what nobody expects.

This module must not know what that was.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.errors import InternalError
from netrunner.http.request import Request
from netrunner.pipeline.exchange import Exchange
from netrunner.values import Outcome

_log = Logger()


class Breakable:
    """Whoever works for an exchange in a turn of the reactor."""

    __slots__ = ()
    _exchange: Exchange
    _request: Request

    def broken(self, failure: Failure) -> None:
        """Its turn raised what nobody expects."""
        broken(self._exchange, self._request, failure)


def broken(exchange: Exchange, request: Request, failure: Failure) -> None:
    """Log it, and end the exchange, its upstream call, its answer and its connection, at once.

    The caller gets a 500 in its dialect where nothing has been sent, a cut answer otherwise; a connection without
    either where not even that can be written.
    """
    if exchange.outcome is not None and request.finished:
        # It is over: what failed is what came after it on its connection.
        request.channel.broken(failure)
        return
    _log.failure("an exchange failed", failure, id=exchange.id)
    error = InternalError("The request could not be processed.")
    request.close_after()
    try:
        if exchange.work is not None:
            exchange.work.stop(Outcome.REFUSED, error)
        if not request.finished:
            request.refuse(error)
    except Exception:  # noqa: BLE001 - what is broken may be what ends it
        _log.failure("a failed exchange could not be answered", id=exchange.id)
    if not request.finished:
        request.channel.abort()
    if exchange.outcome is None:
        exchange.end(Outcome.REFUSED, error.status, error.code)
