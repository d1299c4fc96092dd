"""By which ways a configuration has notices told: PostgreSQL's own, and Redis where it is shared.

This module must not tell any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from netrunner.config.settings import Settings
from netrunner.interfaces import IClock
from netrunner.news.board import Wire

if TYPE_CHECKING:
    from netrunner.store.threads import Store


def wires(
    settings: Settings, database: Callable[[], Store], reactor: Any, clock: IClock
) -> dict[str, Callable[[], Wire]]:
    """Return how to make each, by a name that is another one for another place."""
    found: dict[str, Callable[[], Wire]] = {}
    # What only some have is loaded for them only.
    if not settings.store.startswith("sqlite"):
        from netrunner.news.postgres import PostgresWire

        found["postgresql"] = partial(PostgresWire, database, reactor, clock)
    if by_redis(settings):
        from netrunner.limits.redis import Place
        from netrunner.news.redis import RedisWire

        found[settings.shared] = partial(RedisWire, Place.of(settings.shared), reactor, clock)
    return found


def by_redis(settings: Settings) -> bool:
    """Return whether Redis tells others.

    A database that lies in the state folder is nobody's but its processes', who hear by their control sockets.
    """
    return settings.store != "sqlite" and settings.shared != "memory"
