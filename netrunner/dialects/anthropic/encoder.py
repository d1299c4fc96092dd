"""Block events written as Anthropic's answers: a stream with every event of its lifecycle, or one document.

Of several answers the first is written: a caller of this dialect cannot ask for more.

This module must not know providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.answers import Document, last_usage, unreadable
from netrunner.dialects.anthropic.errors import named
from netrunner.dialects.anthropic.serial import Serial
from netrunner.dialects.anthropic.usage import written
from netrunner.dialects.conversation import Asked
from netrunner.dialects.interfaces import IEncoder
from netrunner.dialects.sequence import Sequence
from netrunner.errors import InternalError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgs,
)
from netrunner.values import Usage

EVENTS = b"text/event-stream; charset=utf-8"
PING = named("ping", {"type": "ping"})

REASONS = {
    FinishKind.STOP: "end_turn",
    FinishKind.STOP_SEQUENCE: "stop_sequence",
    FinishKind.LENGTH: "max_tokens",
    FinishKind.CONTEXT_FULL: "model_context_window_exceeded",
    FinishKind.TOOL_CALLS: "tool_use",
    FinishKind.CONTENT_FILTER: "refusal",
    FinishKind.PAUSE: "pause_turn",
}
"""Anthropic's word for a finish; it has none for an error, which is never told as one."""

_CUT = frozenset({FinishKind.LENGTH, FinishKind.CONTEXT_FULL, FinishKind.CONTENT_FILTER})
"""Finishes after which the last call may be less than whole."""


class _Block:
    """A block as it is written."""

    __slots__ = ("arguments", "content", "kind", "number", "opened")

    def __init__(self, event: BlockOpen) -> None:
        self.kind = event.kind
        self.opened = event
        self.number: int | None = None
        """Where it stands in the answer; None until it is written."""
        self.content: Document = {}
        self.arguments: list[str] = []


