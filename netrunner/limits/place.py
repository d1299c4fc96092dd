"""Where a configuration wants its limits counted, and what is kept with others.

This module must not count.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from netrunner import __version__
from netrunner.config.settings import Settings
from netrunner.interfaces import IClock, ICounters
from netrunner.limits.memory import Counted, MemoryCounters
from netrunner.shared import ISharedStore

if TYPE_CHECKING:
    from netrunner.limits.kept import RedisStore


def open_counters(settings: Settings, clock: IClock, reactor: Any, boot_id: str) -> ICounters:
    """Return the counters that ``shared`` asks for; nothing is connected yet.

    Args:
        settings: The configuration.
        clock: Time.
        reactor: For a connection.
        boot_id: Names this process among all that share counters.
    """
    if settings.shared == "memory":
        return MemoryCounters(clock)
    # What only some have is loaded for them only.
    from netrunner.limits.hearing import Subscriber
    from netrunner.limits.lines import SharedLines
    from netrunner.limits.redis import Place, Redis
    from netrunner.limits.scripts import TURNS
    from netrunner.limits.shared import SharedCounters

    place = Place.of(settings.shared)
    redis = Redis(place, reactor)
    lines = SharedLines(redis, clock, boot_id, lambda *heard: Subscriber(place, reactor, clock, TURNS, *heard))
    local = MemoryCounters(clock) if settings.shared_down == "local" else None
    return SharedCounters(redis, clock, boot_id, local, lines)


def left_by(counters: ICounters) -> list[Any]:
    """Return what is counted in this process, in terms of JSON, for a successor."""
    found: list[Any] = msgspec.to_builtins(counters.windows() if isinstance(counters, MemoryCounters) else [])
    return found


def absorb(counters: ICounters, windows: list[Any]) -> None:
    """Go on with what a predecessor has counted; raises ``msgspec.ValidationError`` for what makes no sense."""
    if isinstance(counters, MemoryCounters):
        counters.absorb(msgspec.convert(windows, list[Counted]))


def open_store(settings: Settings, reactor: Any, space: str) -> ISharedStore:
    """Return what is kept with others in a space; nothing is connected yet.

    What was made of a request differs with the filters and providers that made it, so those who do not have the same
    do not find it.

    Args:
        settings: The configuration; its ``shared`` is a URL.
        reactor: For a connection.
        space: Whose values they are.
    """
    makers = [(one.type, one.settings) for one in (*settings.providers, *settings.filters)]
    kind = hashlib.sha256(repr((__version__, makers)).encode()).hexdigest()[:16]
    return _store(settings, reactor, space, kind)


def open_seals(settings: Settings, reactor: Any) -> RedisStore:
    """Return where the seals of calls are kept with others, as ``open_store`` does.

    They are found whatever else the configuration says: no filter makes them, and their keys tell whose they are.
    """
    return _store(settings, reactor, "seals", kind="1")


def _store(settings: Settings, reactor: Any, space: str, kind: str) -> RedisStore:
    # What only some have is loaded for them only.
    from netrunner.limits.kept import RedisStore
    from netrunner.limits.redis import Place, Redis

    return RedisStore(Redis(Place.of(settings.shared), reactor), space, kind)
