"""Ends of exchanges that a caller is told of by us: an error in place of an answer, or inside one that has begun.

This module must not decide that something ends.
"""

from __future__ import annotations

from netrunner.dialects.standing import limit_fields
from netrunner.errors import ExchangeError
from netrunner.http.headers import reason_of
from netrunner.http.request import Request
from netrunner.journal.entry import RESPONSE
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.heads import TIMING
from netrunner.pipeline.refusal import refusal
from netrunner.values import Headers, Outcome


def own_headers(exchange: Exchange) -> Headers:
    """Return the header fields that every answer to ``exchange`` carries; to be asked for once, as it is committed."""
    headers = [(b"x-request-id", exchange.request_id.encode("ascii"))]
    if exchange.correlation_id is not None:
        headers.append((b"x-correlation-id", exchange.correlation_id.encode("ascii")))
    if exchange.dropped:
        headers.append((b"netrunner-dropped", ", ".join(exchange.dropped).encode("ascii")))
    if exchange.standings:
        headers += limit_fields(exchange.dialect.name, exchange.standings, exchange.clock.wall())
    if exchange.holder is not None:
        headers += exchange.holder.told()
    if exchange.stages is not None:
        headers.append((TIMING, exchange.stages.commit(exchange)))
    return headers


def refuse(exchange: Exchange, request: Request, error: ExchangeError, outcome: Outcome = Outcome.REFUSED) -> None:
    """End ``exchange`` with ``error`` and tell the caller in its dialect."""
    status, headers, body = refusal(exchange.dialect, error)
    headers += own_headers(exchange)
    exchange.bytes_out = len(body)
    if exchange.recording is not None:
        exchange.recording.answer(b"HTTP/1.1 %d %b" % (status, reason_of(status)), headers, False)
        exchange.recording.piece(RESPONSE, body)
    exchange.end(outcome, status, error.code)
    request.respond(status, headers, body)


def break_off(exchange: Exchange, request: Request, error: ExchangeError, outcome: Outcome, event: bytes) -> None:
    """End ``exchange``, whose answer has begun, so that it cannot be taken for a complete one.

    Args:
        exchange, request: What ends.
        error, outcome: Why.
        event: Tells the caller; empty where the answer has no room for it.
    """
    exchange.bytes_out += len(event)
    if exchange.recording is not None:
        exchange.recording.piece(RESPONSE, event)
    exchange.end(outcome, request.code, error.code)
    request.break_off(event)
