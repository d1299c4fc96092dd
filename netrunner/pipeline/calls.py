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
from netrunner.pipeline.shared import Pipeline
from netrunner.pipeline.translation import Translation
from netrunner.routing.table import Candidate
from netrunner.values import Call

_NOT_TRANSLATED = frozenset({b"accept", b"content-type", b"x-request-id"})
"""Fields that describe the caller's own request."""


def repairs(pipeline: Pipeline, exchange: Exchange, candidate: Candidate) -> IRepairs | None:
    """Return what repairs the answer to a request that goes on as it came; None if the provider's setting says no."""
    dialect = exchange.dialect
    if pipeline.repairs(candidate.provider) and exchange.method == b"POST" and IRepairs.providedBy(dialect):
        return dialect if dialect.repairs(exchange.endpoint, exchange.envelope) else None
    return None


def plain(
    pipeline: Pipeline, exchange: Exchange, candidate: Candidate, upgrade: bytes | None, repairs: IRepairs | None
) -> Call:
    """Return the caller's own request, with the model's name that the provider knows.

    Args:
        pipeline, exchange, candidate: What is asked of whom.
        upgrade: The protocol the caller wants to switch to.
        repairs: What repairs the answer, if it is repaired: then a stream is asked for its counts as well.
    """
    envelope = exchange.envelope
    dialect = exchange.dialect
    renamed = exchange.model is not None and exchange.model != candidate.model
    body: bytes = b""
    if envelope is not None:
        body = envelope.body
        if renamed:
            body = dialect.rename(envelope, candidate.model)
        if repairs is not None and exchange.stream and not envelope.wants_usage:
            body = repairs.ask_for_usage(body)
    headers = [field for field in exchange.headers if field[0] in dialect.passes and field[0] != b"x-request-id"]
    headers.append((b"x-request-id", exchange.request_id.encode("ascii")))
    passthrough = pipeline.passes_through(candidate.provider)
    query, endpoint = exchange.query, exchange.endpoint
    if upgrade is not None:
        headers += handshake(exchange.headers, passthrough)
    if renamed:
        endpoint = dialect.address(endpoint, candidate.model)
        if upgrade is not None:
            query = with_model(query, candidate.model)
    return Call(
        exchange.method,
        endpoint,
        query,
        headers,
        body,
        candidate.model,
        exchange.stream,
        pipeline.authorization(exchange, candidate.provider),
        upgrade,
        _gaps(pipeline, exchange, candidate.provider, Gaps()) if pipeline.adapts(candidate.provider) else None,
    )


def translated(pipeline: Pipeline, exchange: Exchange, candidate: Candidate, translation: Translation) -> Call:
    """Return what the caller asks, in the provider's dialect.

    Raises:
        NotFound: ``endpoint_not_found`` if the provider's key may not be used so, or it has nothing like it.
        UnsupportedParameter: for what has a meaning that cannot be carried over.
    """
    provider, _ = pipeline.providers[candidate.provider]
    spoken = SPOKEN[provider.dialect]
    gaps = _gaps(pipeline, exchange, candidate.provider, translation.gaps)
    request = pipeline.seals.restored(exchange, spoken, translation.request)
    written = translation.written(spoken, candidate.model, gaps, request)
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
        candidate.model,
        exchange.stream,
        pipeline.authorization(exchange, candidate.provider),
        gaps=gaps,
        translated=True,
    )


def _gaps(pipeline: Pipeline, exchange: Exchange, provider: str, before: Gaps) -> Gaps:
    """Return what an attempt at ``provider`` may add to what was lost before; the exchange tells of it."""
    gaps = before.fork(bool(getattr(pipeline.providers[provider][0].settings, "strict", False)), provider)
    exchange.dropped = gaps.dropped
    return gaps
