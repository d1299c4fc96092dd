"""What plugins keep in Redis, so that other processes find it.

This module must not know what a value is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.interfaces import IStartable
from netrunner.limits.redis import Redis, Unavailable
from netrunner.shared import ISharedStore

_PREFIX = "netrunner:kept:"
_AT_ONCE = 500
"""Keys that are looked through by one command, and forgotten by one."""


@implementer(ISharedStore, IStartable)
class RedisStore:
    """Keeps values in Redis.

    Args:
        redis: The connection.
        space: Whose values they are; what is kept for others has other keys.
        kind: Tells those apart that have a space in common and yet must not find what the others keep.
    """

    log = Logger()

    def __init__(self, redis: Redis, space: str, kind: str) -> None:
        self._redis = redis
        self._space = f"{_PREFIX}{space}:"
        self._kind = kind

    @property
    def available(self) -> bool:
        """Whether there is a connection."""
        return self._redis.available

    def start(self) -> None:
        """Connect."""
        self._redis.start()

    def stop(self) -> Any:
        """Hang up."""
        return self._redis.stop()

    async def get(self, key: bytes) -> bytes | None:
        """Return what is kept; None while Redis is away."""
        (value,) = await self.get_all([key])
        return value

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what is kept under each key, in their order, by one question; None while Redis is away."""
        try:
            values: Any = await self._redis.ask("MGET", *(self._named(key) for key in keys))
        except Unavailable:
            return [None] * len(keys)
        # What could be text is handed out as text.
        return [value.encode() if isinstance(value, str) else value for value in values]

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Keep a value; while Redis is away nothing is kept."""
        if self._redis.available:
            kept = self._redis.ask("SET", self._named(key), value, "PX", max(1, int(ttl_s * 1000)))
            Deferred.fromCoroutine(kept).addErrback(self._not_kept)

    async def clear(self) -> int:
        """Forget every key of the space, whatever the kind."""
        count, cursor = 0, "0"
        while True:
            cursor, keys = await self._redis.ask("SCAN", cursor, "MATCH", f"{self._space}*", "COUNT", _AT_ONCE)
            if keys:
                count += await self._redis.ask("UNLINK", *keys)
            if int(cursor) == 0:
                return count

    def _named(self, key: bytes) -> str:
        return f"{self._space}{self._kind}:{key.hex()}"

    def _not_kept(self, failure: Failure) -> None:
        failure.trap(Unavailable)
        self.log.debug("a value was not kept: {why}", why=str(failure.value))
