"""One PUT whose body is handed over piece by piece, and how it fares.

Nothing here waits for the other side: what it does not take at once is kept, counted by whoever hands it over, and
whenever the other side owes something (a connection, room for more, the answer) it has ``timeout_s`` for it.

This module must not know what is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from netrunner.errors import NetrunnerError
from netrunner.interfaces import IEnvironment


class NotTaken(NetrunnerError):
    """The other side did not confirm what was sent.

    Args:
        message: Why.
        status: What it answered, None when it did not.
        given_up: Whether it was ended from here, and the other side did nothing wrong.
    """

    def __init__(self, message: str, status: int | None = None, *, given_up: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.given_up = given_up


@implementer(IBodyProducer)
class Put:
    """One request to be made, its body chunked.

    ``done`` fires with None once the other side has said 2xx, and with a ``NotTaken`` if it never will; whoever adds a
    callback hands the result on.

    Args:
        environment: Has the client and the clock.
        url: Where to.
        headers: Pairs of name and value.
        timeout_s: How long the other side may owe anything.
    """

    length: Any = UNKNOWN_LENGTH

    def __init__(
        self, environment: IEnvironment, url: str, headers: Sequence[tuple[str, str]], timeout_s: float
    ) -> None:
        self._environment = environment
        self._url = url
        self._headers = headers
        self._timeout_s = timeout_s
        self._consumer: Any = None
        self._paused = False
        self._pieces: list[bytes] = []
        self.waiting_bytes = 0
        """Handed over and not yet taken by the connection."""
        self._ended = False
        self._sent: Deferred[None] | None = None
        self._room: Deferred[None] | None = None
        self._request: Deferred[Any] | None = None
        self._owed: IDelayedCall | None = None
        self._begin: IDelayedCall | None = None
        self.over = False
        """Confirmed or given up."""
        self.done: Deferred[NotTaken | None] = Deferred()

    def start(self) -> None:
        """Begin in a turn of the reactor's own: whoever asks has better things to do in this one."""
        self._expect()
        self._begin = self._environment.clock.callLater(0, self._connect)

    def _connect(self) -> None:
        self._begin = None

        async def request() -> Any:
            return await self._environment.http.request(
                "PUT", self._url, headers=dict(self._headers), data=self, allow_redirects=False, unbuffered=True
            )

        # In a coroutine, so that whatever the client raises at once arrives as all its other failures do.
        self._request = Deferred.fromCoroutine(request())
        self._request.addCallbacks(self._answered, self._failed)

    # What whoever has something to send calls.

    def write(self, data: bytes) -> None:
        """Send ``data``, or keep it until the other side takes it."""
        if self.over or self._ended or not data:
            return
        if self._consumer is not None and not self._paused:
            self._consumer.write(data)
        else:
            self._pieces.append(data)
            self.waiting_bytes += len(data)

    def end(self) -> None:
        """The body is complete; idempotent."""
        if not self.over and not self._ended:
            self._ended = True
            self._expect()
            self._flush()

    def room(self) -> Deferred[None]:
        """Return a Deferred that fires when everything was taken, or when nothing will be any more."""
        room = self._room = Deferred()
        self._tell_room()
        return room

    def give_up(self, reason: str) -> None:
        """Abort it; idempotent."""
        request = self._request if not self.over else None
        self._finish(NotTaken(reason, given_up=True))
        if request is not None:
            request.cancel()

    # What the client calls.

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self._consumer = consumer
        self._sent = Deferred()
        sent = self._sent
        self._took()
        return sent

    def pauseProducing(self) -> None:
        self._paused = True
        self._expect()

    def resumeProducing(self) -> None:
        self._paused = False
        self._took()

    def stopProducing(self) -> None:
        self._consumer = None
        self._finish(NotTaken("the connection was lost"))

    def _took(self) -> None:
        """The other side takes more: it owes nothing, unless the answer."""
        self._expect() if self._ended else self._owes_nothing()
        self._flush()

    def _flush(self) -> None:
        while self._pieces and self._consumer is not None and not self._paused:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self.waiting_bytes = 0
            self._consumer.write(data)
        self._tell_room()
        sent = self._sent
        if self._ended and not self._pieces and sent is not None and not sent.called and self._consumer is not None:
            sent.callback(None)

    def _tell_room(self) -> None:
        room = self._room
        takes = self._consumer is not None and not self._paused and not self._pieces
        if room is not None and (self.over or takes):
            self._room = None
            room.callback(None)

    # How it ends.

    def _answered(self, response: Any) -> None:
        status: int = response.code
        response.original.deliverBody(_Ignored())
        if self._sent is not None and not self._sent.called:
            # It was refused before its end, which the client waits for before it closes the connection.
            self._consumer = None
            self._sent.callback(None)
        if 200 <= status < 300:
            self._finish(None)
        else:
            self._finish(NotTaken(f"it was answered with {status}", status))

    def _failed(self, failure: Failure) -> None:
        self._finish(NotTaken(type(failure.value).__name__))

    def _expect(self) -> None:
        """Give the other side its time, from now on."""
        self._owes_nothing()
        if not self.over:
            self._owed = self._environment.clock.callLater(self._timeout_s, self._timed_out)

    def _owes_nothing(self) -> None:
        owed, self._owed = self._owed, None
        if owed is not None and owed.active():
            owed.cancel()

    def _timed_out(self) -> None:
        self._owed = None
        self._finish(NotTaken(f"nothing was heard of it for {self._timeout_s:g} s"))
        if self._request is not None:
            self._request.cancel()

    def _finish(self, error: NotTaken | None) -> None:
        if self.over:
            return
        self.over = True
        self._owes_nothing()
        self._pieces.clear()
        self.waiting_bytes = 0
        if self._begin is not None:
            self._begin.cancel()
            self._begin = None
        self._tell_room()
        self.done.callback(error)


class _Ignored(Protocol):
    """The answer's body, of which nothing is needed."""

    transport: Any

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
