"""Writes block events as Gemini's answer: a stream of events, a list whose elements come as they are made, a document.

A function call is written once it is whole, the finish with the counts in the last piece of all. Thoughts are shown
to callers who asked for them; seals go to all, as their next request needs them.

This module must not read requests or answers of providers.
"""

from __future__ import annotations

from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import answers
from netrunner.dialects.conversation import Asked, Conversation
from netrunner.dialects.gemini import signatures
from netrunner.dialects.gemini.answer import FINISHES
from netrunner.dialects.gemini.failures import written
from netrunner.dialects.interfaces import IEncoder
from netrunner.dialects.sequence import Sequence
from netrunner.errors import ExchangeError, InternalError
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

Document = dict[str, Any]

REASONS = {
    FinishKind.STOP: "STOP",
    FinishKind.STOP_SEQUENCE: "STOP",
    FinishKind.TOOL_CALLS: "STOP",
    FinishKind.LENGTH: "MAX_TOKENS",
    FinishKind.CONTEXT_FULL: "MAX_TOKENS",
    FinishKind.CONTENT_FILTER: "SAFETY",
    FinishKind.PAUSE: "CONTINUATION",
}
"""Gemini's word for a finish; it has none for an error, which is never told as one."""
EVENTS = b"text/event-stream"
KEEPALIVE = b"\n\n"
"""Nothing: between two events, as between two elements of a list, white space means nothing."""


class _Block(msgspec.Struct):
    """A block that is open."""

    kind: BlockKind
    id: str | None
    name: str | None
    arguments: list[str] = []
    signature: str | None = None


