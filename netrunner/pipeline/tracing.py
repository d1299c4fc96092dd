"""The place of each exchange in a trace: the caller's context comes in, a new one goes to each upstream.

Written after W3C Trace Context, level 1. What is malformed is taken for absent, as it says; a caller can then lose its
trace, never its request.

This module must not send or keep spans: sinks make them of records.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from netrunner.values import Headers, Span, Trace, UpstreamRequest

MAX_STATE_BYTES = 512
"""Of ``tracestate``; members beyond it are left out (3.3.1.5)."""
MAX_MEMBERS = 32
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
_FIELDS = frozenset({b"traceparent", b"tracestate"})
_WHOLE = 1 << 64


class Tracing:
    """Gives exchanges and their attempts places in traces.

    Args:
        share: Of the traces that begin here, how many are sampled, 0 to 1.
        follows: Whether a caller's trace is gone on with.
        getrandbits: The source of ids.
    """

    def __init__(self, share: float, follows: bool, getrandbits: Callable[[int], int]) -> None:
        self._below = int(share * _WHOLE)
        self._follows = follows
        self._bits = getrandbits

    def begin(self, headers: Headers) -> Trace:
        """Return the place of a request with these fields: in the caller's trace, or in a new one."""
        parent = _parent(headers) if self._follows else None
        if parent is not None:
            trace, span, sampled = parent
            return Trace(trace, self._span_id(), span, _state(headers), sampled)
        number = self._bits(128) or 1
        # By the id's second half, so that everybody who samples by a share decides alike (OpenTelemetry's
        # TraceIdRatioBased).
        return Trace(f"{number:032x}", self._span_id(), None, None, number % _WHOLE < self._below)

    def attempt(self, trace: Trace, request: UpstreamRequest, began_s: float) -> None:
        """Give one attempt its place, and have its request tell it.

        Args:
            trace: Of the exchange.
            request: About to be sent.
            began_s: Seconds since the exchange was accepted.
        """
        span = Span(self._span_id(), request.origin.url, began_s)
        trace.attempts.append(span)
        headers = [field for field in request.headers if field[0] not in _FIELDS]
        headers.append((b"traceparent", f"00-{trace.id}-{span.id}-{trace.sampled:02x}".encode("ascii")))
        if trace.state is not None:
            headers.append((b"tracestate", trace.state.encode("ascii")))
        request.headers = headers

    def _span_id(self) -> str:
        return f"{self._bits(64) or 1:016x}"


def _parent(headers: Headers) -> tuple[str, str, bool] | None:
    """Return the caller's trace, its span, and whether it is sampled; None if it told none, or none that can be."""
    values = [value for name, value in headers if name == b"traceparent"]
    found = _PARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    return found[2].decode("ascii"), found[3].decode("ascii"), bool(int(found[4], 16) & 1)


def _state(headers: Headers) -> str | None:
    """Return the caller's ``tracestate`` as one line; None if there is nothing in it that may be passed on."""
    members = [one.strip(b" \t") for name, value in headers if name == b"tracestate" for one in value.split(b",")]
    kept: list[bytes] = []
    size = -1
    for member in filter(None, members):
        if not _MEMBER.fullmatch(member):
            return None
        size += len(member) + 1
        if size > MAX_STATE_BYTES or len(kept) == MAX_MEMBERS:
            break
        kept.append(member)
    return b",".join(kept).decode("ascii") or None
