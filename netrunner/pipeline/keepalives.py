"""Signs of life for clients of streams that are silent, between two events, in the caller's dialect.

All streams are looked at now and then, whichever has sent nothing since the last look is told of; a stream that flows
costs nothing for it, and none has a timer of its own. A sign is sent after the commit only (decision 0009; a
``Prelude`` sends its own before that), is no part of the answer, and is recorded nowhere. Whether the provider is
waited for any longer is the pool's business.

This module must not know what a sign looks like.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IDelayedCall

from netrunner import sse
from netrunner.interfaces import IClock
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.relay import Relay


class Keepalives:
    """Keeps clients company.

    Args:
        inflight: The exchanges in progress, by their ids.
        clock: Time.
        within_s: Seconds of silence after which, at the latest, a client is told something; 0 tells it nothing.
    """

    def __init__(self, inflight: Mapping[str, Exchange], clock: IClock, within_s: float) -> None:
        self._inflight = inflight
        self._clock = clock
        self._every_s = within_s / 2
        """Between two looks: what has been silent from one to the next may have been so from the one before."""
        self._sent: dict[str, int] = {}
        """Bytes that each stream had sent at the last look, but for those that were told of then."""
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._every_s:
            self._call = self._clock.callLater(self._every_s, self._look)

    def stop(self) -> None:
        """Look no more; idempotent."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = self._clock.callLater(self._every_s, self._look)
        before, self._sent = self._sent, {}
        at = self._clock.wall()
        for id, exchange in list(self._inflight.items()):
            sent = exchange.bytes_out
            if not sent or not exchange.stream:
                continue
            if before.get(id) != sent:
                self._sent[id] = sent
            elif isinstance(exchange.work, Relay):
                sign = exchange.dialect.keepalive(exchange.endpoint, exchange.model or "", at)
                exchange.work.keep_alive(sse.after_id(sign) if getattr(exchange.tap, "named", False) else sign)
