"""One text of a stream of events: the pieces it came in, the lines that hold them, and what is hidden in it.

This module must not know how a line is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from netrunner.redaction.scan import Rules, Scan, Span


class Line:
    """A line of a stream, or a run of them that differ in one piece alone, and what is to be replaced there."""

    __slots__ = ("raw", "spans", "waiting")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.spans: list[Span] = []
        self.waiting = 0
        """Stretches in it that are not settled."""


class _Stretch:
    """Pieces of a text that lie in one line, or in one run of lines.

    Args:
        begin, end: Where it is in the text.
        line: Holds it.
        at: Where its first piece starts in the line.
        pieces: What it is made of.
        gap: Bytes between two of them.
    """

    __slots__ = ("at", "begin", "end", "gap", "line", "pieces")

    def __init__(self, begin: int, end: int, line: Line, at: int, pieces: Sequence[bytes], gap: int) -> None:
        self.begin, self.end, self.line, self.at, self.pieces, self.gap = begin, end, line, at, pieces, gap

    def hide(self, span: Span, mark: bytes) -> None:
        """Replace in the line what of it lies in ``span``, with ``mark`` where that begins."""
        begin, at = self.begin, self.at
        for piece in self.pieces:
            end = begin + len(piece)
            start, stop = max(begin, span.start), min(end, span.end)
            if start < stop:
                self.line.spans.append(Span(at + start - begin, at + stop - begin, mark))
                mark = b""
            begin, at = end, at + len(piece) + self.gap


class Strand:
    """One text of a stream, and the pieces of it that are not settled."""

    __slots__ = ("_end", "_fresh", "_scan", "_stretches", "touched")

    def __init__(self, rules: Rules) -> None:
        self.touched = 0
        """Bytes of the stream that had come when it got its last piece."""
        self._scan = Scan(rules)
        self._end = 0
        self._fresh: list[bytes] = []
        self._stretches: deque[_Stretch] = deque()

    @property
    def waits(self) -> bool:
        """Whether a piece of it is not settled."""
        return bool(self._stretches)

    def add(self, line: Line, start: int, pieces: Sequence[bytes], gap: int = 0) -> None:
        """Take pieces of a line, the first of which starts at ``start`` in it, the others ``gap`` bytes after each."""
        begin = self._end
        self._end = end = begin + sum(map(len, pieces))
        self._fresh += pieces
        self._stretches.append(_Stretch(begin, end, line, start, pieces, gap))
        line.waiting += 1

    def look(self) -> None:
        """Search what has been added."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self._apply(self._scan.feed(fresh[0] if len(fresh) == 1 else b"".join(fresh)))

    def close(self) -> None:
        """Settle everything."""
        self.look()
        self._apply(self._scan.close())

    def _apply(self, spans: list[Span]) -> None:
        stretches, settled = self._stretches, self._scan.settled
        for span in spans:
            mark = span.mark
            for stretch in stretches:
                if stretch.begin >= span.end:
                    break
                if stretch.end > span.start:
                    stretch.hide(span, mark)
                    mark = b""
        while stretches and stretches[0].end <= settled:
            stretches.popleft().line.waiting -= 1
