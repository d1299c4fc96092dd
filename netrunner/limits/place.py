"""Where a configuration wants its limits counted.

This module must not count.
"""

from __future__ import annotations

from typing import Any

from netrunner.config.settings import Settings
from netrunner.interfaces import IClock, ICounters
from netrunner.limits.memory import MemoryCounters


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
