"""Blocks of one answer one after the other: a provider may write several calls at once, Anthropic never does.

This module must not write bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from netrunner.dialects.answers import too_large
from netrunner.events import (
    BlockClose,
    BlockOpen,
    Event,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgs,
)

MAX_HELD = 8 << 20
"""Most characters of calls that wait for the one before them."""

_OF_BLOCKS = (BlockOpen, TextDelta, ReasoningDelta, ToolArgs, Signature, BlockClose)


class Serial:
    """Holds back what belongs to a block until the block before it is closed.

    The events of one choice come in the order of ``Sequence``, so every block that opens is closed.
    """

    __slots__ = ("_current", "_held", "_waiting")

    def __init__(self) -> None:
        self._current: int | None = None
        """The block that is open."""
        self._waiting: dict[int, list[Event]] = {}
        """The events of those that were opened after it, in that order."""
        self._held = 0

    def order(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield what may be written.

        Raises:
            UpstreamError: ``answer_too_large`` if too much has to wait.
        """
        for event in events:
            if not isinstance(event, _OF_BLOCKS) or self._current in (None, event.index):
                yield from self._pass(event)
                continue
            self._waiting.setdefault(event.index, []).append(event)
            self._held += len(event.fragment) if isinstance(event, ToolArgs) else 1
            if self._held > MAX_HELD:
                raise too_large()

    def _pass(self, event: Event) -> Iterator[Event]:
        """Yield an event, and after the end of a block all that waited for it."""
        passing = deque([event])
        while passing:
            one = passing.popleft()
            yield one
            if isinstance(one, BlockOpen):
                self._current = one.index
            elif isinstance(one, BlockClose):
                self._current = None
                if self._waiting:
                    passing.extend(self._waiting.pop(next(iter(self._waiting))))
                else:
                    self._held = 0
