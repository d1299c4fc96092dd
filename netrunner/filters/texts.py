"""What filters of text have in common: every text block goes through a reader of its own, piece by piece.

This module must not know what a reader looks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from netrunner.events import BlockClose, Event, TextDelta


class Reader(Protocol):
    """Changes one text."""

    def feed(self, text: str) -> str:
        """Return what is left of ``text``, as far as that can be told."""

    def close(self) -> str:
        """Return what is left when nothing follows."""


class TextPhase:
    """An event phase that changes texts; ``reader`` is the subclass's."""

    hold_back_s = 300.0

    def reader(self) -> Reader:
        """Return what reads the next text block."""
        raise NotImplementedError

    def on_event(self, exchange: Any, event: Event) -> Event | Sequence[Event] | None:
        """Return the event with what is left of its text; the end of a block gives what was held back first."""
        if isinstance(event, TextDelta):
            readers = exchange.notes.setdefault(self, {})
            reader = readers.get((event.choice, event.index))
            if reader is None:
                reader = readers[event.choice, event.index] = self.reader()
            text = reader.feed(event.text)
            if text == event.text:
                return event
            return msgspec.structs.replace(event, text=text) if text else None
        if isinstance(event, BlockClose):
            held = self._rest(exchange, event.choice, event.index)
            return (*held, event) if held else event
        return event

    def on_end(self, exchange: Any) -> list[Event]:
        """Return what is held back of blocks that were not closed."""
        return [
            event for choice, index in exchange.notes.get(self, ()) for event in self._rest(exchange, choice, index)
        ]

    def _rest(self, exchange: Any, choice: int, index: int) -> list[Event]:
        reader = exchange.notes.get(self, {}).get((choice, index))
        text = reader.close() if reader is not None else ""
        return [TextDelta(text=text, choice=choice, index=index)] if text else []
