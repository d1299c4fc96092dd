"""Embeddings in the form that was asked for, OpenAI in, OpenAI out: some providers give numbers to those who asked for
base64, which official clients unpack whatever it is.

This module must not change vectors.
"""

from __future__ import annotations

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, objects, too_large, unreadable, vectors
from netrunner.dialects.interfaces import IRepair
from netrunner.dialects.openai.decoder import decoded
from netrunner.dialects.openai.encoder import packed
from netrunner.dialects.openai.failure import failure, found_in
from netrunner.dialects.openai.repair import Told
from netrunner.dialects.openai.tap import usage_of
from netrunner.events import StreamError


class _Asked(msgspec.Struct):
    encoding_format: str | None = None


_asked = msgspec.json.Decoder(_Asked)


def wants_base64(body: bytes) -> bool:
    """Return whether the body of a request asks for base64."""
    try:
        return b"base64" in body and _asked.decode(body).encoding_format == "base64"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


@implementer(IRepair)
class VectorRepair:
    """Repairs the answer to a request that wants base64.

    Args:
        max_bytes: The most that the answer may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.complete = False
        self.error: StreamError | None = None
        """An error instead of an answer; its bytes have been given."""
        self.tap = Told()

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return the answer once all of it has come.

        Raises:
            UpstreamError: ``upstream_invalid_response``, ``answer_too_large`` for what cannot be read.
        """
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._max:
            raise too_large()
        if not last:
            return b""
        body = b"".join(self._held)
        found = decoded(body)
        error = found_in(found)
        if error is not None:
            self.error = failure(error)
            self.tap.error = self.error.code
        elif not isinstance(found, dict):
            raise unreadable("is no JSON object")
        elif self._pack(found):
            body = sse.compact(found)
        self.complete = self.tap.complete = True
        return body

    def _pack(self, found: Document) -> bool:
        """Pack the vectors that are lists; return whether there were any."""
        if found.get("usage"):
            self.tap.usage = usage_of(msgspec.json.encode(found["usage"]))
        rows = [row for row in objects(found, "data") if not isinstance(row.get("embedding"), str)]
        for row, vector in zip(rows, vectors([row.get("embedding") for row in rows]), strict=True):
            row["embedding"] = packed(vector)
        return bool(rows)
