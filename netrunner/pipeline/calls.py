"""What one candidate is asked: a ``Call`` made of the exchange, as it came or written in the provider's dialect.

This module must not send anything.
"""

from __future__ import annotations

from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IRepairs
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import NotFound
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.handshake import handshake, with_model
from netrunner.pipeline.sealed import Seals
from netrunner.pipeline.served import Served
from netrunner.pipeline.translation import Translation
from netrunner.values import Call

_NOT_TRANSLATED = frozenset({b"accept", b"content-type", b"x-request-id"})
"""Fields that describe the caller's own request."""


def repairs(served: Served, exchange: Exchange) -> IRepairs | None:
    """Return what repairs the answer to a request that goes on as it came; None if the provider's setting says no."""
    dialect = exchange.dialect
    if served.repairs and exchange.method == b"POST" and IRepairs.providedBy(dialect):
        return dialect if dialect.repairs(exchange.endpoint, exchange.envelope) else None
    return None


def plain(served: Served, exchange: Exchange, model: str, upgrade: bytes | None, repairs: IRepairs | None) -> Call:
    """Return the caller's own request, with the model's name that the provider knows.

    Args:
        served, exchange, model: Who is asked what, by the name that it knows.
        upgrade: The protocol the caller wants to switch to.
        repairs: What repairs the answer, if it is repaired: then a stream is asked for its counts as well.
    """
    envelope = exchange.envelope
    dialect = exchange.dialect
    renamed = exchange.model is not None and exchange.model != model
    body: bytes = b""
    if envelope is not None:
        body = envelope.body
        if renamed:
            body = dialect.rename(envelope, model)
        if repairs is not None and exchange.stream and not envelope.wants_usage:
            body = repairs.ask_for_usage(body)
    headers = [field for field in exchange.headers if field[0] in dialect.passes and field[0] != b"x-request-id"]
    headers.append((b"x-request-id", exchange.request_id.encode("ascii")))
    query, endpoint = exchange.query, exchange.endpoint
    if upgrade is not None:
        headers += handshake(exchange.headers, served.passes_through)
    if renamed:
        endpoint = dialect.address(endpoint, model)
        if upgrade is not None:
            query = with_model(query, model)
    return Call(
        exchange.method,
        endpoint,
        query,
        headers,
        body,
        model,
        exchange.stream,
        served.authorization(exchange),
        upgrade,
        _gaps(served, exchange, Gaps()) if served.adapts else None,
    )


def translated(served: Served, exchange: Exchange, model: str, translation: Translation, seals: Seals) -> Call:
    """Return what the caller asks, in the provider's dialect.

    Raises:
        NotFound: ``endpoint_not_found`` if the provider's key may not be used so, or it has nothing like it.
        UnsupportedParameter: for what has a meaning that cannot be carried over.
    """
    provider = served.provider
    spoken = SPOKEN[provider.dialect]
    gaps = _gaps(served, exchange, translation.gaps)
    request = seals.restored(exchange, spoken, translation.request)
    written = translation.written(spoken, model, gaps, request)
    if not provider.serves(written.endpoint, True):
        raise NotFound("The model's provider does not serve this endpoint.", code="endpoint_not_found")
    passes: frozenset[bytes] = getattr(spoken, "passes", frozenset())
    headers = [field for field in exchange.headers if field[0] in passes and field[0] not in _NOT_TRANSLATED]
    headers.append((b"x-request-id", exchange.request_id.encode("ascii")))
    return Call(
        b"POST",
        written.endpoint,
        written.query,
        headers,
        written.body,
        model,
        exchange.stream,
        served.authorization(exchange),
        gaps=gaps,
        translated=True,
    )


def _gaps(served: Served, exchange: Exchange, before: Gaps) -> Gaps:
    """Return what an attempt may add to what was lost before; the exchange tells of it."""
    gaps = before.fork(served.strict, served.name)
    exchange.dropped = gaps.dropped
    return gaps
