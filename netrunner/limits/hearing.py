"""A connection to Redis that hears what is published on one channel.

This module must not read what is said there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

import txredisapi
from netrunner.interfaces import IClock
from netrunner.limits.redis import Place, Redis

BEAT_S = 10.0
"""How often the connection is tried: nothing else would tell that nobody is there any more."""


class _Subscribed(txredisapi.SubscriberProtocol):
    """The protocol on it."""

    def messageReceived(self, pattern: object, channel: str, message: str) -> None:
        self.factory.link.heard(message)


class Subscriber(Redis):
    """Hears a channel, and again whenever the connection was lost.

    Args:
        place: Where the server is.
        reactor: What it runs on.
        clock: Time.
        channel: What is heard.
        heard: Called with each message.
        missed: Called whenever there is a connection again, before anything is heard by it.
    """

    kind = _Subscribed

    def __init__(
        self,
        place: Place,
        reactor: Any,
        clock: IClock,
        channel: str,
        heard: Callable[[str], object],
        missed: Callable[[], object],
    ) -> None:
        super().__init__(place, reactor)
        self._clock, self._channel = clock, channel
        self.heard, self._missed = heard, missed
        self._beating: IDelayedCall | None = None

    def start(self) -> None:
        """Connect."""
        super().start()
        self._beating = self._clock.callLater(BEAT_S, self._beat)

    def stop(self) -> Any:
        """Hang up."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        return super().stop()

    def connected(self, protocol: Any) -> None:
        """Listen."""
        super().connected(protocol)
        subscribing = protocol.execute_command("SUBSCRIBE", self._channel)
        subscribing.addCallbacks(lambda _: self._missed(), lambda failure: self.refused(failure.getErrorMessage()))

    def _beat(self) -> None:
        """See that there is somebody: a connection that does not answer is given up."""
        self._beating = self._clock.callLater(BEAT_S, self._beat)
        if self._protocol is not None:
            self._protocol.execute_command("PING").addErrback(lambda failure: failure.trap(txredisapi.RedisError))