@implementer(IEncoder)
class Encoder:
    """Writes one answer.

    Args:
        asked: What it answers.
    """

    def __init__(self, asked: Asked) -> None:
        events = asked.stream and alt(asked.query) == "sse"
        self._form = "events" if events else "list" if asked.stream else "document"
        self.content_type = EVENTS if events else b"application/json"
        request = asked.request
        thinking = request.thinking if isinstance(request, Conversation) else None
        self._shows = thinking is not None and thinking.shown is True
        self._head = {"modelVersion": asked.model, "responseId": asked.id}
        self._sequence = Sequence()
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._parts: dict[int, list[Document]] = {}
        """What is to be written, by choice."""
        self._finishes: dict[int, Document] = {}
        self._usage: Usage | None = None
        self._begun = False

    def write(self, events: list[Event]) -> bytes:
        """Return the bytes for ``events``; see ``IEncoder``.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for a call whose arguments are no JSON object.
            InternalError: for an error as a finish.
        """
        quiet = False
        self._usage = answers.last_usage(self._usage, events)
        for event in self._sequence.order(events):
            quiet = quiet or isinstance(event, KeepAlive)
            self._take(event)
        if self._form == "document":
            return b""
        if self._parts:
            parts, self._parts = self._parts, {}
            return self._piece([_candidate(number, parts[number]) for number in sorted(parts)])
        return KEEPALIVE if quiet and self._begun else b""

    def end(self) -> bytes:
        """Return what ends the answer.

        Raises:
            UpstreamError: ``upstream_truncated`` if no choice was finished: it must not look complete.
        """
        if not self._finishes:
            raise answers.truncated()
        candidates = []
        for number in sorted({*self._finishes, *self._parts}):
            parts = self._parts.get(number) or [{"text": ""}]
            candidates.append({**_candidate(number, parts), **self._finishes.get(number, {})})
        return self._piece(candidates, usageMetadata=_counts(self._usage or Usage())) + (
            b"]" if self._form == "list" else b""
        )

    def error(self, error: ExchangeError) -> bytes:
        """Return the bytes that tell an error inside an answer already begun."""
        return self._framed(written(error)) + (b"]" if self._form == "list" else b"")

    def _piece(self, candidates: list[Document], **further: Document) -> bytes:
        return self._framed({"candidates": candidates, **further, **self._head})

    def _framed(self, document: Document) -> bytes:
        begun, self._begun = self._begun, True
        if self._form == "events":
            return sse.event(document)
        if self._form == "list":
            return (b",\r\n" if begun else b"[") + sse.compact(document)
        return sse.compact(document)

    def _take(self, event: Event) -> None:
        """Note one event, or what is to be written for it."""
        if isinstance(event, BlockOpen):
            self._blocks[event.choice, event.index] = _Block(event.kind, event.tool_id, event.tool_name)
        elif isinstance(event, TextDelta):
            self._text(event.choice, event.text)
        elif isinstance(event, ReasoningDelta):
            if self._shows:
                self._text(event.choice, event.text, thought=True)
        elif isinstance(event, ToolArgs):
            self._blocks[event.choice, event.index].arguments.append(event.fragment)
        elif isinstance(event, Signature):
            block = self._blocks[event.choice, event.index]
            block.signature = signatures.written(event.data, block.kind is BlockKind.REDACTED)
        elif isinstance(event, BlockClose):
            self._close(event.choice, self._blocks.pop((event.choice, event.index)))
        elif isinstance(event, Finish):
            self._finish(event)

    def _text(self, choice: int, text: str, **more: Any) -> None:
        """Write text; pieces that are written together are one part."""
        parts = self._parts.setdefault(choice, []) if text else []
        if parts and parts[-1] == {"text": parts[-1].get("text"), **more}:
            parts[-1]["text"] += text
        elif text:
            parts.append({"text": text, **more})

    def _close(self, choice: int, block: _Block) -> None:
        part: Document
        if block.kind is BlockKind.TOOL_CALL:
            call = {"id": block.id} if block.id else {}
            part = {"functionCall": {**call, "name": block.name or "", "args": _arguments(block)}}
        elif block.signature is not None:
            part = {"text": "", "thought": True}
        else:
            return
        if block.signature is not None:
            part["thoughtSignature"] = block.signature
        self._parts.setdefault(choice, []).append(part)

    def _finish(self, event: Finish) -> None:
        if event.kind not in REASONS:
            raise InternalError("An error cannot be written as a finish.")
        told = REASONS[event.kind]
        if event.reason is not None and FINISHES.get(event.reason) is FinishKind.CONTENT_FILTER:
            told = event.reason
        self._finishes[event.choice] = {"finishReason": told}
        if told not in ("STOP", "MAX_TOKENS") and event.reason not in (None, told):
            self._finishes[event.choice]["finishMessage"] = event.reason


def alt(query: bytes) -> str:
    """Return how the answer is to be framed: the value of ``alt``, or of ``$alt``."""
    for field in query.split(b"&"):
        name, _, value = field.partition(b"=")
        if name in (b"alt", b"$alt", b"%24alt"):
            return value.decode("latin-1").lower()
    return ""


def _candidate(number: int, parts: list[Document]) -> Document:
    return {"content": {"parts": parts, "role": "model"}, "index": number}


def _arguments(block: _Block) -> Document:
    try:
        arguments = msgspec.json.decode("".join(block.arguments).strip() or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise answers.unreadable("has a call whose arguments are not JSON") from error
    if not isinstance(arguments, dict):
        raise answers.unreadable("has a call whose arguments are no object")
    return arguments


def _counts(usage: Usage) -> Document:
    """Return counts as ``usageMetadata``; empty where the provider told none."""
    counts: Document = {}
    if usage.input_total is not None:
        counts["promptTokenCount"] = usage.input_total
    if usage.cache_read:
        counts["cachedContentTokenCount"] = usage.cache_read
    if usage.output_total is not None:
        counts["candidatesTokenCount"] = max(0, usage.output_total - (usage.reasoning or 0))
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    if counts:
        counts["totalTokenCount"] = (usage.input_total or 0) + (usage.output_total or 0)
    return counts
