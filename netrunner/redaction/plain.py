"""Bodies that are one text, with what is hidden taken out.

This module must not look at what kind of text it is.
"""

from __future__ import annotations

from netrunner.redaction.scan import Rules, Scan, Span, replaced


class TextRedactor:
    """A body that is one text."""

    __slots__ = ("_raw", "_scan", "_written")

    def __init__(self, rules: Rules) -> None:
        self._scan = Scan(rules)
        self._raw = b""
        """What is not settled, as it came."""
        self._written = 0
        """Bytes of the body that were."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes settle."""
        self._raw += data
        return self._write(self._scan.feed(data))

    def close(self) -> bytes:
        """Return the rest."""
        return self._write(self._scan.close())

    def _write(self, spans: list[Span]) -> bytes:
        settled = self._scan.settled - self._written
        text, self._raw = self._raw[:settled], self._raw[settled:]
        if spans:
            text = replaced(text, spans, self._written)
        self._written += settled
        return text
