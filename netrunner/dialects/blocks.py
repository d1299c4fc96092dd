"""The blocks of one choice as a provider begins and ends them, numbered in that order.

This module must not know any dialect.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from netrunner.dialects.answers import MAX_BLOCKS, unreadable
from netrunner.events import BlockClose, BlockKind, BlockOpen, Event, ReasoningDelta, TextDelta, ToolArgs


class Blocks:
    """Makes the events of one choice's blocks; a block is known by a key of its decoder's choosing.

    A block that is no tool call is over when the next one begins.

    Args:
        choice: Number of the choice.
    """

    __slots__ = ("_choice", "_count", "_open", "called", "native")

    def __init__(self, choice: int = 0) -> None:
        self.called = False
        """Whether there was a tool call."""
        self.native: Any = None
        """What the next events come from, where a decoder wants them to carry it."""
        self._choice = choice
        self._count = 0
        self._open: dict[Hashable, tuple[int, BlockKind]] = {}

    def begin(
        self, key: Hashable, kind: BlockKind, tool_id: str | None = None, tool_name: str | None = None
    ) -> list[Event]:
        """Return what opens a block.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for one block too many.
        """
        if self._count == MAX_BLOCKS:
            raise unreadable("has too many blocks")
        over = [one for one, (_, of) in self._open.items() if of is not BlockKind.TOOL_CALL or one == key]
        events = [self._close(one) for one in over]
        number, self._count = self._count, self._count + 1
        self._open[key] = (number, kind)
        self.called = self.called or kind is BlockKind.TOOL_CALL
        opened = BlockOpen(
            kind=kind, choice=self._choice, index=number, tool_id=tool_id, tool_name=tool_name, native=self.native
        )
        return [*events, opened]

    def say(self, key: Hashable, kind: BlockKind, text: str | None) -> list[Event]:
        """Return what adds ``text`` to a block of words or reasoning, and opens it if need be; no text is nothing."""
        if not text:
            return []
        number, of = self._open.get(key, (0, None))
        events = []
        if of is not kind:
            events = self.begin(key, kind)
            number, _ = self._open[key]
        delta = ReasoningDelta if kind is BlockKind.REASONING else TextDelta
        return [*events, delta(text=text, choice=self._choice, index=number, native=self.native)]

    def argue(self, key: Hashable, fragment: str | None) -> list[Event]:
        """Return what adds to the arguments of a call.

        Raises:
            UpstreamError: ``upstream_invalid_response`` if it is not open.
        """
        number, of = self._open.get(key, (0, None))
        if of is not BlockKind.TOOL_CALL:
            raise unreadable("has arguments of a call that is not open")
        if not fragment:
            return []
        return [ToolArgs(fragment=fragment, choice=self._choice, index=number, native=self.native)]

    def number(self, key: Hashable) -> int | None:
        """Return the number of an open block; None if it is not."""
        number, of = self._open.get(key, (0, None))
        return None if of is None else number

    def end(self, key: Hashable) -> list[Event]:
        """Return what closes a block, if it is open."""
        return [self._close(key)] if key in self._open else []

    def end_all(self) -> list[Event]:
        """Return what closes every block that is open."""
        return [self._close(key) for key in tuple(self._open)]

    def _close(self, key: Hashable) -> Event:
        number, _ = self._open.pop(key)
        return BlockClose(choice=self._choice, index=number, native=self.native)
