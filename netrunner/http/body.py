"""The body of a request as it comes in, for a resource that asked for it piece by piece.

This module must not parse anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from netrunner.http.channel import Channel


@implementer(IBodyProducer)
class RequestBody:
    """What the client sends, in the client's pace and the consumer's, whichever is slower.

    Until somebody consumes it the client is not read any further.
    """

    def __init__(self, channel: Channel, length: int | None) -> None:
        self._channel = channel
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        """Bytes, or UNKNOWN_LENGTH."""
        self._consumer: Any = None
        self._done: Deferred[None] | None = None
        self._waiting: list[bytes] = []
        self._complete = False
        self._failure: Failure | None = None
        self._stopped = False
        self._observer: Callable[[bytes], None] | None = None
        self.received = 0

    def observe(self, observer: Callable[[bytes], None] | None) -> None:
        """Show every piece, those that wait too, to ``observer``; None ends that."""
        self._observer = observer
        if observer is not None:
            for piece in self._waiting:
                observer(piece)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write everything that came and comes to ``consumer``.

        Returns:
            What fires when the body is complete, or fails when the client broke off before.
        """
        self._consumer = consumer
        done = self._done = Deferred()
        # First, since the consumer may well ask for a pause at the first piece.
        self._channel.hold_input("body", False)
        waiting, self._waiting = self._waiting, []
        for piece in waiting:
            consumer.write(piece)
        if self._failure is not None:
            self._end(self._failure)
        elif self._complete:
            self._end(None)
        return done

    def pauseProducing(self) -> None:
        """Read no more from the client for now."""
        self._channel.hold_input("body", True)

    def resumeProducing(self) -> None:
        """Read on."""
        self._channel.hold_input("body", False)

    def stopProducing(self) -> None:
        """Throw away whatever still comes."""
        self._stopped = True
        self._done = None
        self._waiting.clear()
        self._channel.hold_input("body", False)

    def feed(self, data: bytes) -> None:
        """Take the next piece from the channel."""
        self.received += len(data)
        if self._observer is not None:
            self._observer(data)
        if self._stopped:
            return
        if self._consumer is not None:
            self._consumer.write(data)
        else:
            self._waiting.append(data)
            self._channel.hold_input("body", True)

    def finish(self) -> None:
        """The body is complete."""
        self._complete = True
        self._end(None)

    def fail(self, reason: Failure) -> None:
        """The client broke off."""
        self._failure = reason
        self._end(reason)

    def _end(self, result: Failure | None) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            done.callback(result)
