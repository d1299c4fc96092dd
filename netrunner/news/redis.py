"""Notices by Redis: published on one connection, heard on another.

This module must not say what is in a notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

import txredisapi
from netrunner.interfaces import IClock
from netrunner.limits.redis import Place, Redis

_CHANNEL = "netrunner:notices"
BEAT_S = 10.0
"""How often the connection that hears is tried: nothing else would tell that nobody is there any more."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str]).decode


async def publish(server: Redis, topic: str, id: str) -> None:
    """Tell all who listen at a server; raises ``Unavailable`` when it is not known whether anybody heard it."""
    await server.ask("PUBLISH", _CHANNEL, _encode((topic, id)).decode())


class _Subscribed(txredisapi.SubscriberProtocol):
    """A connection that hears."""

    def messageReceived(self, pattern: object, channel: str, message: str) -> None:
        self.factory.link.published(message)


class _Subscriber(Redis):
    """The connection that hears."""

    kind = _Subscribed

    def __init__(
        self, place: Place, reactor: Any, heard: Callable[[str, str], object], missed: Callable[[], object]
    ) -> None:
        super().__init__(place, reactor)
        self._heard, self._missed = heard, missed

    def connected(self, protocol: Any) -> None:
        super().connected(protocol)
        subscribing = protocol.execute_command("SUBSCRIBE", _CHANNEL)
        subscribing.addCallbacks(lambda _: self._missed(), lambda failure: self.refused(failure.getErrorMessage()))

    def published(self, message: str) -> None:
        """Hear a notice; one of a later version, or somebody else's, says nothing."""
        try:
            topic, id = _decode(message)
        except msgspec.MsgspecError:
            return
        self._heard(topic, id)

    def beat(self) -> None:
        """See that there is somebody: a connection that does not answer is given up."""
        if self._protocol is not None:
            self._protocol.execute_command("PING").addErrback(lambda failure: failure.trap(txredisapi.RedisError))


class RedisWire:
    """Hears and tells by one server.

    Args:
        place: Where it is.
        reactor: What it runs on.
        clock: Time.
    """

    def __init__(self, place: Place, reactor: Any, clock: IClock) -> None:
        self._place, self._reactor, self._clock = place, reactor, clock
        self._publisher = Redis(place, reactor)
        self._beating: IDelayedCall | None = None

    def start(self, heard: Callable[[str, str], object], missed: Callable[[], object]) -> None:
        """Connect, and again whenever a connection is lost."""
        self._subscriber = _Subscriber(self._place, self._reactor, heard, missed)
        self._publisher.start()
        self._subscriber.start()
        self._beating = self._clock.callLater(BEAT_S, self._beat)

    def stop(self) -> Deferred[Any]:
        """Hang up."""
        if self._beating is not None:
            self._beating.cancel()
        return gatherResults([maybeDeferred(one.stop) for one in (self._publisher, self._subscriber)])

    async def tell(self, topic: str, id: str) -> None:
        """Publish a notice; raises ``Unavailable`` when it is not known whether anybody heard it."""
        await publish(self._publisher, topic, id)

    def _beat(self) -> None:
        self._beating = self._clock.callLater(BEAT_S, self._beat)
        self._subscriber.beat()
