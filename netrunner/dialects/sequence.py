"""Block events put into an order that every client can follow, whatever decoders and filters made of them.

``Start`` comes first and once; a delta is in an open block of its kind; one block of a choice is open at a time, unless
a provider writes several tool calls at once; blocks close before the ``Finish`` of their choice, which comes once.

This module must not know any dialect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    KeepAlive,
    ReasoningDelta,
    Signature,
    Start,
    TextDelta,
    ToolArgs,
)

_WORDS = (BlockKind.TEXT, BlockKind.REFUSAL)


class _Block(msgspec.Struct):
    """One block as it is written."""

    number: int
    kind: BlockKind
    open: bool = True
    arguments: list[str] = []
    """Of a tool call, as they came."""


class _Choice:
    """What is known of one choice."""

    __slots__ = ("blocks", "finished", "next")

    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}
        """By the number their decoder gave them."""
        self.next = 0
        self.finished = False


class Sequence:
    """Orders the events of one answer; blocks are numbered anew, by choice from 0 without gaps."""

    __slots__ = ("_choices", "_started")

    def __init__(self) -> None:
        self._started = False
        self._choices: dict[int, _Choice] = {}

    def order(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield what is to be written for ``events``.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for arguments or a signature that belong to no open block.
        """
        for event in events:
            if isinstance(event, Start):
                if not self._started:
                    self._started = True
                    yield event
                continue
            if not self._started and not isinstance(event, KeepAlive):
                self._started = True
                yield Start()
            if isinstance(event, BlockOpen):
                yield from self._open(event)
            elif isinstance(event, BlockClose):
                block = self._choice(event.choice).blocks.get(event.index)
                if block is not None and block.open:
                    yield self._close(event.choice, block)
            elif isinstance(event, (TextDelta, ReasoningDelta, ToolArgs, Signature)):
                yield from self._delta(event)
            elif isinstance(event, Finish):
                choice = self._choice(event.choice)
                if not choice.finished:
                    yield from self._close_all(event.choice, choice)
                    choice.finished = True
                    yield event
            else:
                yield event

    def _choice(self, number: int) -> _Choice:
        return self._choices.setdefault(number, _Choice())

    def _open(self, event: BlockOpen) -> Iterator[Event]:
        choice = self._choice(event.choice)
        for block in choice.blocks.values():
            if block.open and (block.kind is not BlockKind.TOOL_CALL or _is_whole(block)):
                yield self._close(event.choice, block)
        choice.blocks[event.index] = block = _Block(choice.next, event.kind)
        choice.next += 1
        yield event if event.index == block.number else msgspec.structs.replace(event, index=block.number)

    def _delta(self, event: TextDelta | ReasoningDelta | ToolArgs | Signature) -> Iterator[Event]:
        block = self._choice(event.choice).blocks.get(event.index)
        if block is None or not block.open or not _fits(block.kind, event):
            if isinstance(event, (ToolArgs, Signature)):
                raise UpstreamError(
                    "The provider's answer has a piece of a block that is not open.", code="upstream_invalid_response"
                )
            kind = BlockKind.REASONING if isinstance(event, ReasoningDelta) else BlockKind.TEXT
            yield from self._open(BlockOpen(kind=kind, choice=event.choice, index=event.index))
            block = self._choice(event.choice).blocks[event.index]
        if isinstance(event, ToolArgs):
            block.arguments.append(event.fragment)
        yield event if event.index == block.number else msgspec.structs.replace(event, index=block.number)

    def _close_all(self, number: int, choice: _Choice) -> Iterator[Event]:
        for block in choice.blocks.values():
            if block.open:
                yield self._close(number, block)

    def _close(self, choice: int, block: _Block) -> BlockClose:
        block.open = False
        return BlockClose(choice=choice, index=block.number)


def _fits(kind: BlockKind, event: Event) -> bool:
    if isinstance(event, TextDelta):
        return kind in _WORDS
    if isinstance(event, ToolArgs):
        return kind is BlockKind.TOOL_CALL
    return isinstance(event, Signature) or kind is BlockKind.REASONING


def _is_whole(block: _Block) -> bool:
    """Return whether a call's arguments may be all there is of them; those that have not begun may still come."""
    try:
        msgspec.json.decode("".join(block.arguments))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
