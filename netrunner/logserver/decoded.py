"""The body of a stored message without transfer and content coding; the exact bytes stay what they are.

This module must not write anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from netrunner.errors import NetrunnerError, UpstreamError
from netrunner.http.headers import list_tokens
from netrunner.http.inflate import Inflater
from netrunner.logserver.message import Message, Type

_READ_BYTES = 16384


class NotDecoded(NetrunnerError):
    """The body cannot be read without its coding; the message says why."""


class Decoder(Protocol):
    """Undoes one content coding."""

    @property
    def complete(self) -> bool:
        """Whether the coded data came to its end."""

    def feed(self, data: bytes) -> bytes:
        """Return what ``data`` stands for; raises ``NotDecoded``."""


class _Plain:
    complete = True

    def feed(self, data: bytes) -> bytes:
        return data


class _Inflating:
    def __init__(self, coding: bytes) -> None:
        self._inflater = Inflater(coding)

    @property
    def complete(self) -> bool:
        return self._inflater.complete

    def feed(self, data: bytes) -> bytes:
        try:
            return self._inflater.feed(data)
        except UpstreamError as error:
            raise NotDecoded("the body is wrongly compressed, or inflates beyond all measure") from error


class _Brotli:
    """Brotli, where its library happens to be installed; it has no bound of its own for one piece's output."""

    def __init__(self, library: Any) -> None:
        self._decoder = library.Decompressor()
        self._error: type[Exception] = library.error
        self.complete = True

    def feed(self, data: bytes) -> bytes:
        try:
            out: bytes = self._decoder.process(data, output_buffer_limit=1 << 20)
            while not self._decoder.can_accept_more_data():
                more = self._decoder.process(b"", output_buffer_limit=1 << 20)
                if len(out) + len(more) > 1 << 22:
                    raise NotDecoded("the body inflates beyond all measure")
                out += more
        except self._error as error:
            raise NotDecoded("the body is wrongly compressed") from error
        self.complete = bool(self._decoder.is_finished())
        return out


def _decoder(coding: bytes) -> Decoder:
    if Inflater.knows(coding):
        return _Inflating(coding)
    if coding == b"br":
        try:
            return _Brotli(import_module("brotli"))
        except ImportError as error:
            raise NotDecoded("br is undone only where the package brotli is installed") from error
    raise NotDecoded(f"the content coding {coding.decode('latin-1')!r} is not known here")


def pieces(path: Path, type: Type) -> Iterator[bytes]:
    """Yield the decoded body of a stored message; blocks on its file.

    Raises:
        NotDecoded: at any piece, when it cannot be read on.
        OSError: when the file cannot be.
    """
    found: list[bytes] = []
    message = Message(type, found.append)
    decoder: Decoder | None = None
    with path.open("rb") as opened:
        while data := opened.read(_READ_BYTES):
            message.feed(data)
            if message.complete_head and decoder is None:
                decoder = _decoder_of(message)
            yield from _decoded(found, decoder)
            if message.error is not None:
                raise NotDecoded(message.error)
    message.close()
    if message.error is not None:
        raise NotDecoded(message.error)
    if decoder is not None and not decoder.complete:
        raise NotDecoded("the compressed body is cut short")


def _decoder_of(message: Message) -> Decoder:
    lines = [value for name, value in message.headers if name == b"content-encoding"]
    codings = [coding for coding in list_tokens(b",".join(lines)) if coding != b"identity"]
    if len(codings) > 1:
        raise NotDecoded("more than one content coding")
    return _decoder(codings[0]) if codings else _Plain()


def _decoded(found: list[bytes], decoder: Decoder | None) -> Iterator[bytes]:
    data = b"".join(found)
    found.clear()
    if data and decoder is not None:
        out = decoder.feed(data)
        if out:
            yield out


def size(path: Path, type: Type) -> int:
    """Return how many bytes the decoded body has; raises what ``pieces`` raises."""
    return sum(len(piece) for piece in pieces(path, type))
