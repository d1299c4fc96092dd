"""An access token that is renewed in time, by one request however many wait for it.

This module must not know how a token is got.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from netrunner.interfaces import IClock

EARLY_S = 60.0
"""Seconds before its end at which a token is renewed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A token, and the Unix time at which it ends."""

    token: str = dataclasses.field(repr=False)
    ends_at: float


class Token:
    """The token that one provider's calls share.

    Args:
        clock: Time.
        fetch: Gets a new one.
    """

    def __init__(self, clock: IClock, fetch: Callable[[], Coroutine[Any, Any, Grant]]) -> None:
        self._clock = clock
        self._fetch = fetch
        self._grant: Grant | None = None
        self._waiting: list[Deferred[str]] = []

    async def get(self) -> str:
        """Return a token; raises what getting one raised, unless there is one that has not ended yet."""
        if self._grant is not None and self._lasts(self._grant, EARLY_S):
            return self._grant.token
        waiting: Deferred[str] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self._fetch()).addBoth(self._fetched)
        return await waiting

    def forget(self, token: str) -> None:
        """Never return ``token`` again: it was refused."""
        if self._grant is not None and self._grant.token == token:
            self._grant = None

    def _lasts(self, grant: Grant, seconds: float) -> bool:
        now: float = self._clock.wall()
        return now + seconds < grant.ends_at

    def _fetched(self, result: Grant | Failure) -> None:
        """Tell everybody who waits."""
        waiting, self._waiting = self._waiting, []
        if isinstance(result, Grant):
            self._grant = result
        elif self._grant is None or not self._lasts(self._grant, 0):
            self._grant = None
            for one in waiting:
                one.errback(result)
            return
        for one in waiting:
            one.callback(self._grant.token)
