"""Anthropic's answers read as block events, streams and whole ones alike.

This module must not know who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.answers import (
    MAX_BLOCKS,
    Document,
    document,
    obj,
    objects,
    text,
    too_large,
    truncated,
    unreadable,
)
from netrunner.dialects.anthropic.errors import stream_error
from netrunner.dialects.anthropic.usage import Counts
from netrunner.dialects.interfaces import IDecoder
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
    Start,
    TextDelta,
    ToolArgs,
    UsageSeen,
)

FINISHES = {
    "end_turn": FinishKind.STOP,
    "stop_sequence": FinishKind.STOP_SEQUENCE,
    "max_tokens": FinishKind.LENGTH,
    "model_context_window_exceeded": FinishKind.CONTEXT_FULL,
    "tool_use": FinishKind.TOOL_CALLS,
    "refusal": FinishKind.CONTENT_FILTER,
    "pause_turn": FinishKind.PAUSE,
    "compaction": FinishKind.PAUSE,
}
"""What a stop reason means; a word that is none of these is an ``ERROR``, never a stop."""

_KINDS = {
    "text": BlockKind.TEXT,
    "thinking": BlockKind.REASONING,
    "redacted_thinking": BlockKind.REDACTED,
    "tool_use": BlockKind.TOOL_CALL,
}
"""Blocks that are read; what only Anthropic's servers know is none of them, and left out."""


class _Block:
    """A block that is open."""

    __slots__ = ("arguments", "filled", "kind", "number", "seal")

    def __init__(self, kind: BlockKind | None, number: int) -> None:
        self.kind = kind
        """None for a block that is left out."""
        self.number = number
        self.seal: list[str] = []
        self.arguments: Document = {}
        """What the block began with; pieces come instead of it."""
        self.filled = False
        """Whether a piece of its arguments has come."""


