"""Recorded messages in memory, for sinks."""

from __future__ import annotations

from collections.abc import Iterator

from zope.interface import implementer

from netrunner.errors import Expired
from netrunner.interfaces import ICopies
from netrunner.values import Copy, Headers, MessageHead


@implementer(ICopies)
class FakeCopies:
    """Keeps what it is given, until the test takes it away; ``given`` counts the pieces that were asked for."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[MessageHead, list[bytes]]] = {}
        self.given = 0

    def keep(self, start: bytes, headers: Headers, *pieces: bytes, complete: bool = True) -> Copy:
        """Keep a message."""
        self.kept[len(self.kept)] = (MessageHead(start, headers), list(pieces))
        return Copy("boot", len(self.kept) - 1, sum(map(len, pieces)), complete)

    def head(self, copy: Copy) -> MessageHead:
        """Return what stands before a body."""
        if copy.offset not in self.kept:
            raise Expired("expired")
        return self.kept[copy.offset][0]

    def pieces(self, copy: Copy) -> Iterator[bytes]:
        """Yield a body; a piece that is None is one that the journal no longer has."""
        for piece in self.kept[copy.offset][1]:
            self.given += 1
            if piece is None:
                raise Expired("expired")
            yield piece
