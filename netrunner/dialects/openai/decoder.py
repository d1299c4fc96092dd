"""Reads the answer of any OpenAI-like provider as block events, a stream or one document.

What providers of this family do differently is read all the same: no ``[DONE]`` or two of them, usage in the last
chunk or in one of its own, blank lines before a document, a document where a stream was asked for, an error under
status 200. A finish is told when the answer is over, because pieces and counts may come after the provider's.

This module must not write anything; an answer that does not say why it ended is an error, never a stop.
"""

from __future__ import annotations

import abc
import base64
import binascii
import math
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, obj, objects, text, too_large, truncated, unreadable
from netrunner.dialects.interfaces import IDecoder
from netrunner.dialects.openai.choices import Choice
from netrunner.dialects.openai.failure import failure, found_in
from netrunner.dialects.openai.tap import usage_of
from netrunner.errors import UpstreamError
from netrunner.events import Event, Start, UsageSeen, Vectors

MAX_CHOICES = 128
_BOM = b"\xef\xbb\xbf"
NOTHING = frozenset({b"", b'""', b"null"})
"""What some send as a sign of life."""


def decoded(data: bytes) -> Any:
    """Return JSON decoded.

    Raises:
        UpstreamError: ``upstream_invalid_response`` if it is none.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable("is not JSON") from error


class _Decoder(abc.ABC):
    """Finds the documents of an answer: the events of a stream, or all of it.

    Args:
        streaming: Whether it is a stream.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self._reader = sse.Reader(max_bytes) if streaming else None
        self._max = max_bytes
        self._buffer = bytearray()
        self._begun = False
        self._over = False
        self._started = False

    @property
    def complete(self) -> bool:
        """The answer said that it is complete, or why it is not."""
        return self._over

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that ``data`` completes; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: for an answer that cannot be read, is too large, or ended early.
        """
        if not self._begun:
            data = data.lstrip()
            self._begun = bool(data)
            if data[:1] in (b"{", b"["):
                self._reader = None
        return self._stream(data, last) if self._reader is not None else self._whole(data, last)

    def _whole(self, data: bytes, last: bool) -> list[Event]:
        self._buffer += data
        if len(self._buffer) > self._max:
            raise too_large()
        if not last:
            return []
        document = decoded(bytes(self._buffer.removeprefix(_BOM)))
        return [*self._document(document), *self._end()]

    def _stream(self, data: bytes, last: bool) -> list[Event]:
        assert self._reader is not None
        try:
            told = self._reader.feed(data)
        except sse.OversizedEvent as error:
            raise too_large() from error
        events: list[Event] = []
        for one in told:
            events += self._event(one)
        if last:
            try:
                for one in self._reader.feed(b"\n\n"):
                    events += self._event(one)
            except UpstreamError as error:
                raise truncated() from error
            events += self._end()
        return events

    def _event(self, event: sse.Event) -> Iterator[Event]:
        data = event.data.strip()
        if self._over or data in NOTHING:
            return
        if data == b"[DONE]":
            yield from self._end()
            return
        document = decoded(data)
        if event.name == b"error" and found_in(document) is None:
            document = {"error": document}
        yield from self._document(document)

    def _document(self, document: Any) -> Iterator[Event]:
        """Yield the events of one document; an error is the last of all."""
        error = found_in(document)
        if error is not None:
            self._over = True
            yield failure(error)
            return
        if not isinstance(document, dict):
            raise unreadable("is no JSON object")
        if not self._started:
            self._started = True
            yield Start(id=text(document, "id"), model=text(document, "model"))
        yield from self._told(document)
        usage = document.get("usage") or obj(document, "x_groq").get("usage")
        counts = usage_of(msgspec.json.encode(usage)) if usage else None
        if counts is not None:
            yield UsageSeen(usage=counts)

    def _end(self) -> Iterator[Event]:
        """Yield what ends the answer, once."""
        if not self._over:
            yield from self._ended()
            self._over = True

    @abc.abstractmethod
    def _told(self, document: Document) -> Iterator[Event]:
        """Yield what a document tells beside its name, its counts and errors."""

    @abc.abstractmethod
    def _ended(self) -> Iterator[Event]:
        """Yield what ends the answer; raise if it did not say that it is complete."""


@implementer(IDecoder)
class ChatDecoder(_Decoder):
    """Reads the answer to a chat or a completion."""

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        super().__init__(streaming, max_bytes)
        self._choices: dict[int, Choice] = {}
        self._id = ""

    @property
    def complete(self) -> bool:
        """The answer said that it is complete, or why it is not: each choice has told why it ends, or an error has."""
        return self._over or (bool(self._choices) and all(one.reason is not None for one in self._choices.values()))

    def _told(self, document: Document) -> Iterator[Event]:
        self._id = text(document, "id") or self._id
        for position, choice in enumerate(objects(document, "choices")):
            number = choice.get("index", position)
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < MAX_CHOICES:
                raise unreadable("has a choice without a number")
            if number not in self._choices:
                self._choices[number] = Choice(number, self._id, self._max)
            yield from self._choices[number].read(choice)

    def _ended(self) -> Iterator[Event]:
        if not self._choices:
            raise truncated() if self._reader is not None else unreadable("has no choices")
        for choice in self._choices.values():
            yield from choice.end()


@implementer(IDecoder)
class EmbeddingDecoder(_Decoder):
    """Reads the answer to a request for embeddings: lists of numbers, or base64 of little-endian float32."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(False, max_bytes)

    def _told(self, document: Document) -> Iterator[Event]:
        rows = objects(document, "data")
        if not rows:
            raise unreadable("has no embeddings")
        vectors: list[list[float] | None] = [None] * len(rows)
        for position, row in enumerate(rows):
            number = row.get("index", position)
            if not isinstance(number, int) or not 0 <= number < len(rows) or vectors[number] is not None:
                raise unreadable("has embeddings out of number")
            vectors[number] = _vector(row.get("embedding"))
        yield Vectors(vectors=[one for one in vectors if one is not None])

    def _ended(self) -> Iterator[Event]:
        return iter(())


def _vector(found: Any) -> list[float]:
    if isinstance(found, str):
        return _unpacked(found)
    if not isinstance(found, list) or not found or not all(type(one) in (int, float) for one in found):
        raise unreadable("has an embedding that is no list of numbers")
    return [float(one) for one in found]


def _unpacked(packed: str) -> list[float]:
    try:
        held = base64.b64decode(packed, validate=True)
        numbers = struct.unpack(f"<{len(held) // 4}f", held)
    except (binascii.Error, ValueError, struct.error) as error:
        raise unreadable("has an embedding that is no base64 of numbers") from error
    if not numbers or not all(map(math.isfinite, numbers)):
        raise unreadable("has an embedding that is no base64 of numbers")
    return list(numbers)
