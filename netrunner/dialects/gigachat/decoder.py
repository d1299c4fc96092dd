"""GigaChat's answers as block events.

A call comes whole, its arguments as an object, and without an id: it gets one that is made of the state it belongs to,
which is its signature.

This module must not know who asked.
"""

from __future__ import annotations

import hashlib

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.answers import MAX_BLOCKS, Document, count, obj, objects, text, truncated, unreadable, vectors
from netrunner.dialects.blocks import Blocks
from netrunner.dialects.documents import Documents
from netrunner.dialects.interfaces import IDecoder
from netrunner.events import BlockKind, Event, Finish, FinishKind, Signature, Start, StreamError, UsageSeen, Vectors
from netrunner.values import Usage

FINISHES = {
    "stop": FinishKind.STOP,
    "length": FinishKind.LENGTH,
    "function_call": FinishKind.TOOL_CALLS,
    "blacklist": FinishKind.CONTENT_FILTER,
    "error": FinishKind.ERROR,
}
"""What a finish reason means; a word that is none of these is an ``ERROR``, never a stop."""

_STATUSES = {400: "bad_request", 402: "payment", 404: "not_found", 413: "too_large", 422: "bad_request"}
_STATUSES |= {429: "rate_limit", 503: "overloaded", 504: "timeout"}


class _Choice:
    """What is known of one choice."""

    __slots__ = ("blocks", "calls", "finished", "state")

    def __init__(self, number: int) -> None:
        self.blocks = Blocks(number)
        self.calls = 0
        self.state: str | None = None
        self.finished = False


@implementer(IDecoder)
class ChatDecoder:
    """Reads the answer to one chat.

    Args:
        streaming: Whether it is a stream of events.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self._documents = Documents(streaming, max_bytes)
        self._piece = "delta" if streaming else "message"
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._failed = False

    @property
    def complete(self) -> bool:
        """Whether every choice has told why it ends, or an error has been told."""
        return self._failed or (bool(self._choices) and all(one.finished for one in self._choices.values()))

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that the next bytes complete; raises as ``IDecoder`` says."""
        events: list[Event] = []
        for document in self._documents.feed(data, last):
            if not self._failed:
                events += self._read(document)
        if last and not self.complete:
            raise truncated()
        return events

    def _read(self, document: Document) -> list[Event]:
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Start(id=text(document, "message_id"), model=text(document, "model")))
        if "choices" not in document:
            failure = error_of(document)
            if failure is not None:
                self._failed = True
                for choice in self._choices.values():
                    events += choice.blocks.end_all()
                return [*events, failure]
        for one in objects(document, "choices"):
            events += self._choice(one, document)
        counts = usage_of(document)
        return events if counts is None else [*events, UsageSeen(usage=counts)]

    def _choice(self, found: Document, document: Document) -> list[Event]:
        number = count(found, "index") or 0
        choice = self._choices.get(number)
        if choice is None:
            if len(self._choices) == MAX_BLOCKS:
                raise unreadable("has too many choices")
            choice = self._choices[number] = _Choice(number)
        if choice.finished:
            return []
        piece = obj(found, self._piece)
        events = choice.blocks.say("reasoning", BlockKind.REASONING, text(piece, "reasoning_content"))
        events += choice.blocks.say("text", BlockKind.TEXT, text(piece, "content"))
        events += self._call(number, choice, piece, document)
        reason = text(found, "finish_reason")
        if not reason:
            return events
        choice.finished = True
        kind = FINISHES.get(reason, FinishKind.ERROR)
        if kind in (FinishKind.STOP, FinishKind.TOOL_CALLS):
            kind = FinishKind.TOOL_CALLS if choice.blocks.called else FinishKind.STOP
        return [*events, *choice.blocks.end_all(), Finish(kind=kind, reason=reason, choice=number)]

    def _call(self, number: int, choice: _Choice, piece: Document, document: Document) -> list[Event]:
        """Return a call, and the state it belongs to, which may come with it, before it or after it."""
        blocks = choice.blocks
        state = text(piece, "functions_state_id")
        choice.state = state or choice.state
        call = obj(piece, "function_call")
        if not call:
            return self._signed(number, choice, state)
        name = text(call, "name")
        if not name:
            raise unreadable("has a call without a name")
        arguments = sse.compact(obj(call, "arguments")).decode()
        made = f"{choice.state or document.get('created')}/{number}/{choice.calls}/{name}/{arguments}"
        call_id = f"call_{hashlib.sha256(made.encode()).hexdigest()[:24]}"
        choice.calls += 1
        events = blocks.end("call") + blocks.begin("call", BlockKind.TOOL_CALL, call_id, name)
        return events + blocks.argue("call", arguments) + self._signed(number, choice, choice.state)

    def _signed(self, number: int, choice: _Choice, state: str | None) -> list[Event]:
        index = choice.blocks.number("call")
        if index is None or not state:
            return []
        return [Signature(data=seals.seal(seals.GIGACHAT, state), choice=number, index=index)]


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
            failure = None if "data" in document else error_of(document)
            return self._answer(document) if failure is None else [failure]
        return []

    def _answer(self, document: Document) -> list[Event]:
        data = sorted(objects(document, "data"), key=lambda one: count(one, "index") or 0)
        found = vectors([one.get("embedding") for one in data])
        told = [count(one["usage"], "prompt_tokens") for one in data if isinstance(one.get("usage"), dict)]
        tokens = sum(one for one in told if one is not None) if any(one is not None for one in told) else None
        events: list[Event] = [Start(model=text(document, "model")), Vectors(vectors=found)]
        return events if tokens is None else [*events, UsageSeen(usage=Usage(input_total=tokens))]


def error_of(document: Document) -> StreamError | None:
    """Return the error that a document tells instead of an answer, if it tells one."""
    message = document.get("message")
    if not isinstance(message, str):
        return None
    status = count(document, "status")
    kind = _STATUSES.get(status or 0, "upstream_error")
    return StreamError(kind=kind, message=message, status=status if status and 400 <= status <= 599 else None)


def usage_of(document: Document) -> Usage | None:
    """Return the counts of an answer; what was found in the cache is counted beside ``prompt_tokens``.

    An older API also tells the system's tokens; whether they are beside as well shows in the total.
    """
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, output = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    if prompt is None and output is None:
        return None
    cached, system = count(usage, "precached_prompt_tokens"), count(usage, "system_tokens")
    if prompt is not None:
        if system and prompt + (output or 0) + system == count(usage, "total_tokens"):
            prompt += system
        prompt += cached or 0
    return Usage(input_total=prompt, output_total=output, cache_read=cached)
