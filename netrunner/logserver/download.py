"""Sends pieces at the pace of whoever reads them.

This module must not know what is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from netrunner.errors import NetrunnerError
from netrunner.http.request import Request
from netrunner.values import Headers

Next = Callable[[], Awaitable[bytes | None]]
"""Makes the next piece; None behind the last."""


@implementer(IPushProducer)
class Gate:
    """Closed while the reader does not keep up.

    Args:
        left: Called when the reader is gone.
    """

    def __init__(self, left: Callable[[], object]) -> None:
        self.gone = False
        self._left = left
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
        self._left()
        self._open()

    def _open(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


async def send(request: Request, headers: Headers, make: Next, left: Callable[[], object] = lambda: None) -> None:
    """Answer 200 with pieces, each of which is made when the reader has taken the one before.

    What the first piece raises is raised while the answer can still be another. What a later one raises cuts the
    answer visibly short, and is not raised.

    Args:
        request: What is answered.
        headers: Of the answer.
        make: Makes the pieces.
        left: Called when the reader is gone, so that no piece is waited for any more.
    """
    gate = Gate(left)
    request.on_disconnect = gate.stopProducing
    piece = await make()
    request.begin(200, b"", headers)
    request.registerProducer(gate, True)
    try:
        while piece is not None and await gate.passed():
            request.send(piece)
            piece = await make()
    except (OSError, NetrunnerError):
        request.break_off()
        return
    if not gate.gone:
        request.send(b"", last=True)
