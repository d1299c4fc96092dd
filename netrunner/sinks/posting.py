"""What sinks that post batches over HTTP share: the post and what its status means, and how batches are paced.

Statuses that speak of the door rather than of what was brought (a wrong key, a wrong path, too many requests, a
redirect, a server's fault) leave a batch where it is, in the journal, to be sent again; any other 4xx means that
something in it will never be taken.

This module must not follow redirects, and must not tell the URL or a header in any message: they may hold a secret.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import IClock, IEnvironment
from netrunner.settings import Secret
from netrunner.sinks.delivery import Refused, Undelivered
from netrunner.values import Origin

ABOUT_THE_DOOR = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429})
"""Statuses that would meet every batch alike, or that ask for patience: no record is at fault (RFC 9110, 15.5)."""
MAX_ANSWER_BYTES = 65536
MANNERS_S = 1.0
"""So much of an answer's body, and for so long, is read before its connection is cut."""


def check_url(url: str, allow_http: bool, where: str) -> None:
    """See to it that records are not sent readable for everybody unless that is asked for.

    Raises:
        ConfigurationError: for plain http to another machine, at the section ``where``.
    """
    if not allow_http and Origin.of(url).is_readable_by_others:
        expected = "url: expected https, or a loopback address; allow_http: true sends it unencrypted"
        raise ConfigurationError([Problem(where, expected)])


class Post:
    """Posts batches to a URL.

    Args:
        environment: Of the sink.
        url: Where to.
        content_type: Of the batches.
        headers: Further fields.
        compressed: Whether batches are sent with gzip.
        timeout_s: Seconds a batch may take to be answered.
    """

    def __init__(
        self,
        environment: IEnvironment,
        url: str,
        content_type: str,
        headers: Mapping[str, Secret] | None,
        compressed: bool,
        timeout_s: float,
    ) -> None:
        self._environment = environment
        self._url = url
        self._compressed = compressed
        self._timeout_s = timeout_s
        fields = {"content-type": content_type, "accept-encoding": "identity"}
        if compressed:
            fields["content-encoding"] = "gzip"
        self._headers = fields | {name: secret.reveal() for name, secret in (headers or {}).items()}

    async def send(self, body: bytes, count: int) -> bytes:
        """Post a batch of ``count`` records; returning means that its receiver has it.

        Returns:
            The answer's body, or as much of it as was read.

        Raises:
            Refused: when it will never be taken as it is.
            Undelivered: when it was not taken now.
        """
        packed = gzip.compress(body, compresslevel=6, mtime=0) if self._compressed else body
        status, answer = await self._answer(packed)
        if 400 <= status < 500 and status not in ABOUT_THE_DOOR:
            raise Refused(f"status {status}")
        if not 200 <= status < 300:
            raise Undelivered(f"the receiver answered a batch of {count} records with status {status}")
        return answer

    async def _answer(self, body: bytes) -> tuple[int, bytes]:
        environment = self._environment
        answered: Deferred[Any] = environment.http.post(
            self._url, data=body, headers=self._headers, allow_redirects=False, unbuffered=True
        )
        answered.addTimeout(self._timeout_s, environment.clock).addErrback(_unanswered)
        response = await answered
        rest = _Rest(environment.clock)
        response.deliverBody(rest)
        await rest.ended
        return response.code, b"".join(rest.pieces)


def _unanswered(failure: Failure) -> NoReturn:
    raise Undelivered(f"the receiver did not answer: {type(failure.value).__name__}") from failure.value


class _Rest(Protocol):
    """Reads an answer's body to its end, for good manners; a long or slow one is cut off."""

    def __init__(self, clock: IClock) -> None:
        self.ended: Deferred[None] = Deferred()
        self.pieces: list[bytes] = []
        self._read = 0
        self._call = clock.callLater(MANNERS_S, self._cut)

    def dataReceived(self, data: bytes) -> None:
        self._read += len(data)
        self.pieces.append(data)
        if self._read > MAX_ANSWER_BYTES:
            self._cut()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._call.active():
            self._call.cancel()
        self._end()

    def _cut(self) -> None:
        # Twisted hands out a proxy of the transport that knows no abort, and a lingering close may never end on TLS.
        transport = getattr(self.transport, "_producer", None)
        if transport is not None:
            transport.abortConnection()
        self._end()

    def _end(self) -> None:
        if not self.ended.called:
            self.ended.callback(None)


class Pace:
    """Keeps batches that are not full apart, so that what ends in between goes with the next one.

    Args:
        clock: Time.
        gap_s: Seconds from one post to the next.
        full: Records with which a batch does not wait.
    """

    def __init__(self, clock: IClock, gap_s: float, full: int) -> None:
        self._clock = clock
        self._gap_s = gap_s
        self._full = full
        self._posted_at = float("-inf")
        self._pause: Deferred[None] | None = None
        self._hurried = False

    def posted(self) -> None:
        """A batch was answered, well or not."""
        self._posted_at = self._clock.seconds()

    async def wait(self, count: int) -> None:
        """Wait until ``count`` records may be posted."""
        left_s = self._posted_at + self._gap_s - self._clock.seconds()
        if count < self._full and left_s > 0 and not self._hurried:
            self._pause = Deferred()
            call = self._clock.callLater(left_s, self._go_on)
            try:
                await self._pause
            finally:
                self._pause = None
                if call.active():
                    call.cancel()

    def hurry(self, hurried: bool = True) -> None:
        """Let nothing wait any more, or from now on again."""
        self._hurried = hurried
        if hurried:
            self._go_on()

    def _go_on(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)
