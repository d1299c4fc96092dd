"""Where a configuration wants its limits counted, and what is kept with others.

This module must not count.
"""

from __future__ import annotations

import hashlib
from typing import Any

from netrunner import __version__
from netrunner.config.settings import Settings
from netrunner.interfaces import IClock, ICounters
from netrunner.limits.memory import MemoryCounters
from netrunner.shared import ISharedStore


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
    from netrunner.limits.redis import Place, Redis
    from netrunner.limits.shared import SharedCounters

    local = MemoryCounters(clock) if settings.shared_down == "local" else None
    return SharedCounters(Redis(Place.of(settings.shared), reactor), clock, boot_id, local)


def open_store(settings: Settings, reactor: Any, space: str) -> ISharedStore:
    """Return what is kept with others in a space; nothing is connected yet.

    What was made of a request differs with the filters and providers that made it, so those who do not have the same
    do not find it.

    Args:
        settings: The configuration; its ``shared`` is a URL.
        reactor: For a connection.
        space: Whose values they are.
    """
    # What only some have is loaded for them only.
    from netrunner.limits.kept import RedisStore
    from netrunner.limits.redis import Place, Redis

    makers = [(one.type, one.settings) for one in (*settings.providers, *settings.filters)]
    kind = hashlib.sha256(repr((__version__, makers)).encode()).hexdigest()[:16]
    return RedisStore(Redis(Place.of(settings.shared), reactor), space, kind)
