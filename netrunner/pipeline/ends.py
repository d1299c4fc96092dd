"""Ends of exchanges that are not an upstream's: an answer given here, an error, an error inside what has begun.

This module must not decide that something ends.
"""

from __future__ import annotations

from netrunner.errors import ExchangeError
from netrunner.http.headers import reason_of
from netrunner.http.request import Request
from netrunner.journal.entry import RESPONSE
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.heads import own_headers
from netrunner.pipeline.refusal import refusal
from netrunner.values import Answer, Outcome


def give(exchange: Exchange, request: Request, answer: Answer) -> None:
    """End ``exchange`` with an answer that was made here, or was given before."""
    headers = [*answer.headers, *own_headers(exchange)]
    exchange.bytes_out = len(answer.body)
    exchange.end(Outcome.DONE, answer.status)
    request.respond(answer.status, headers, answer.body)


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


def last_event(exchange: Exchange, error: ExchangeError, tail: bytes) -> bytes:
    """Return what tells the caller that its answer broke off; nothing where the answer is no stream.

    Args:
        exchange: Whose answer, in the caller's dialect.
        error: Why.
        tail: The last bytes that were sent, empty if none were.
    """
    if not exchange.stream:
        return b""
    ends = exchange.dialect.event_ends
    complete = not tail or tail.endswith(ends)
    event: bytes = exchange.dialect.error_event(error)
    return event if complete else ends[0] + event


def rests(exchange: Exchange, tail: bytes) -> bool:
    """Return whether what was sent of a stream, ``tail`` its last bytes, ends between two events."""
    # A CR may be half of a line end whose other half is to come.
    return tail.endswith(exchange.dialect.event_ends) and not tail.endswith(b"\r")
