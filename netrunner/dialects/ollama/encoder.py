"""Writes block events as an Ollama answer: one object a line, or one document.

Clients take every line for a part of the answer, so each has its model, its time and a message, and a tool call is on
one line whole. The caller's own name of the model is told.

This module must not end an answer that nothing has finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, merged, unreadable
from netrunner.dialects.conversation import Asked
from netrunner.dialects.interfaces import IEncoder
from netrunner.dialects.sequence import Sequence
from netrunner.errors import InternalError, UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    TextDelta,
    ToolArgs,
    UsageSeen,
    Vectors,
)
from netrunner.times import stamp
from netrunner.values import Usage

LINES = b"application/x-ndjson"
DOCUMENT = b"application/json; charset=utf-8"
REASONS = {
    FinishKind.STOP: "stop",
    FinishKind.STOP_SEQUENCE: "stop",
    FinishKind.LENGTH: "length",
    FinishKind.CONTEXT_FULL: "length",
    FinishKind.TOOL_CALLS: "stop",
    FinishKind.CONTENT_FILTER: "stop",
    FinishKind.PAUSE: "stop",
}
"""Ollama's ``done_reason`` for a finish; it has none for an error."""
_CUT = (FinishKind.LENGTH, FinishKind.CONTEXT_FULL, FinishKind.CONTENT_FILTER)
"""Finishes after which the last call may be incomplete."""
_NS = 1_000_000_000


class _Answer:
    """What every answer tells of itself.

    Args:
        asked: What is answered.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: Usage | None = None

    def _head(self) -> Document:
        asked = self._asked
        return {"model": asked.model, "created_at": stamp(asked.at + max(0.0, asked.elapsed_s()))}

    def _tail(self, began_s: float) -> Document:
        """Return times and counts: none of the times that clients divide by is zero, unknown counts are left out."""
        usage = self._usage or Usage()
        total = max(2, int(self._asked.elapsed_s() * _NS))
        prompt = min(total - 1, max(1, int(began_s * _NS)))
        tail: Document = {"total_duration": total, "load_duration": 0}
        if usage.input_total is not None:
            tail["prompt_eval_count"] = usage.input_total
        tail["prompt_eval_duration"] = prompt
        if usage.output_total is not None:
            tail["eval_count"] = usage.output_total
        tail["eval_duration"] = total - prompt
        return tail


@implementer(IEncoder)
class Encoder(_Answer):
    """Writes the answer of a chat or a completion; the first choice is all there is.

    Args:
        asked: What is answered; its endpoint tells the form.
    """

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.content_type = LINES if asked.stream else DOCUMENT
        self._generates = asked.endpoint == "generate"
        self._sequence = Sequence()
        self._finish: Finish | None = None
        self._began_s: float | None = None
        self._calls: dict[int, tuple[BlockOpen, list[str]]] = {}
        """Calls by their block, each with its arguments as far as they have come."""
        self._called = 0
        self._texts: dict[str, list[str]] = {"content": [], "thinking": []}
        self._told: list[Document] = []
        """Calls of an answer that is no stream."""
        self._broken: UpstreamError | None = None
        """What is wrong with the arguments of a call, which was left out."""

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the lines for ``events``; nothing of an answer that is no stream.

        A call whose arguments are no JSON object is left out if the answer was cut off, in the midst of it.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for such a call in any other answer.
            InternalError: for an error as a finish.
        """
        return b"".join([self._event(event) for event in self._sequence.order(events)])

    def end(self) -> bytes:
        """Return the last line, or the document.

        Raises:
            InternalError: if nothing has finished the answer.
        """
        if self._finish is None:
            raise InternalError("An answer ends that nothing has finished.")
        message: Document = {"content": "".join(self._texts["content"])}
        if self._texts["thinking"]:
            message["thinking"] = "".join(self._texts["thinking"])
        if self._told:
            message["tool_calls"] = self._told
        line = self._line(message, done=True)
        line["done_reason"] = REASONS[self._finish.kind]
        # An answer that came as a whole does not tell when it began.
        line.update(self._tail((self._began_s or 0.0) if self._asked.stream else 0.0))
        return sse.line(line) if self._asked.stream else sse.compact(line)

    def _event(self, event: Event) -> bytes:
        if isinstance(event, UsageSeen):
            self._usage = merged(self._usage, event.usage)
        elif isinstance(event, KeepAlive):
            return self._said({"content": ""}) if self._asked.stream else b""
        elif getattr(event, "choice", 0) == 0:
            return self._piece(event)
        return b""

    def _piece(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            return self._text("content", event.text)
        if isinstance(event, ReasoningDelta):
            return self._text("thinking", event.text)
        if isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL:
            self._calls[event.index] = (event, [])
        elif isinstance(event, ToolArgs):
            self._calls[event.index][1].append(event.fragment)
        elif isinstance(event, BlockClose) and event.index in self._calls:
            return self._call(*self._calls.pop(event.index))
        elif isinstance(event, Finish):
            if event.kind not in REASONS:
                raise InternalError("An error cannot be written as the end of an answer.")
            if self._broken is not None and event.kind not in _CUT:
                raise self._broken
            self._finish = event
        return b""

    def _text(self, field: str, text: str) -> bytes:
        if not text:
            return b""
        if self._asked.stream:
            self._begin()
            return self._said({"content": "", field: text})
        self._texts[field].append(text)
        return b""

    def _call(self, opened: BlockOpen, fragments: list[str]) -> bytes:
        try:
            arguments = _arguments("".join(fragments))
        except UpstreamError as error:
            self._broken = error
            return b""
        id = opened.tool_id or f"call_{self._asked.id.replace('-', '')}_{self._called}"
        call = {"id": id, "function": {"index": self._called, "name": opened.tool_name, "arguments": arguments}}
        self._called += 1
        if self._asked.stream:
            self._begin()
            return self._said({"content": "", "tool_calls": [call]})
        self._told.append(call)
        return b""

    def _begin(self) -> None:
        if self._began_s is None:
            self._began_s = self._asked.elapsed_s()

    def _said(self, message: Document) -> bytes:
        return sse.line(self._line(message, done=False))

    def _line(self, message: Document, done: bool) -> Document:
        line = self._head()
        if self._generates:
            line["response"] = message.pop("content")
            line.update(message)
        else:
            line["message"] = {"role": "assistant", **message}
        line["done"] = done
        return line


@implementer(IEncoder)
class VectorEncoder(_Answer):
    """Writes the answer of an embedding, in the newer form or the older."""

    content_type = DOCUMENT

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._vectors: list[list[float]] = []

    def write(self, events: Iterable[Event]) -> bytes:
        """Keep what is told."""
        for event in events:
            if isinstance(event, Vectors):
                self._vectors = event.vectors
            elif isinstance(event, UsageSeen):
                self._usage = merged(self._usage, event.usage)
        return b""

    def end(self) -> bytes:
        """Return the document."""
        if self._asked.endpoint == "embeddings":
            return sse.compact({"embedding": self._vectors[0] if self._vectors else []})
        tail = self._tail(0.0)
        told = {name: tail[name] for name in ("total_duration", "load_duration", "prompt_eval_count") if name in tail}
        return sse.compact({"model": self._asked.model, "embeddings": self._vectors, **told})


def _arguments(text: str) -> Any:
    """Return a call's arguments as the object that clients want; none at all are an empty one."""
    try:
        found = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise unreadable("has a call whose arguments are no JSON") from error
    if not isinstance(found, dict):
        raise unreadable("has a call whose arguments are no object")
    return found
