"""Reads an Ollama answer as block events: lines of JSON, or one document, which tell the same.

This module must not take an answer for complete that does not say ``done``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import answers
from netrunner.dialects.answers import Document, unreadable
from netrunner.dialects.blocks import Blocks
from netrunner.dialects.interfaces import IDecoder
from netrunner.dialects.ollama.api import kind_of
from netrunner.events import BlockKind, Event, Finish, FinishKind, Start, StreamError, UsageSeen, Vectors
from netrunner.values import Usage

FINISHES = {
    "": FinishKind.STOP,
    "stop": FinishKind.STOP,
    "tool_calls": FinishKind.STOP,
    "load": FinishKind.STOP,
    "unload": FinishKind.STOP,
    "length": FinishKind.LENGTH,
}
"""What ``done_reason`` means, which older versions do not give; a word that is none of these is an ``ERROR``. Whether
there were calls is told by the calls alone."""


@implementer(IDecoder)
class Decoder:
    """Reads one answer.

    Args:
        endpoint: ``chat``, ``generate``, ``embed`` or ``embeddings``.
        streaming: Whether it comes as lines.
        max_bytes: The most that one line, or an answer that is one document, may take.
    """

    def __init__(self, endpoint: str, streaming: bool, max_bytes: int) -> None:
        self._frames = Frames(streaming, max_bytes)
        self._answer = AnswerEvents(endpoint)

    @property
    def complete(self) -> bool:
        """Whether the answer said that it is."""
        return self._answer.complete

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that the next bytes complete; what follows the end is passed over."""
        events: list[Event] = []
        answer = self._answer
        for frame in self._frames.feed(data, last):
            if not answer.complete:
                events += answer.read(answers.document(frame))
        if last and not answer.complete:
            raise answers.truncated()
        return events


class Frames:
    """Cuts an answer into its documents, undecoded: its lines, or all of it.

    Args:
        streaming, max_bytes: As of ``Decoder``.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self._lines = sse.LineReader(max_bytes) if streaming else None
        self._pieces: list[bytes] = []
        self._max, self._size = max_bytes, 0

    def feed(self, data: bytes, last: bool) -> list[bytes]:
        """Return the documents that the next bytes complete.

        Raises:
            UpstreamError: ``answer_too_large``.
        """
        if self._lines is not None:
            try:
                return self._lines.feed(data) + (self._lines.end() if last else [])
            except sse.OversizedEvent as error:
                raise answers.too_large() from error
        self._size += len(data)
        if self._size > self._max:
            raise answers.too_large()
        self._pieces.append(data)
        return [b"".join(self._pieces)] if last else []


class AnswerEvents:
    """Makes events of an answer's documents.

    Args:
        endpoint: As of ``Decoder``.
    """

    def __init__(self, endpoint: str) -> None:
        self.complete = False
        """The answer said that it is, or why it is not."""
        self._embeds = endpoint.startswith("embed")
        self._started = False
        self._blocks = Blocks()
        self._calls = 0

    def read(self, document: Document) -> Iterator[Event]:
        """Yield the events of the next document.

        Raises:
            UpstreamError: ``upstream_invalid_response``.
        """
        error = document.get("error")
        if error:
            self.complete = True
            yield _failed(error, document)
            return
        if not self._started:
            self._started = True
            yield Start(model=answers.text(document, "model"), native=document)
        yield from self._embedding(document) if self._embeds else self._said(document)

    def _said(self, document: Document) -> Iterator[Event]:
        """Yield what a chat or a completion tells."""
        blocks = self._blocks
        blocks.native = document
        message = said_in(document)
        if message.get("images") or document.get("image"):
            raise unreadable("is an image")
        thinking = answers.text(message, "thinking")
        text = answers.text(message, "content") or answers.text(document, "response")
        yield from blocks.say(BlockKind.REASONING, BlockKind.REASONING, thinking)
        yield from blocks.say(BlockKind.TEXT, BlockKind.TEXT, text)
        for call in answers.objects(message, "tool_calls"):
            yield from self._call(call, document)
        if document.get("done") is True:
            yield from self._done(document)

    def _call(self, call: Document, native: Document) -> Iterator[Event]:
        function = answers.obj(call, "function")
        name = answers.text(function, "name")
        if not name:
            raise unreadable("has a call without a name")
        arguments = _arguments(function.get("arguments"))
        id = answers.text(call, "id") or _made_id(native, self._calls, name, arguments)
        self._calls += 1
        yield from self._blocks.begin(self._calls, BlockKind.TOOL_CALL, id, name)
        yield from self._blocks.argue(self._calls, arguments)
        yield from self._blocks.end(self._calls)

    def _done(self, document: Document) -> Iterator[Event]:
        yield from self._blocks.end_all()
        self.complete = True
        usage = usage_of(document)
        if usage is not None:
            yield UsageSeen(usage=usage, native=document)
        reason = answers.text(document, "done_reason") or ""
        kind = FINISHES.get(reason, FinishKind.ERROR)
        if kind is FinishKind.STOP and self._blocks.called:
            kind = FinishKind.TOOL_CALLS
        yield Finish(kind=kind, reason=reason or None, native=document)

    def _embedding(self, document: Document) -> Iterator[Event]:
        """Yield what an embedding tells, in the newer form or the older."""
        found = document.get("embeddings", [document["embedding"]] if "embedding" in document else None)
        yield Vectors(vectors=answers.vectors(found), native=document)
        count = answers.count(document, "prompt_eval_count")
        if count is not None:
            yield UsageSeen(usage=Usage(input_total=count, output_total=0), native=document)
        self.complete = True


def said_in(document: Document) -> Document:
    """Return what holds text, thinking and calls: a chat's message, or a completion itself."""
    return answers.obj(document, "message") or document


def usage_of(document: Document) -> Usage | None:
    """Return the counts of a last line. One that is zero is left out: a prompt that was cached, an empty answer.

    A line without either tells nothing.
    """
    read, made = answers.count(document, "prompt_eval_count"), answers.count(document, "eval_count")
    if read is None and made is None:
        return None
    return Usage(input_total=read or 0, output_total=made or 0)


def _failed(error: Any, native: Document) -> StreamError:
    """Return the error that a document tells."""
    said = error.get("message") if isinstance(error, dict) else error
    message, code = said if isinstance(said, str) else "", native.get("code")
    return StreamError(
        kind=kind_of(message, "upstream_error"),
        message=message,
        code=code if isinstance(code, str) else None,
        native=native,
    )


def _arguments(found: Any) -> str:
    """Return a call's arguments as JSON; some servers that speak like Ollama write them as text."""
    try:
        value = msgspec.json.decode(found or "{}") if isinstance(found, str) else found
    except (msgspec.DecodeError, RecursionError) as error:
        raise unreadable("has a call whose arguments are no JSON") from error
    if value is not None and not isinstance(value, dict):
        raise unreadable("has a call whose arguments are no object")
    return msgspec.json.encode(value or {}).decode()


def _made_id(native: Document, number: int, name: str, arguments: str) -> str:
    """Return an id for a call that has none: the same for the same answer, another for every other."""
    seed = msgspec.json.encode([native.get("created_at"), number, name, arguments])
    return "call_" + hashlib.sha256(seed).hexdigest()[:24]
