"""Sends pieces that are made where it may block, at the pace of whoever reads them.

This module must not know what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from netrunner.http.request import Request
from netrunner.logserver.decoded import NotDecoded
from netrunner.logserver.deposit import Run
from netrunner.values import Headers


@implementer(IPushProducer)
class Gate:
    """Closed while the reader does not keep up."""

    def __init__(self) -> None:
        self.gone = False
        self._closed = False
        self._waiting: Deferred[None] | None = None

    async def passed(self) -> bool:
        """Wait until it is open; return whether anybody still reads."""
        if self._closed and not self.gone:
            self._waiting = Deferred()
            await self._waiting
        return not self.gone

    def pauseProducing(self) -> None:
        self._closed = True

    def resumeProducing(self) -> None:
        self._closed = False
        self._open()

    def stopProducing(self) -> None:
        self.gone = True
        self._open()

    def _open(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


async def send(request: Request, headers: Headers, pieces: Iterator[bytes], run: Run) -> None:
    """Answer 200 with ``pieces``; each is made by ``run``, when the reader has taken the one before.

    What the first piece raises is raised while the answer can still be another. What a later one raises cuts the
    answer visibly short, and is not raised.
    """
    piece: bytes | None = await run(next, pieces, None)
    gate = Gate()
    request.begin(200, b"", headers)
    request.registerProducer(gate, True)
    try:
        while piece is not None and await gate.passed():
            request.send(piece)
            piece = await run(next, pieces, None)
    except (OSError, NotDecoded):
        request.break_off()
        return
    if not gate.gone:
        request.send(b"", last=True)
