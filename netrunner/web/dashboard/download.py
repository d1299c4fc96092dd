"""A recorded body as it is, for those who want all of it.

This module must not let a browser show what it sends: it is hostile bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from netrunner.errors import Expired, NotFound
from netrunner.http.request import Request
from netrunner.interfaces import ICopies
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


def send(request: Request, copies: ICopies, copy: Copy, name: str) -> None:
    """Send a body, a piece whenever the client has taken those before.

    Args:
        request: Is answered.
        copies: Has the body.
        copy: Which one.
        name: Of the file; whatever is no letter, digit or ``-._`` in it is replaced.

    Raises:
        NotFound: ``expired`` when nothing of it is there any more.
    """
    try:
        copies.head(copy)
    except Expired as error:
        raise NotFound("This body has expired: the journal no longer has it.", code="expired") from error
    disposition = b'attachment; filename="%b"' % _UNSAFE.sub("_", name)[-120:].encode()
    length = b"%d" % copy.bytes
    request.begin(200, b"", [*_FIELDS, (b"content-disposition", disposition), (b"content-length", length)])
    if request.method == b"HEAD" or not copy.bytes:
        request.send(b"", last=True)
        return
    body = _Body(request, copies.pieces(copy), copy.bytes)
    request.registerProducer(body, True)
    body.flow()


@implementer(IPushProducer)
class _Body:
    """Sends pieces while it is not paused."""

    def __init__(self, request: Request, pieces: Iterator[bytes], left: int) -> None:
        self._request = request
        self._pieces = pieces
        self._left = left
        self._paused = self._flowing = False

    def flow(self) -> None:
        """Send until the client has enough for now, or all."""
        if self._flowing:
            return
        self._flowing = True
        while not self._paused and self._left > 0:
            try:
                piece = next(self._pieces, b"")
            except Expired:
                piece = b""
            if not piece:
                self._left = 0
                self._request.break_off()
                break
            self._left -= len(piece)
            self._request.send(piece, last=self._left <= 0)
        self._flowing = False

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self.flow()

    def pauseProducing(self) -> None:
        """Wait."""
        self._paused = True

    def stopProducing(self) -> None:
        """The client is gone."""
        self._left = 0
