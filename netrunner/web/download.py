"""A recorded body as it is, for those who want all of it.

This module must not let a browser show what it sends: it is hostile bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from netrunner.errors import Expired, NotFound
from netrunner.http.request import Request
from netrunner.interfaces import IClock, ICopies
from netrunner.values import Copy, Headers

_UNSAFE = re.compile("[^A-Za-z0-9._-]")
_FIELDS: Headers = [
    (b"content-type", b"application/octet-stream"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


def send(request: Request, clock: IClock, copies: ICopies, copy: Copy, name: str) -> None:
    """Send a body, a piece in a turn of the reactor while the client takes them.

    Args:
        request: Is answered.
        clock: Gives turns.
        copies: Has the body.
        copy: Which one.
        name: Of the file; whatever is no letter, digit or ``-._`` in it is replaced.

    Raises:
        NotFound: ``expired`` when nothing of it is there any more.
    """
    pieces = copies.pieces(copy)
    try:
        first = next(pieces, b"")
    except Expired as error:
        message = "This body has expired: the journal no longer has it."
        raise NotFound(message, code="expired", status=410) from error
    disposition = b'attachment; filename="%b"' % _UNSAFE.sub("_", name)[-120:].encode()
    length = b"%d" % copy.bytes
    request.begin(200, b"", [*_FIELDS, (b"content-disposition", disposition), (b"content-length", length)])
    if request.method == b"HEAD" or not first:
        request.send(b"", last=True)
    else:
        Body(request, clock, first, pieces, copy.bytes).begin()


@implementer(IPushProducer)
class Body:
    """Sends pieces while it is not paused; what has expired by its turn ends it short.

    What is written in one turn of the reactor is not seen to fill the socket, so each piece has a turn of its own.
    """

    def __init__(self, request: Request, clock: IClock, first: bytes, pieces: Iterator[bytes], left: int) -> None:
        self._request = request
        self._clock = clock
        self._next = first
        self._pieces = pieces
        self._left = left
        self._paused = False
        self._turn: IDelayedCall | None = None

    def begin(self) -> None:
        """Send the first piece."""
        self._request.on_disconnect = self.stopProducing
        self._request.registerProducer(self, True)
        self._send()

    def _send(self) -> None:
        self._turn = None
        if self._paused or self._left <= 0:
            return
        piece = self._next
        self._left -= len(piece)
        if self._left <= 0:
            self._request.send(piece, last=True)
            return
        try:
            self._next = next(self._pieces, b"")
        except Expired:
            self._next = b""
        if self._next:
            self._request.send(piece)
            self.resumeProducing()
        else:
            self._left = 0
            self._request.break_off(piece)

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        if self._turn is None and self._left > 0:
            self._turn = self._clock.callLater(0, self._send)

    def stopProducing(self) -> None:
        """The client is gone."""
        self._left = 0
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
