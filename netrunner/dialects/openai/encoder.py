"""Writes block events as OpenAI's answers: chat completions, completions and embeddings, streamed or whole.

A stream keeps to what every client survives: each chunk has id, object, created and model, the first of each choice
its role; counts come in a chunk of their own with no choices, and only if they were asked for; ``[DONE]`` ends it.

This module must not read a provider's answer.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, last_usage, unreadable
from netrunner.dialects.conversation import Asked, Embedding
from netrunner.dialects.interfaces import IEncoder
from netrunner.dialects.openai.deltas import Delta, Deltas, Whole
from netrunner.errors import InternalError
from netrunner.events import Event, Vectors
from netrunner.values import Usage

EVENTS = b"text/event-stream; charset=utf-8"
_JSON = b"application/json"
_NO_CALLS = {"tool_calls": "stop"}
"""A completion knows no calls."""


def _head(asked: Asked, chunk: bool) -> Document:
    token = asked.id.replace("-", "")
    if asked.endpoint == "completions":
        name = {"id": f"cmpl-{token}", "object": "text_completion"}
    else:
        name = {"id": f"chatcmpl-{token}", "object": "chat.completion.chunk" if chunk else "chat.completion"}
    return {**name, "created": int(asked.at), "model": asked.model}


def counts(usage: Usage) -> Document:
    """Return token counts as OpenAI tells them; what is not known is 0, details of it are left out."""
    inputs, outputs = usage.input_total or 0, usage.output_total or 0
    told: Document = {"prompt_tokens": inputs, "completion_tokens": outputs, "total_tokens": inputs + outputs}
    cached = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    reasoned = {"reasoning_tokens": usage.reasoning}
    for field, details in (("prompt_tokens_details", cached), ("completion_tokens_details", reasoned)):
        known = {name: value for name, value in details.items() if value is not None}
        if known:
            told[field] = known
    return told


@implementer(IEncoder)
class StreamEncoder:
    """Writes a stream of chunks."""

    content_type = EVENTS

    def __init__(self, asked: Asked) -> None:
        self._deltas = Deltas(asked.id.replace("-", ""))
        self._head = _head(asked, True)
        self._completion = asked.endpoint == "completions"
        self._wants_usage = asked.wants_usage

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the chunks for ``events``."""
        return b"".join([self._chunk(delta) for delta in self._deltas.of(events)])

    def end(self) -> bytes:
        """Return the counts, if they were asked for and are known, and the mark that ends the stream.

        Raises:
            InternalError: if a choice is not finished; such a stream has no end.
        """
        _finished(self._deltas)
        usage = self._deltas.usage
        if not self._wants_usage or usage is None:
            return sse.DONE
        return sse.event({**self._head, "choices": [], "usage": counts(usage)}) + sse.DONE

    def _chunk(self, delta: Delta) -> bytes:
        if delta.choice is None:
            return sse.KEEPALIVE
        choice: Document = {"index": delta.choice}
        reason = delta.reason
        if self._completion:
            text, reason = delta.delta.get("content"), reason and _NO_CALLS.get(reason, reason)
            if text is None and reason is None:
                return b""
            choice["text"] = text or ""
        else:
            choice["delta"] = delta.delta
        choice["logprobs"], choice["finish_reason"] = None, reason
        chunk = {**self._head, "choices": [choice]}
        if self._wants_usage:
            chunk["usage"] = None
        return sse.event(chunk)


@implementer(IEncoder)
class AnswerEncoder:
    """Writes an answer of one document."""

    content_type = _JSON

    def __init__(self, asked: Asked) -> None:
        self._deltas = Deltas(asked.id.replace("-", ""))
        self._head = _head(asked, False)
        self._completion = asked.endpoint == "completions"
        self._choices: dict[int, Whole] = {}

    def write(self, events: Iterable[Event]) -> bytes:
        """Keep ``events``; return nothing."""
        for delta in self._deltas.of(events):
            if delta.choice is not None:
                self._choices.setdefault(delta.choice, Whole()).add(delta)
        return b""

    def end(self) -> bytes:
        """Return the document.

        Raises:
            InternalError: if a choice is not finished.
        """
        _finished(self._deltas)
        choices = [self._choice(number, self._choices[number]) for number in sorted(self._choices)]
        answer = {**self._head, "choices": choices}
        if self._deltas.usage is not None:
            answer["usage"] = counts(self._deltas.usage)
        return sse.compact(answer)

    def _choice(self, number: int, whole: Whole) -> Document:
        choice: Document = {"index": number}
        reason = whole.reason
        if self._completion:
            choice["text"], reason = whole.text("content") or "", reason and _NO_CALLS.get(reason, reason)
        else:
            choice["message"] = whole.message()
        return {**choice, "logprobs": None, "finish_reason": reason}


@implementer(IEncoder)
class EmbeddingEncoder:
    """Writes embeddings as numbers, or as base64 of little-endian float32: what was asked for."""

    content_type = _JSON

    def __init__(self, asked: Asked) -> None:
        self._model = asked.model
        self._base64 = isinstance(asked.request, Embedding) and asked.request.base64
        self._vectors: list[list[float]] | None = None
        self._usage: Usage | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        """Keep ``events``; return nothing."""
        events = list(events)
        self._usage = last_usage(self._usage, events)
        for event in events:
            if isinstance(event, Vectors):
                self._vectors = event.vectors
        return b""

    def end(self) -> bytes:
        """Return the document.

        Raises:
            InternalError: if there were no embeddings.
        """
        if self._vectors is None:
            raise _unfinished()
        rows = [
            {"object": "embedding", "index": number, "embedding": packed(vector) if self._base64 else vector}
            for number, vector in enumerate(self._vectors)
        ]
        tokens = (self._usage and self._usage.input_total) or 0
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return sse.compact({"object": "list", "data": rows, "model": self._model, "usage": usage})


def packed(vector: list[float]) -> str:
    """Return a vector as base64 of little-endian float32.

    Raises:
        UpstreamError: for numbers that are too large for it.
    """
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
    except OverflowError as error:
        raise unreadable("has numbers that no float32 holds") from error


def _finished(deltas: Deltas) -> None:
    if not deltas.is_complete():
        raise _unfinished()


def _unfinished() -> InternalError:
    return InternalError("An answer that is not complete cannot be written as one that is.")
