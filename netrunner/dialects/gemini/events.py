"""Gemini's answers as block events for event filters, and written again: untouched pieces keep their own JSON.

A piece that filters changed is put together anew from its events: each knows the part it came from, so that what the
part holds besides lives on.

This module must not know which filters there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import answers
from netrunner.dialects.filtered import unchanged, unwritable
from netrunner.dialects.gemini.answer import Answer
from netrunner.dialects.gemini.decoder import DONE
from netrunner.dialects.gemini.encoder import REASONS
from netrunner.dialects.gemini.frames import Frames
from netrunner.dialects.interfaces import IEventCodec
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

Document = dict[str, Any]
_TELLING = frozenset({"usageMetadata", "error", "promptFeedback"})
"""What a document without candidates is still sent for."""


class Chunk(msgspec.Struct, eq=False):
    """One document of an answer."""

    raw: bytes
    """As it came; an event is framed anew."""
    native: Any = None
    events: tuple[Event, ...] = ()
    before: bytes = b""
    """What stands before the document in a list."""
    finishes: bool = False
    """It finishes a choice, or comes after that."""
    done: bool = False
    """It is the end of a list."""


@implementer(IEventCodec)
class EventCodec:
    """Reads one answer as events, and writes it again.

    Args:
        streaming: Whether the answer is a stream of events.
        max_bytes: The most that one document of it may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self.streaming = streaming
        self._frames = Frames(max_bytes)
        self._answer = Answer()
        self._finished: set[int] = set()
        self._elements = 0

    @property
    def complete(self) -> bool:
        """Whether the answer said that it is complete, or why it is not."""
        return self._answer.complete

    def feed(self, data: bytes, last: bool) -> list[Chunk]:
        """Return the chunks that ``data`` completes; ``last`` completes whatever is there.

        Raises:
            UpstreamError: for an answer that cannot be read; nothing may be fed after that.
        """
        chunks = [
            self._chunk(document)
            for document in self._frames.feed(data, last)
            if not self._answer.failed and document.strip() != DONE
        ]
        if last and not self._answer.failed and (self._frames.cut or not self.complete):
            raise answers.truncated()
        if last and self._frames.form == "list":
            chunks.append(Chunk(b"]", before=b",\r\n", done=True))
        return chunks

    def write(self, chunk: Chunk, events: Sequence[Event]) -> bytes:
        """Return the bytes for ``chunk`` when the filters made ``events`` of its own.

        Raises:
            InternalError: ``filter_failed`` for what cannot be written: a tool call or a signature that a filter made,
                an error as a finish.
        """
        if unchanged(chunk.events, events):
            return chunk.raw
        parts: dict[int, list[Document]] = {}
        finishes: dict[int, Finish] = {}
        for event in events:
            if isinstance(event, Finish):
                finishes[event.choice] = event
            elif isinstance(event, (Signature, StreamError)) and not any(event is one for one in chunk.events):
                raise unwritable("a signature or an error")
            elif hasattr(event, "choice"):
                _add(parts.setdefault(event.choice, []), event)
        native = self._rebuilt(chunk, parts, finishes)
        if native is None:
            return b""
        if self._frames.form == "events":
            return sse.event(native)
        return chunk.before + sse.compact(native) + (chunk.raw if chunk.done else b"")

    def _chunk(self, document: bytes) -> Chunk:
        native = answers.document(document)
        answer = self._answer
        events = answer.read(native)
        told = [] if answer.failed else [number for number in answer.told(native) if number not in self._finished]
        for number in told:
            self._finished.add(number)
            events += answer.finish(number)
        chunk = Chunk(b"", native, tuple(events))
        chunk.finishes = bool(self._finished) or not self.streaming
        if self._frames.form == "events":
            chunk.raw = b"data: " + document.replace(b"\n", b" ") + b"\n\n"
        elif self._frames.form == "list":
            chunk.before = b",\r\n" if self._elements else b"["
            chunk.raw = chunk.before + document
        else:
            chunk.raw = document
        self._elements += 1
        return chunk

    def _rebuilt(self, chunk: Chunk, parts: dict[int, list[Document]], finishes: dict[int, Finish]) -> Document | None:
        """Return the document with other parts; None if nothing is left to be said."""
        native: Document = chunk.native or {}
        candidates: dict[int, Document] = {
            one.get("index", position): one for position, one in enumerate(native.get("candidates") or ())
        }
        told = {number: dict(one) for number, one in candidates.items()}
        for number, candidate in told.items():
            candidate["content"] = {**(candidate.get("content") or {"role": "model"}), "parts": parts.get(number, [])}
        for number in parts.keys() - told.keys():
            told[number] = {"content": {"role": "model", "parts": parts[number]}, "index": number}
        for number, finish in finishes.items():
            own = next((one for one in chunk.events if isinstance(one, Finish) and one.choice == number), None)
            if own is not None and own.kind is finish.kind:
                continue
            if finish.kind not in REASONS:
                raise unwritable("an error as a finish")
            empty = {"content": {"role": "model", "parts": []}, "index": number}
            told.setdefault(number, empty)["finishReason"] = REASONS[finish.kind]
        kept = [
            told[number]
            for number in sorted(told)
            if told[number]["content"]["parts"] or "finishReason" in told[number]
        ]
        if self._frames.form == "events" and not kept and not native.keys() & _TELLING:
            return None
        return {**native, "candidates": kept} if kept or "candidates" in native else native


def _add(parts: list[Document], event: Any) -> None:
    """Add what an event says to the parts of its choice."""
    own: Document = event.native if isinstance(event.native, dict) else {}
    if isinstance(event, TextDelta):
        _add_text(parts, {**own, "text": event.text})
    elif isinstance(event, ReasoningDelta):
        _add_text(parts, {**own, "text": event.text, "thought": True})
    elif isinstance(event, Signature):
        if not parts or parts[-1].get("thoughtSignature") != own.get("thoughtSignature"):
            parts.append({**own, "text": ""})
    elif isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL:
        if "functionCall" not in own:
            raise unwritable("a tool call")
        renamed = {} if event.tool_name == own["functionCall"].get("name") else {"name": event.tool_name}
        parts.append({**own, "functionCall": {**own["functionCall"], **renamed}})
    elif isinstance(event, BlockOpen) and own and event.kind not in (BlockKind.TEXT, BlockKind.REASONING):
        parts.append(own)
    elif isinstance(event, ToolArgs):
        if not parts or "functionCall" not in parts[-1]:
            raise unwritable("a tool call's arguments")
        parts[-1] = {**parts[-1], "functionCall": {**parts[-1]["functionCall"], "args": _object(event.fragment)}}


def _add_text(parts: list[Document], part: Document) -> None:
    """Add a text; a signature that was told before it belongs to the same part."""
    if parts and "thoughtSignature" in part and parts[-1] == {**part, "text": ""}:
        parts.pop()
    if part["text"] or "thoughtSignature" in part:
        parts.append(part)


def _object(fragment: str) -> Document:
    try:
        found = msgspec.json.decode(fragment or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise unwritable("arguments that are not JSON") from error
    if not isinstance(found, dict):
        raise unwritable("arguments that are no object")
    return found
