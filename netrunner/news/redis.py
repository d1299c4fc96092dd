"""Notices by Redis: published on one connection, heard on another.

This module must not say what is in a notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from netrunner.interfaces import IClock
from netrunner.limits.hearing import Subscriber
from netrunner.limits.redis import Place, Redis

_CHANNEL = "netrunner:notices"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str]).decode


async def publish(server: Redis, topic: str, id: str) -> None:
    """Tell all who listen at a server; raises ``Unavailable`` when it is not known whether anybody heard it."""
    await server.ask("PUBLISH", _CHANNEL, _encode((topic, id)).decode())


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

    def start(self, heard: Callable[[str, str], object], missed: Callable[[], object]) -> None:
        """Connect, and again whenever a connection is lost."""
        self._heard = heard
        self._subscriber = Subscriber(self._place, self._reactor, self._clock, _CHANNEL, self._published, missed)
        self._publisher.start()
        self._subscriber.start()

    def stop(self) -> Deferred[Any]:
        """Hang up."""
        return gatherResults([maybeDeferred(one.stop) for one in (self._publisher, self._subscriber)])

    async def tell(self, topic: str, id: str) -> None:
        """Publish a notice; raises ``Unavailable`` when it is not known whether anybody heard it."""
        await publish(self._publisher, topic, id)

    def _published(self, message: str) -> None:
        """Hear a notice; one of a later version, or somebody else's, says nothing."""
        try:
            topic, id = _decode(message)
        except msgspec.MsgspecError:
            return
        self._heard(topic, id)
