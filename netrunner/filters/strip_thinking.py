"""The filter ``strip_thinking``: takes ``<think>...</think>`` out of the text of every choice.

Tags may be cut anywhere, there may be several blocks, and every other character stays as it is. A block ends with
the first ``</think>``; if others began inside of it, their ends are taken out too. A block that never ends is cut
to the end of the answer: to leave it alone, all of it would have to be held back.

This module must not know how a dialect writes text.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.events import BlockClose, Event, TextDelta
from netrunner.interfaces import IEnvironment, IEventPhase

OPEN, CLOSE = "<think>", "</think>"
_TAG = re.compile("</?think>")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StripThinkingSettings:
    """Settings of the filter ``strip_thinking``: none."""


class Stripper:
    """Takes the blocks out of one text, piece by piece."""

    __slots__ = ("_held", "_inside", "_owed")

    def __init__(self) -> None:
        self._held = ""
        """The end of what came, as long as it may be the beginning of a tag."""
        self._inside = False
        self._owed = 0
        """Blocks that began inside of another and have not ended."""

    def feed(self, text: str) -> str:
        """Return what is left of ``text``."""
        if self._held:
            text, self._held = self._held + text, ""
        if "<" not in text:
            return "" if self._inside else text
        left: list[str] = []
        begin = 0
        for tag in _TAG.finditer(text):
            opens = tag[0] == OPEN
            if self._inside:
                self._inside = opens
                self._owed += opens
            else:
                left.append(text[begin : tag.start()])
                self._inside = opens
                if not opens and self._owed:
                    self._owed -= 1
                elif not opens:
                    left.append(CLOSE)
            begin = tag.end()
        end = max(begin, text.rfind("<"))
        if OPEN.startswith(text[end:]) or CLOSE.startswith(text[end:]):
            self._held = text[end:]
        else:
            end = len(text)
        if not self._inside:
            left.append(text[begin:end])
        return "".join(left)

    def close(self) -> str:
        """Return what is left when nothing follows."""
        held, self._held = self._held, ""
        return "" if self._inside else held


@implementer(IEventPhase)
class StripThinking:
    """Strips every text block for itself."""

    hold_back_bytes = len(CLOSE) - 1
    hold_back_s = 300.0

    def __init__(self, settings: StripThinkingSettings, environment: IEnvironment) -> None:
        self.settings = settings

    def on_event(self, exchange: Any, event: Event) -> Event | Sequence[Event] | None:
        """Return the event with what is left of its text; the end of a block gives what was held back first."""
        if isinstance(event, TextDelta):
            strippers = exchange.notes.setdefault(self, {})
            stripper = strippers.get((event.choice, event.index))
            if stripper is None:
                stripper = strippers[event.choice, event.index] = Stripper()
            text = stripper.feed(event.text)
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
        stripper = exchange.notes.get(self, {}).get((choice, index))
        text = stripper.close() if stripper is not None else ""
        return [TextDelta(text=text, choice=choice, index=index)] if text else []
