"""Whether an answer broke off that is whole by HTTP's word: it holds less than its provider always says.

This module must not end anything.
"""

from __future__ import annotations

from netrunner.dialects.answers import TRUNCATED
from netrunner.errors import UpstreamError
from netrunner.pipeline.empty import nothing_said
from netrunner.pipeline.exchange import Exchange


def is_cut(exchange: Exchange) -> bool:
    """Return whether a stream that has ended did not say so, where every provider does.

    What the end of the connection delimits shows in no other way that it broke off.
    """
    tap = exchange.tap
    if tap.complete:
        return False
    tap.close()
    if tap.complete or tap.error is not None:
        return False
    return exchange.dialect.has_events(exchange.method, exchange.endpoint) is True


def judged(exchange: Exchange, error: UpstreamError) -> UpstreamError:
    """Return what is wrong with an answer, by its lane's word; a stream cut before any event says nothing."""
    empty = error.code == TRUNCATED and exchange.stream and not exchange.tap.began
    return nothing_said() if empty else error
