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


class Inflater:
    """Inflates ``gzip`` or ``deflate``, piece by piece.

    Args:
        coding: Lowercase value of ``Content-Encoding``.
    """

    def __init__(self, coding: bytes) -> None:
        self._stream = zlib.decompressobj(47 if coding != b"deflate" else zlib.MAX_WBITS)
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
        allowed = max(FREE_BYTES, self._taken * MAX_RATIO) - self._given
        try:
            out = self._stream.decompress(data, allowed + 1)
        except zlib.error as error:
            raise UpstreamError("The provider's answer is wrongly compressed.", code="upstream_bad_encoding") from error
        self._given += len(out)
        if len(out) > allowed:
            raise UpstreamError("The provider's answer inflates beyond all measure.", code="upstream_bad_encoding")
        return out

    @property
    def complete(self) -> bool:
        """Whether the compressed stream came to its end."""
        return self._stream.eof
