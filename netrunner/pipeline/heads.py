"""The head of an answer between provider and client: what is read in it, and what of it goes on.

This module must not know of bodies.
"""

from __future__ import annotations

from netrunner.dialects.standing import limit_fields
from netrunner.errors import MAX_RETRY_AFTER_S, UpstreamError
from netrunner.pipeline.exchange import Exchange
from netrunner.values import Headers, ResponseHead

CORS = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
        b"access-control-allow-private-network",
        b"access-control-expose-headers",
        b"access-control-max-age",
    }
)
"""In which a server says which pages may read its answers: a provider says so for itself, not for us."""
WITHHELD = CORS | {b"set-cookie", b"server", b"alt-svc", b"x-request-id", b"x-correlation-id"}
"""Fields of a provider that are no business of our callers, or that we answer with ourselves."""
TIMING = b"server-timing"
"""Where a provider has one too, both are told."""
_FOREIGN = b"x-netrunner-upstream-"
_ID_FIELDS = frozenset({b"x-request-id", b"request-id"})
"""In which providers tell their own id of a request."""


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


def verbatim(head: ResponseHead, own: Headers) -> Headers:
    """Return the fields of an answer that goes on as it came, with those of ours that it has not."""
    theirs = {name for name, _ in head.headers}
    return head.headers + [field for field in own if field[0] not in theirs or field[0] == TIMING]


def down(head: ResponseHead, own: Headers, exchange: Exchange, recoded: bool, rewritten_bytes: int | None) -> Headers:
    """Return the fields the client gets.

    Args:
        head: The provider's, as filters left it.
        own: Our fields.
        exchange: Whose answer.
        recoded: Whether its content coding was taken off.
        rewritten_bytes: How long it is if it is written anew and no stream; None if it goes on as it came.
    """
    stream = exchange.stream
    if exchange.standings:
        head = outranked(head)
    # The length of a stream is left out: an error event may have to follow where the provider broke off.
    changed: tuple[bytes, ...] = ()
    if recoded:
        changed = (b"content-length", b"content-encoding")
    elif stream or rewritten_bytes is not None:
        changed = (b"content-length",)
    headers = [field for field in head.headers if field[0] not in WITHHELD and field[0] not in changed]
    if rewritten_bytes is not None and not stream:
        headers.append((b"content-length", b"%d" % rewritten_bytes))
    headers += own
    if stream:
        headers.append((b"x-accel-buffering", b"no"))
    return headers


def is_stream(head: ResponseHead) -> bool:
    """Return whether an answer is a stream of events."""
    return (head.get(b"content-type") or b"").startswith((b"text/event-stream", b"application/x-ndjson"))


def foreign_limits(head: ResponseHead) -> Headers:
    """Return a provider's limits under names that no client of another dialect takes for its own: units differ."""
    return [
        (name if name.startswith(_FOREIGN) else _FOREIGN + name, value)
        for name, value in head.headers
        if b"ratelimit" in name
    ]


def outranked(head: ResponseHead) -> ResponseHead:
    """Return the head of an answer whose caller has limits of ours: the provider's are told under other names."""
    others = [field for field in head.headers if b"ratelimit" not in field[0]]
    return ResponseHead(head.status, head.reason, others + foreign_limits(head))


def advised(head: ResponseHead, error: UpstreamError) -> Headers:
    """Return the fields of an error that goes on as it came, with those that tell when to come again in our words."""
    given = set(head.headers)
    ours = [field for field in error.fields() if field not in given]
    replaced = {name for name, _ in ours}
    if error.wait_s == MAX_RETRY_AFTER_S:
        replaced.add(b"retry-after-ms")
    return [field for field in head.headers if field[0] not in replaced] + ours


def told_id(head: ResponseHead) -> str | None:
    """Return the provider's own id of the request."""
    for name, value in head.headers:
        if name in _ID_FIELDS:
            return value.decode("latin-1")[:128]
    return None
