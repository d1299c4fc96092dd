"""What those who look on are told: each exchange as it begins and ends, and one of them as it flows.

This module must not know how it gets to them.
"""

from __future__ import annotations

import codecs

from zope.interface import implementer

from netrunner.http.outbox import Outbox
from netrunner.interfaces import IWatcher
from netrunner.pipeline.exchange import Exchange
from netrunner.values import MessageHead, Record
from netrunner.web.rows import row, row_in_progress


class Teller:
    """Follows what is in progress, for one who looks on."""

    outbox: Outbox

    def began(self, exchange: Exchange) -> None:
        """Tell that it began."""
        self.outbox.put("new_request", row_in_progress(exchange))

    def ended(self, record: Record) -> None:
        """Tell that it ended."""
        self.outbox.put("request_completed", row(record))


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
