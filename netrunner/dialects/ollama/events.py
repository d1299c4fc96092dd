"""Ollama's chats and completions as block events, for event filters, and back.

A line becomes one ``Chunk``, an answer that comes as one document a single one. Each has one place for text and one for
thinking, so what filters make of them, and add, lands there; what they say of tool calls is carried over by block.

This module must not know which filters there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import answers
from netrunner.dialects.answers import Document, unreadable
from netrunner.dialects.filtered import unchanged, unwritable
from netrunner.dialects.interfaces import IEventCodec
from netrunner.dialects.ollama.decoder import AnswerEvents, Frames, said_in
from netrunner.dialects.ollama.encoder import REASONS
from netrunner.events import (
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    ReasoningDelta,
    Signature,
    StreamError,
    TextDelta,
    ToolArgs,
)


class Chunk(msgspec.Struct, eq=False):
    """One line, or a whole answer."""

    raw: bytes
    native: Document
    events: tuple[Event, ...]
    finishes: bool
    """It is the last one."""
    done: bool = False
    """Never: no mark of its own ends a stream."""


@implementer(IEventCodec)
class EventCodec:
    """Reads one answer as events, and writes it again.

    Args:
        endpoint: ``chat`` or ``generate``.
        streaming: Whether the answer comes as lines.
        max_bytes: The most that one line, or an answer that is one document, may take.
    """

    def __init__(self, endpoint: str, streaming: bool, max_bytes: int) -> None:
        self.streaming = streaming
        self._frames = Frames(streaming, max_bytes)
        self._answer = AnswerEvents(endpoint)
        self._generates = endpoint == "generate"

    @property
    def complete(self) -> bool:
        """Whether the answer said that it is, or why it is not."""
        return self._answer.complete

    def feed(self, data: bytes, last: bool) -> list[Chunk]:
        """Return the chunks that ``data`` completes.

        Raises:
            UpstreamError: ``upstream_invalid_response`` or ``answer_too_large``.
        """
        answer = self._answer
        chunks = []
        for frame in self._frames.feed(data, last):
            if answer.complete:
                raise unreadable("goes on after its end")
            native = answers.document(frame)
            events = tuple(answer.read(native))
            raw = frame + b"\n" if self.streaming else frame
            finishes = not self.streaming or any(isinstance(event, (Finish, StreamError)) for event in events)
            chunks.append(Chunk(raw, native, events, finishes))
        return chunks

    def write(self, chunk: Chunk, events: Sequence[Event]) -> bytes:
        """Return the bytes of a chunk when filters made ``events`` of its own.

        Raises:
            InternalError: ``filter_failed`` for what cannot be written: a tool call, a signature or an error that a
                filter made, an error as a finish.
        """
        if unchanged(chunk.events, events):
            return chunk.raw
        native = chunk.native
        self._settle_calls(said_in(native), chunk, events)
        for event in events:
            if any(event is own for own in chunk.events):
                continue
            if isinstance(event, (Signature, StreamError)):
                raise unwritable("a signature or an error")
            if isinstance(event, Finish):
                self._finish(native, event)
        for kind, field in ((TextDelta, "content"), (ReasoningDelta, "thinking")):
            text = _texts(kind, events)
            if text != _texts(kind, chunk.events):
                self._set(native, field, text)
        if not self.streaming:
            return sse.compact(native)
        return sse.line(native) if chunk.finishes or _tells(native) else b""

    def _finish(self, native: Document, event: Finish) -> None:
        if event.kind not in REASONS or not native.get("done"):
            raise unwritable("a finish of its own")
        native["done_reason"] = REASONS[event.kind]

    def _set(self, native: Document, field: str, text: str) -> None:
        """Put a text where the old one stands, or would; some servers repeat a chat's as ``response``."""
        holder = said_in(native)
        native.pop("logprobs", None)
        places = [(holder, field)] if field in holder else []
        if field == "content" and "response" in native:
            places.append((native, "response"))
        if not places and self._generates:
            places.append((native, "response" if field == "content" else field))
        elif not places:
            places.append((native.setdefault("message", {"role": "assistant"}), field))
        for one, name in places:
            one[name] = text

    def _settle_calls(self, holder: Document, chunk: Chunk, events: Sequence[Event]) -> None:
        """Rename, remove and rewrite the tool calls that a filter has changed."""
        own = _calls(chunk.events)
        kept = {one.index: one for one in _calls(events)}
        if not kept.keys() <= {one.index for one in own}:
            raise unwritable("a tool call")
        calls: list[Document] = []
        for opened, call in zip(own, holder.get("tool_calls") or (), strict=True):
            if opened.index not in kept:
                continue
            now = kept[opened.index]
            if now is not opened:
                call["id"], call["function"]["name"] = now.tool_id, now.tool_name
            arguments = _arguments(opened.index, events)
            if arguments != _arguments(opened.index, chunk.events):
                call["function"]["arguments"] = _object(arguments)
            calls.append(call)
        if calls:
            holder["tool_calls"] = calls
        else:
            holder.pop("tool_calls", None)


def _calls(events: Sequence[Event]) -> list[BlockOpen]:
    return [one for one in events if isinstance(one, BlockOpen) and one.kind is BlockKind.TOOL_CALL]


def _arguments(index: int, events: Sequence[Event]) -> str:
    return "".join([one.fragment for one in events if isinstance(one, ToolArgs) and one.index == index])


def _object(arguments: str) -> Document:
    try:
        found = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise unwritable("arguments that are no object")
    return found


def _texts(kind: type[TextDelta | ReasoningDelta], events: Sequence[Event]) -> str:
    return "".join([event.text for event in events if isinstance(event, kind)])


def _tells(native: Document) -> bool:
    """Return whether a line tells anything any more."""
    holder = said_in(native)
    return any(one.get(name) for one in (holder, native) for name in ("content", "thinking", "tool_calls", "response"))
