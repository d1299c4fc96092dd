"""Notices from the command line: told by Redis, as a daemon would, to the daemons of other machines.

PostgreSQL tells of a change itself, in its transaction; nothing is needed for that here.

This module must not be imported by the daemon: it runs the reactor until a notice is told, which goes once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from netrunner.config.settings import Settings
from netrunner.news.wires import by_redis


def tell_machines(settings: Settings, topic: str, ids: Sequence[str]) -> list[str]:
    """Tell the daemons of other machines that something has changed.

    Args:
        settings: The configuration that they share.
        topic, ids: What is told.

    Returns:
        A sentence if they could not be told.
    """
    if not by_redis(settings):
        return []
    from twisted.internet import reactor  # noqa: TID251 - the command's own, handed on from here

    running: Any = reactor
    problems: list[str] = []

    def begin() -> None:
        telling = Deferred.fromCoroutine(_publish(settings.shared, topic, ids, running))
        telling.addErrback(lambda failure: problems.append(f"Redis: {failure.getErrorMessage()}"))
        telling.addBoth(lambda _: running.stop())

    running.callWhenRunning(begin)
    running.run()
    return problems


async def _publish(url: str, topic: str, ids: Sequence[str], reactor: Any) -> None:
    from netrunner.limits.redis import Place, Redis
    from netrunner.news.redis import publish

    server = Redis(Place.of(url), reactor)
    server.start()
    try:
        for id in ids:
            await publish(server, topic, id)
    finally:
        await server.stop()