@implementer(IEncoder)
class Encoder:
    """Writes one answer.

    Args:
        asked: What it answers.
    """

    def __init__(self, asked: Asked) -> None:
        self.content_type = EVENTS if asked.stream else b"application/json"
        self._stream = asked.stream
        self._identity = asked.id.replace("-", "")
        self._model = asked.model
        self._sequence, self._serial = Sequence(), Serial()
        self._begun = False
        self._blocks: dict[int, _Block] = {}
        """Those that are open."""
        self._content: list[_Block] = []
        """All that were written, of an answer that is no stream."""
        self._count = self._calls = 0
        self._usage: Usage | None = None
        self._finish: Finish | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the bytes for a sequence of events; none before ``end`` for an answer that is no stream."""
        told = list(events)
        self._usage = last_usage(self._usage, told)
        first = [one for one in self._sequence.order(told) if getattr(one, "choice", 0) == 0]
        ordered = list(self._serial.order(first))
        seals_of_calls = {one.index: one.data for one in ordered if isinstance(one, Signature)}
        out: list[Document] = []
        for event in ordered:
            if isinstance(event, BlockOpen):
                out += self._open(event, seals_of_calls.get(event.index))
            elif isinstance(event, (TextDelta, ReasoningDelta, ToolArgs, Signature)):
                out += self._delta(event)
            elif isinstance(event, BlockClose):
                out += self._close(event)
            elif isinstance(event, Finish):
                self._finish = event
            elif isinstance(event, KeepAlive):
                out.append({"type": "ping"})
            elif not self._begun:
                out += self._begin()
        return self._bytes(out)

    def end(self) -> bytes:
        """Return what ends the answer.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for a call whose arguments are no object.
            InternalError: if nobody said why the answer ends.
        """
        finish = self._finish
        if finish is None or finish.kind not in REASONS:
            raise InternalError("An answer was to be ended that has no end.")
        kind = finish.kind
        if kind is FinishKind.TOOL_CALLS and not self._calls:
            kind = FinishKind.STOP
        ends = {"stop_reason": REASONS[kind], "stop_sequence": finish.stop_sequence}
        usage = written(self._usage)
        if self._stream:
            head = [] if self._begun else self._begin()
            tail: list[Document] = [{"type": "message_delta", "delta": ends, "usage": usage}, {"type": "message_stop"}]
            return self._bytes([*head, *tail])
        content = [one for block in self._content for one in self._whole(block, kind)]
        return sse.compact({**self._message(), "content": content, **ends, "usage": usage})

    def _bytes(self, documents: list[Document]) -> bytes:
        if not self._stream:
            return b""
        return b"".join([named(one["type"], one) for one in documents])

    def _message(self) -> Document:
        return {
            "id": f"msg_{self._identity}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": written(self._usage),
        }

    def _begin(self) -> list[Document]:
        self._begun = True
        return [{"type": "message_start", "message": self._message()}]

    # --- blocks ---------------------------------------------------------------------------------------------

    def _open(self, event: BlockOpen, seal: str | None) -> Iterator[Document]:
        """Begin a block; a call's seal goes before it, where its reader looks for one."""
        self._blocks[event.index] = block = _Block(event)
        if block.kind in (BlockKind.TEXT, BlockKind.REFUSAL):
            yield from self._place(block, {"type": "text", "text": ""})
        elif block.kind is BlockKind.REASONING:
            yield from self._place(block, {"type": "thinking", "thinking": "", "signature": ""})
        elif block.kind is BlockKind.TOOL_CALL:
            if seal is not None:
                sealed = _Block(BlockOpen(kind=BlockKind.REASONING))
                yield from self._place(sealed, {"type": "thinking", "thinking": "", "signature": ""})
                yield from self._add(sealed, "signature_delta", "signature", _outside(seal))
                yield {"type": "content_block_stop", "index": sealed.number}
            self._calls += 1
            tool_id = event.tool_id or f"toolu_{self._identity[:20]}{self._calls:04}"
            name = event.tool_name or ""
            yield from self._place(block, {"type": "tool_use", "id": tool_id, "name": name, "input": {}})

    def _place(self, block: _Block, content: Document) -> Iterator[Document]:
        """Give a block its place in the answer."""
        block.number, block.content = self._count, content
        self._count += 1
        if not self._stream:
            self._content.append(block)
        yield {"type": "content_block_start", "index": block.number, "content_block": dict(content)}

    def _delta(self, event: TextDelta | ReasoningDelta | ToolArgs | Signature) -> Iterator[Document]:
        block = self._blocks[event.index]
        if block.kind is BlockKind.REDACTED:
            if isinstance(event, Signature) and block.number is None:
                yield from self._place(block, {"type": "redacted_thinking", "data": _outside(event.data)})
        elif block.number is None:
            return
        elif isinstance(event, TextDelta):
            yield from self._add(block, "text_delta", "text", event.text)
        elif isinstance(event, ReasoningDelta):
            yield from self._add(block, "thinking_delta", "thinking", event.text)
        elif isinstance(event, ToolArgs):
            yield from self._add(block, "input_json_delta", "partial_json", event.fragment)
        elif block.kind is BlockKind.REASONING:
            yield from self._add(block, "signature_delta", "signature", _outside(event.data))

    def _add(self, block: _Block, kind: str, field: str, piece: str) -> Iterator[Document]:
        if not piece:
            return
        if not self._stream and field == "partial_json":
            block.arguments.append(piece)
        elif not self._stream:
            block.content[field] += piece
        yield {"type": "content_block_delta", "index": block.number, "delta": {"type": kind, field: piece}}

    def _close(self, event: BlockClose) -> Iterator[Document]:
        block = self._blocks.pop(event.index)
        if block.number is not None:
            yield {"type": "content_block_stop", "index": block.number}

    def _whole(self, block: _Block, kind: FinishKind) -> list[Document]:
        """Return a block of an answer that is no stream; none for a call that the answer's end has cut."""
        if block.kind is not BlockKind.TOOL_CALL:
            return [block.content]
        try:
            given: Any = msgspec.json.decode("".join(block.arguments) or "{}")
        except (msgspec.DecodeError, RecursionError) as error:
            if kind in _CUT:
                return []
            raise unreadable("has a call whose arguments are not JSON") from error
        if not isinstance(given, dict):
            raise unreadable("has a call whose arguments are no object")
        return [{**block.content, "input": given}]


def _outside(seal: str) -> str:
    """Return a seal as callers get it: Anthropic's own as it was, others' with their format."""
    return seals.unsealed(seals.ANTHROPIC, seal) or seal