@implementer(IDecoder)
class Decoder:
    """Reads one answer.

    Args:
        streaming: Whether it is a stream.
        max_bytes: The most that one event, a seal, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self.complete = False
        """The answer said that it is complete, or why it is not."""
        self.finished = False
        """It said why it ends."""
        self._streaming = streaming
        self._max = max_bytes
        self._reader = sse.Reader(max_bytes)
        self._whole = bytearray()
        self._counts = Counts()
        self._started = self._ended = False
        self._open: dict[int, _Block] = {}
        """By the number the provider gave."""
        self._begun = self._read = 0
        """Blocks, and those of them that are read."""
        self._sealed = 0
        """Characters of seals that are not complete."""
        self._called = False

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that ``data`` completes; see ``IDecoder``."""
        if not self._streaming:
            self._whole += data
            if len(self._whole) > self._max:
                raise too_large()
            return list(self.message(document(bytes(self._whole)))) if last else []
        try:
            told = self._reader.feed(data)
        except sse.OversizedEvent as error:
            raise too_large() from error
        events = [event for one in told if (named := told_by(one)) is not None for event in self.step(*named)]
        if last and not self.complete:
            raise truncated()
        return events

    def step(self, kind: str, native: Document) -> Iterator[Event]:
        """Yield what one event of a stream tells; nothing after the last, and nothing for one nobody knows."""
        if self._ended or (self.finished and kind.startswith("content_block")):
            return
        if kind == "ping":
            yield KeepAlive(native=native)
        elif (step := _STEPS.get(kind)) is not None:
            if not self._started and kind in ("content_block_start", "message_delta"):
                # Some servers that speak like Anthropic begin with the first block.
                self._started = True
                yield Start(native=native)
            yield from step(self, native)
        elif native.get("error"):
            yield from self._on_error(native)

    def message(self, native: Document) -> Iterator[Event]:
        """Yield what an answer tells that came whole."""
        if native.get("error") or native.get("type") == "error":
            yield from self._on_error(native)
            return
        if not isinstance(native.get("content"), list):
            raise unreadable("has no content")
        yield from self._on_start({"message": native})
        for number, block in enumerate(objects(native, "content")):
            yield from self._on_open({"index": number, "content_block": block})
            yield from self._on_close({"index": number})
        if text(native, "stop_reason") is None:
            raise unreadable("does not say why it ends")
        yield from self._finish(native, native)

    # --- one step for each kind of event --------------------------------------------------------------------

    def _on_start(self, native: Document) -> Iterator[Event]:
        if self._started:
            raise unreadable("begins twice")
        self._started = True
        message = obj(native, "message")
        yield Start(id=text(message, "id"), model=text(message, "model"), native=native)
        yield from self._usage(message, native)

    def _on_open(self, native: Document) -> Iterator[Event]:
        index, block = _index(native), obj(native, "content_block")
        if index in self._open:
            raise unreadable("has a block twice")
        self._begun += 1
        if self._begun > MAX_BLOCKS:
            raise too_large()
        kind = _KINDS.get(text(block, "type") or "")
        self._open[index] = opened = _Block(kind, self._read)
        if kind is None:
            return
        self._read += 1
        number = opened.number
        if kind is BlockKind.TOOL_CALL:
            self._called = True
            opened.arguments = obj(block, "input")
            tool_id, name = text(block, "id"), text(block, "name")
            yield BlockOpen(kind=kind, index=number, tool_id=tool_id, tool_name=name, native=native)
            return
        yield BlockOpen(kind=kind, index=number, native=native)
        if kind is BlockKind.TEXT and (words := text(block, "text")):
            yield TextDelta(text=words, index=number, native=native)
        if kind is BlockKind.REASONING and (words := text(block, "thinking")):
            yield ReasoningDelta(text=words, index=number, native=native)
        self._seal(opened, text(block, "data" if kind is BlockKind.REDACTED else "signature"))

    def _on_delta(self, native: Document) -> Iterator[Event]:
        opened = self._open.get(_index(native))
        if opened is None:
            raise unreadable("has a piece of a block that is not open")
        delta = obj(native, "delta")
        kind = text(delta, "type") or ""
        wanted, field = _DELTAS.get(kind, (opened.kind, None))
        if opened.kind is None or field is None:
            return
        if opened.kind is not wanted:
            raise unreadable(f"has a {kind} in a block of another kind")
        piece, number = text(delta, field), opened.number
        if not piece:
            return
        if kind == "text_delta":
            yield TextDelta(text=piece, index=number, native=native)
        elif kind == "thinking_delta":
            yield ReasoningDelta(text=piece, index=number, native=native)
        elif kind == "input_json_delta":
            opened.filled = True
            yield ToolArgs(fragment=piece, index=number, native=native)
        else:
            self._seal(opened, piece)

    def _on_close(self, native: Document) -> Iterator[Event]:
        opened = self._open.pop(_index(native), None)
        if opened is None:
            raise unreadable("ends a block that is not open")
        yield from self._close(opened, native)

    def _on_message_delta(self, native: Document) -> Iterator[Event]:
        yield from self._usage(native, native)
        delta = obj(native, "delta")
        if text(delta, "stop_reason") is not None and not self.finished:
            yield from self._finish(delta, native)

    def _on_end(self, native: Document) -> Iterator[Event]:
        if not self.finished:
            raise unreadable("does not say why it ends")
        self._ended = True
        yield from ()

    def _on_error(self, native: Document) -> Iterator[Event]:
        self.complete = self._ended = True
        yield stream_error(native)

    # --- what they share ------------------------------------------------------------------------------------

    def _usage(self, holder: Document, native: Document) -> Iterator[Event]:
        usage = self._counts.see(holder.get("usage"))
        if usage is not None:
            yield UsageSeen(usage=usage, native=native)

    def _seal(self, opened: _Block, piece: str | None) -> None:
        """Keep a piece of a seal: it is told whole, since one that is cut would be refused."""
        if piece:
            opened.seal.append(piece)
            self._sealed += len(piece)
            if self._sealed > self._max:
                raise too_large()

    def _close(self, opened: _Block, native: Document) -> Iterator[Event]:
        if opened.kind is None:
            return
        number = opened.number
        if opened.seal:
            whole = "".join(opened.seal)
            self._sealed -= len(whole)
            yield Signature(data=seals.seal(seals.ANTHROPIC, whole), index=number, native=native)
        if opened.kind is BlockKind.TOOL_CALL and not opened.filled:
            yield ToolArgs(fragment=sse.compact(opened.arguments).decode(), index=number, native=native)
        yield BlockClose(index=number, native=native)

    def _finish(self, stop: Document, native: Document) -> Iterator[Event]:
        self.complete = self.finished = True
        for opened in self._open.values():
            yield from self._close(opened, native)
        self._open.clear()
        reason = text(stop, "stop_reason") or ""
        kind = FINISHES.get(reason, FinishKind.ERROR)
        if kind in (FinishKind.STOP, FinishKind.TOOL_CALLS):
            kind = FinishKind.TOOL_CALLS if self._called else FinishKind.STOP
        yield Finish(kind=kind, reason=reason, stop_sequence=text(stop, "stop_sequence"), native=native)


_STEPS: dict[str, Callable[[Decoder, Document], Iterator[Event]]] = {
    "message_start": Decoder._on_start,
    "content_block_start": Decoder._on_open,
    "content_block_delta": Decoder._on_delta,
    "content_block_stop": Decoder._on_close,
    "message_delta": Decoder._on_message_delta,
    "message_stop": Decoder._on_end,
    "error": Decoder._on_error,
}
"""What an event of each kind tells."""

_DELTAS: dict[str, tuple[BlockKind, str]] = {
    "text_delta": (BlockKind.TEXT, "text"),
    "thinking_delta": (BlockKind.REASONING, "thinking"),
    "signature_delta": (BlockKind.REASONING, "signature"),
    "input_json_delta": (BlockKind.TOOL_CALL, "partial_json"),
}
"""By the kind of a piece: the kind of block it belongs to, and where it stands. Others are left out."""


def told_by(event: sse.Event) -> tuple[str, Document] | None:
    """Return an event of a stream by its kind; None for one that clients do not need."""
    if not event.data.strip() or event.data.strip() == b"[DONE]":
        return None
    native = document(event.data)
    kind = native.get("type") or (event.name or b"").decode("utf-8", "replace")
    return (kind if isinstance(kind, str) else ""), native


def _index(native: Document) -> int:
    index: Any = native.get("index")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise unreadable("has an index that is no number")
    return index
