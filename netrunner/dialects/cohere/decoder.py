"""Cohere's answers as block events.

What a model says about the calls it is about to make, its plan, is text before them, as other models write it.
Citations are left out: they cite what was not sent in this dialect.

This module must not know who asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from netrunner.dialects.answers import Document, count, obj, objects, text, truncated, unreadable, vectors
from netrunner.dialects.blocks import Blocks
from netrunner.dialects.documents import Documents
from netrunner.dialects.interfaces import IDecoder
from netrunner.events import BlockKind, Event, Finish, FinishKind, Start, StreamError, UsageSeen, Vectors
from netrunner.values import Usage

FINISHES = {
    "COMPLETE": FinishKind.STOP,
    "STOP_SEQUENCE": FinishKind.STOP_SEQUENCE,
    "MAX_TOKENS": FinishKind.LENGTH,
    "TOOL_CALL": FinishKind.TOOL_CALLS,
}
"""What a finish reason means; a word that is none of these is an ``ERROR``, never a stop."""

_FAILURES = {"ERROR": "upstream_error", "TIMEOUT": "timeout"}
"""Reasons that tell an error, and its canonical kind."""
_PLAN = "plan"


@implementer(IDecoder)
class ChatDecoder:
    """Reads the answer to one chat.

    Args:
        streaming: Whether it is a stream of events.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self.complete = False
        self._documents = Documents(streaming, max_bytes)
        self._read = self._event if streaming else self._answer
        self._blocks = Blocks()
        self._id: str | None = None
        self._started = False

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that the next bytes complete; raises as ``IDecoder`` says."""
        events: list[Event] = []
        for document in self._documents.feed(data, last):
            if not self.complete:
                events += self._read(document)
        if events and not self._started:
            self._started = True
            if not isinstance(events[0], Start):
                events.insert(0, Start())
        if last and not self.complete:
            raise truncated()
        return events

    def _answer(self, document: Document) -> list[Event]:
        """Read an answer that is one document."""
        if isinstance(document.get("message"), str):
            return self._failed(document)
        message = obj(document, "message")
        events = self._start(document)
        events += self._blocks.say(_PLAN, BlockKind.TEXT, text(message, "tool_plan"))
        for index, content in enumerate(objects(message, "content")):
            events += self._content(("content", index), content)
        for index, call in enumerate(objects(message, "tool_calls")):
            events += self._call(("call", index), call)
        return events + self._end(document.get("usage"), text(document, "finish_reason"), None)

    def _event(self, document: Document) -> list[Event]:
        """Read one event of a stream; those that tell nothing of the answer are left out."""
        read = _EVENTS.get(text(document, "type") or "")
        if read is not None:
            return read(self, document)
        return self._failed(document) if isinstance(document.get("message"), str) else []

    def _start(self, document: Document) -> list[Event]:
        self._id = text(document, "id")
        return [Start(id=self._id)]

    def _content_piece(self, document: Document) -> list[Event]:
        content = obj(_message(document), "content")
        return self._content(("content", _index(document)), content)

    def _content(self, key: tuple[str, int], content: Document) -> list[Event]:
        events = self._blocks.say(key, BlockKind.REASONING, text(content, "thinking"))
        return events + self._blocks.say(key, BlockKind.TEXT, text(content, "text"))

    def _content_end(self, document: Document) -> list[Event]:
        return self._blocks.end(("content", _index(document)))

    def _plan_piece(self, document: Document) -> list[Event]:
        return self._blocks.say(_PLAN, BlockKind.TEXT, text(_message(document), "tool_plan"))

    def _call_start(self, document: Document) -> list[Event]:
        return self._call(("call", _index(document)), obj(_message(document), "tool_calls"))

    def _call(self, key: tuple[str, int], call: Document) -> list[Event]:
        function = obj(call, "function")
        name = text(function, "name")
        if not name:
            raise unreadable("has a call without a name")
        call_id = text(call, "id") or f"call_{self._id or ''}_{key[1]}"
        events = self._blocks.begin(key, BlockKind.TOOL_CALL, call_id, name)
        return events + self._blocks.argue(key, text(function, "arguments"))

    def _call_piece(self, document: Document) -> list[Event]:
        function = obj(obj(_message(document), "tool_calls"), "function")
        return self._blocks.argue(("call", _index(document)), text(function, "arguments"))

    def _call_end(self, document: Document) -> list[Event]:
        return self._blocks.end(("call", _index(document)))

    def _message_end(self, document: Document) -> list[Event]:
        delta = obj(document, "delta")
        return self._end(delta.get("usage"), text(delta, "finish_reason"), text(delta, "error"))

    def _end(self, usage: Any, reason: str | None, error: str | None) -> list[Event]:
        self.complete = True
        events = self._blocks.end_all()
        counts = _usage(usage)
        if counts is not None:
            events.append(UsageSeen(usage=counts))
        if error or reason in _FAILURES:
            failure = _FAILURES.get(reason or "", "upstream_error")
            return [*events, StreamError(kind=failure, message=error or "The model failed.", code=failure)]
        kind = FINISHES.get(reason or "", FinishKind.ERROR)
        if kind in (FinishKind.STOP, FinishKind.TOOL_CALLS):
            kind = FinishKind.TOOL_CALLS if self._blocks.called else FinishKind.STOP
        return [*events, Finish(kind=kind, reason=reason)]

    def _failed(self, document: Document) -> list[Event]:
        self.complete = True
        return [*self._blocks.end_all(), StreamError(kind="upstream_error", message=document["message"])]


_EVENTS: dict[str, Callable[[Any, Document], list[Event]]] = {
    "message-start": ChatDecoder._start,
    "content-start": ChatDecoder._content_piece,
    "content-delta": ChatDecoder._content_piece,
    "content-end": ChatDecoder._content_end,
    "tool-plan-delta": ChatDecoder._plan_piece,
    "tool-call-start": ChatDecoder._call_start,
    "tool-call-delta": ChatDecoder._call_piece,
    "tool-call-end": ChatDecoder._call_end,
    "message-end": ChatDecoder._message_end,
}


@implementer(IDecoder)
class EmbedDecoder:
    """Reads the answer to a request for embeddings.

    Args:
        max_bytes: The most that it may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self.complete = False
        self._documents = Documents(False, max_bytes)

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the vectors when all has come; raises as ``IDecoder`` says."""
        for document in self._documents.feed(data, last):
            self.complete = True
            if isinstance(document.get("message"), str):
                return [StreamError(kind="upstream_error", message=document["message"])]
            return self._answer(document)
        return []

    def _answer(self, document: Document) -> list[Event]:
        events: list[Event] = [
            Start(id=text(document, "id")),
            Vectors(vectors=vectors(obj(document, "embeddings").get("float"))),
        ]
        counts = _usage(document.get("meta"))
        return events if counts is None else [*events, UsageSeen(usage=counts)]


def _message(document: Document) -> Document:
    return obj(obj(document, "delta"), "message")


def _index(document: Document) -> int:
    return count(document, "index") or 0


def _usage(usage: Any) -> Usage | None:
    """Return what was counted, or else what is billed; Cohere writes both as decimal numbers."""
    if not isinstance(usage, dict):
        return None
    for name in ("tokens", "billed_units"):
        counted = usage.get(name)
        if isinstance(counted, dict):
            told = Usage(
                input_total=count(counted, "input_tokens"),
                output_total=count(counted, "output_tokens"),
                cache_read=count(usage, "cached_tokens"),
            )
            if told.input_total is not None or told.output_total is not None:
                return told
    return None
