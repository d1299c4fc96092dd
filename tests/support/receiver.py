"""A server that takes batches of records as somebody else's would, with all its moods."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

Mood = Callable[[Any], int | None]
"""Answers a request with one batch: returns its status, or None for having seen to it."""


def takes(status: int) -> Mood:
    """Answer with ``status``."""
    return lambda request: status


def redirects(to: str) -> Mood:
    """Send the client elsewhere."""

    def redirect(request: Any) -> int:
        request.setHeader("location", to)
        return 307

    return redirect


def hangs(request: Any) -> None:
    """Never answer."""


def drops(request: Any) -> None:
    """Close the connection without a word."""
    request.transport.abortConnection()


def drops_after_200(request: Any) -> None:
    """Say that all is well, and break off in the middle of the body."""
    request.setHeader("content-length", "1000")
    request.write(b"half of it")
    request.transport.loseConnection()


def talks_for_ever(request: Any) -> None:
    """Say that all is well, and then nothing more."""
    request.setHeader("content-length", "1000")
    request.write(b"half of it")


def talks_a_lot(request: Any) -> None:
    """Say that all is well, at length."""
    request.write(b"blah " * 100_000)


UNWILLING = frozenset({hangs, drops})
"""Moods in which nothing is taken, though no status says so."""


class Receiver(Resource):
    """Keeps what it took.

    Args:
        reactor: What it runs on.
    """

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.moods: list[Mood] = []
        """For the next batches, one each; then all is well."""
        self.poison: set[str] = set()
        """Ids that make a batch unacceptable."""
        self.taken: list[str] = []
        """Ids of the records in batches that were answered with a 2xx."""
        self.batches: list[list[dict[str, Any]]] = []
        """Whatever was posted."""
        self.heads: list[dict[str, str]] = []
        self.cut: DeferredQueue[str] = DeferredQueue()
        """Why connections ended before their answer."""
        self._reactor = reactor
        self._port: Any = None
        self._number = 0

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self._number}/records"

    def listen(self) -> None:
        """Open the door, at the same port each time."""
        self._port = self._reactor.listenTCP(self._number, Site(self), interface="127.0.0.1")
        self._number = self._port.getHost().port

    async def close(self) -> None:
        """Close it."""
        port, self._port = self._port, None
        if port is not None:
            closed: Deferred[None] | None = port.stopListening()
            if closed is not None:
                await closed

    def render_POST(self, request: Any) -> Any:
        """Take a batch, by the mood it is in."""
        fields = request.requestHeaders.getAllRawHeaders()
        self.heads.append({name.decode().lower(): values[0].decode() for name, values in fields})
        body = request.content.read()
        if request.getHeader("content-encoding") == "gzip":
            body = gzip.decompress(body)
        batch = json.loads(body)
        self.batches.append(batch)
        ids = [record["id"] for record in batch]
        mood = self.moods.pop(0) if self.moods else takes(200)
        if mood not in UNWILLING and self.poison & set(ids):
            mood = takes(422)
        status = mood(request)
        if status is None or 200 <= status < 300:
            self.taken += [] if mood in UNWILLING else ids
        if status is None:
            request.notifyFinish().addErrback(lambda failure: self.cut.put(failure.type.__name__))
            return NOT_DONE_YET
        request.setResponseCode(status)
        return b"ok"
