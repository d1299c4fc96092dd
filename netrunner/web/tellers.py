"""What those who look on are told: each exchange as it begins, is routed and ends, and one of them as it flows.

This module must not know how it gets to them.
"""

from __future__ import annotations

import codecs

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from netrunner.http.outbox import Outbox
from netrunner.interfaces import IClock, IWatcher
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.live import Live
from netrunner.values import MessageHead, Record
from netrunner.web.rows import row, row_in_progress

LOOK_S = 0.1
"""How often it is looked whether it is known by now who is asked, of exchanges that have begun without."""


class Teller:
    """Follows what is in progress, for one who looks on.

    What serves a request tells nobody when it has chosen a provider: that is looked for here, and costs only while
    somebody looks on.

    Args:
        live: What is in progress.
        clock: Looks again.
    """

    outbox: Outbox

    def __init__(self, live: Live, clock: IClock) -> None:
        self._live = live
        self._clock = clock
        self._unrouted: dict[str, Exchange] = {}
        """Those that were told of before it was known who is asked."""
        self._looking: IDelayedCall | None = None

    def follow(self) -> None:
        """Tell of everything from now on; of what began before, who is asked."""
        self._live.follow(self, self.began)
        for exchange in self._live.inflight.values():
            self._expect(exchange)

    def leave(self) -> None:
        """Tell nothing more; idempotent."""
        self._live.unfollow(self)
        self._unrouted.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def began(self, exchange: Exchange) -> None:
        """Tell that it began."""
        self.outbox.put("new_request", row_in_progress(exchange))
        self._expect(exchange)

    def ended(self, record: Record) -> None:
        """Tell that it ended."""
        self._unrouted.pop(record.id, None)
        self.outbox.put("request_completed", row(record))

    def _expect(self, exchange: Exchange) -> None:
        if exchange.provider is None:
            self._unrouted[exchange.id] = exchange
            if self._looking is None:
                self._looking = self._clock.callLater(0, self._look)  # Most are routed within the turn they come in.

    def _look(self) -> None:
        routed = [exchange for exchange in self._unrouted.values() if exchange.provider is not None]
        for exchange in routed:
            del self._unrouted[exchange.id]
            if exchange.outcome is None:
                self.outbox.put("request_routed", row_in_progress(exchange))
        self._looking = self._clock.callLater(LOOK_S, self._look) if self._unrouted else None


@implementer(IWatcher)
class Watcher:
    """Shows one exchange to one who looks on."""

    outbox: Outbox

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"request": decoder("replace"), "response": decoder("replace")}

    def message(self, direction: str, head: MessageHead) -> None:
        """A message begins."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.headers]
        start = head.start.decode("latin-1")
        self.outbox.put("message", {"direction": direction, "start": start, "headers": headers})

    def piece(self, direction: str, data: bytes) -> None:
        """More of its body, as text."""
        self._show(direction, self._decoders[direction].decode(data))

    def ended(self, record: Record) -> None:
        """It has ended; what is left of a character that never came whole is shown as such."""
        for direction, decoder in self._decoders.items():
            self._show(direction, decoder.decode(b"", final=True))
        self.outbox.finish("ended", row(record))

    def _show(self, direction: str, text: str) -> None:
        if text:
            self.outbox.put("piece", {"direction": direction, "text": text})
