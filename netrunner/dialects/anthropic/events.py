"""Anthropic's answers as block events, for event filters; ``rewrite`` writes them.

A stream becomes one ``Chunk`` for each of its events, an answer that comes as one document a single one. Events are
written with their names, without comments, and with the ``usage`` that accumulators of clients look for.

This module must not know which filters there are.
"""

from __future__ import annotations

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, document, obj, too_large
from netrunner.dialects.anthropic.decoder import Decoder, told_by
from netrunner.dialects.anthropic.errors import named
from netrunner.dialects.anthropic.rewrite import Chunk, Rewriter, rewritten
from netrunner.dialects.anthropic.usage import written
from netrunner.dialects.interfaces import IEventCodec


@implementer(IEventCodec)
class EventCodec:
    """Reads one answer as events, and writes it again.

    Args:
        streaming: Whether the answer is a stream of events.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self.streaming = streaming
        self.write = Rewriter().write if streaming else rewritten
        self._max = max_bytes
        self._decoder = Decoder(streaming, max_bytes)
        self._reader = sse.Reader(max_bytes)
        self._whole = bytearray()
        self._stopped = False
        """The last event of the stream has come."""

    @property
    def complete(self) -> bool:
        """The answer said that it is complete, or why it is not."""
        return self._decoder.complete

    def feed(self, data: bytes, last: bool) -> list[Chunk]:
        """Return the chunks that ``data`` completes; see ``IEventCodec``."""
        if not self.streaming:
            self._whole += data
            if len(self._whole) > self._max:
                raise too_large()
            return [self._message(bytes(self._whole))] if last else []
        try:
            told = self._reader.feed(data)
        except sse.OversizedEvent as error:
            raise too_large() from error
        chunks = [self._chunk(one.data, *found) for one in told if (found := told_by(one)) is not None]
        if last and self._decoder.finished and not self._stopped:
            # Accumulators wait for it.
            chunks.append(Chunk(named("message_stop", {"type": "message_stop"}), done=True))
        return chunks

    def _chunk(self, data: bytes, kind: str, native: Document) -> Chunk:
        """Return the chunk of one event; in its own bytes where clients can read those."""
        if self._decoder.finished and kind.startswith("content_block"):
            return Chunk(b"")
        repaired = _repair(kind, native)
        events = tuple(self._decoder.step(kind, native))
        if kind == "message_stop":
            again, self._stopped = self._stopped, True
            return Chunk(b"") if again else Chunk(named(kind, native), done=True)
        plain = not repaired and native.get("type") == kind and b"\n" not in data and data.isascii()
        raw = b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n" if plain else named(kind, native)
        return Chunk(raw, kind, native, events, self._decoder.finished)

    def _message(self, data: bytes) -> Chunk:
        native = document(data)
        return Chunk(data, "message", native, tuple(self._decoder.message(native)), True)


def _repair(kind: str, native: Document) -> bool:
    """Give an event what clients fall over without; return whether it was changed."""
    holder = obj(native, "message") if kind == "message_start" else native
    if kind not in ("message_start", "message_delta") or isinstance(holder.get("usage"), dict):
        changed = False
    else:
        holder["usage"] = written(None)
        changed = True
    if kind and "type" not in native:
        native["type"] = kind
        changed = True
    return changed
