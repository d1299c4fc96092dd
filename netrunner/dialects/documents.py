"""An answer cut into the JSON documents it is made of, however its bytes come, each within a bound.

This module must not know any dialect.
"""

from __future__ import annotations

from netrunner import sse
from netrunner.dialects.answers import Document, document, too_large


class Documents:
    """Reads the documents of a stream's events, or the only one of an answer that is no stream.

    Args:
        streaming: Whether the answer is a stream of events.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    __slots__ = ("_done", "_max", "_pieces", "_reader", "_size")

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self._reader = sse.Reader(max_bytes) if streaming else None
        self._max = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._done = False
        """``[DONE]`` has come."""

    def feed(self, data: bytes, last: bool) -> list[Document]:
        """Return the documents that the next bytes complete; none follows ``[DONE]``.

        Raises:
            UpstreamError: ``upstream_invalid_response`` for what is no JSON object, ``answer_too_large``.
        """
        if self._reader is not None:
            return self._events(self._reader, data)
        self._size += len(data)
        if self._size > self._max:
            raise too_large()
        self._pieces.append(data)
        return [document(b"".join(self._pieces))] if last else []

    def _events(self, reader: sse.Reader, data: bytes) -> list[Document]:
        try:
            events = reader.feed(data)
        except sse.OversizedEvent as error:
            raise too_large() from error
        found = []
        for event in events:
            payload = event.data.strip()
            self._done = self._done or payload == b"[DONE]"
            if payload and not self._done:
                found.append(document(payload))
        return found
