"""Undoes a content coding that came although none was asked for, within bounds.

This module must not know who sent it.
"""

from __future__ import annotations

import zlib

from netrunner.errors import UpstreamError

FREE_BYTES = 1 << 20
"""Output below this is never held against its sender."""
MAX_RATIO = 100
"""Most output bytes for one input byte beyond that; text compresses by less, bombs by far more."""
MAX_AT_ONCE_BYTES = 1 << 22
"""Most output of one read, which is in memory as a whole."""


class Inflater:
    """Inflates ``gzip`` or ``deflate``, piece by piece.

    Args:
        coding: Lowercase value of ``Content-Encoding``.
    """

    def __init__(self, coding: bytes) -> None:
        self._window = zlib.MAX_WBITS if coding == b"deflate" else 47
        self._stream = zlib.decompressobj(self._window)
        self._taken = 0
        self._given = 0

    @staticmethod
    def knows(coding: bytes) -> bool:
        """Return whether ``coding`` can be undone here."""
        return coding in (b"gzip", b"x-gzip", b"deflate")

    def feed(self, data: bytes) -> bytes:
        """Return what ``data`` inflates to.

        Raises:
            UpstreamError: ``upstream_bad_encoding`` for data that is not what it says, or a bomb.
        """
        self._taken += len(data)
        allowed = min(max(FREE_BYTES, self._taken * MAX_RATIO) - self._given, MAX_AT_ONCE_BYTES)
        out = b""
        while data:
            if self._stream.eof:
                # A body may be several members one after the other (RFC 1952, 2.2).
                self._stream = zlib.decompressobj(self._window)
            try:
                out += self._stream.decompress(data, allowed + 1 - len(out))
            except zlib.error as error:
                raise UpstreamError(
                    "The provider's answer is wrongly compressed.", code="upstream_bad_encoding"
                ) from error
            if len(out) > allowed:
                raise UpstreamError("The provider's answer inflates beyond all measure.", code="upstream_bad_encoding")
            data = self._stream.unused_data
        self._given += len(out)
        return out

    @property
    def complete(self) -> bool:
        """Whether the compressed stream came to its end; an answer without a body never began one."""
        return self._stream.eof or not self._taken
