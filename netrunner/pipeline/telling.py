"""Which streams that go on as they came tell their counts of tokens, so that only the others are counted here.

Whether a provider tells is found out by its streams: those of a model are counted until one has told, those that asked
for counts apart from those that did not.

This module must not read an answer.
"""

from __future__ import annotations

from functools import partial

from netrunner.dialects.conversation import Operation
from netrunner.dialects.counting import CountingTap, counts
from netrunner.dialects.estimate import of_length
from netrunner.dialects.interfaces import ITap, ITranslates
from netrunner.pipeline.exchange import Exchange

MAX_KNOWN = 10_000
"""The most that is remembered; beyond it streams are counted."""

Kind = tuple[str | None, str | None, str, bool]
"""A provider, its model, the endpoint, and whether the counts were asked for."""


class Telling:
    """What the streams of one configuration are known to tell."""

    def __init__(self) -> None:
        self._tell: set[Kind] = set()

    def tap(self, exchange: Exchange, may_count: bool) -> ITap:
        """Return what learns of an answer; it counts as well if it may, and nobody knows that the provider does."""
        tap: ITap = exchange.dialect.tap(exchange.stream)
        envelope = exchange.envelope
        if not (may_count and exchange.stream) or envelope is None:
            return tap
        kind = exchange.provider, exchange.upstream_model, exchange.endpoint, envelope.wants_usage
        if kind in self._tell or not (counts(exchange.dialect.name) and _is_chat(exchange)):
            return tap
        exchange.asked_tokens = of_length(envelope.body)
        return CountingTap(tap, exchange.dialect.name, partial(self._told, kind))

    def _told(self, kind: Kind) -> None:
        if len(self._tell) < MAX_KNOWN:
            self._tell.add(kind)


def _is_chat(exchange: Exchange) -> bool:
    dialect = exchange.dialect
    return ITranslates.providedBy(dialect) and dialect.operation(exchange.method, exchange.endpoint) is Operation.CHAT
