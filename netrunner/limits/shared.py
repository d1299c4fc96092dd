"""Counters that several processes and machines share: exact across all of them, kept in Redis.

A process that dies gives its places among those at once back when their leases run out. While Redis is away, requests
are refused, or counted by this process alone.

This module must not know how Redis is reached.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.claims import Claim, Denial, Grant, Standing
from netrunner.errors import Overloaded
from netrunner.interfaces import IClock, ICounters, IStartable
from netrunner.limits.lines import LEASE_US, Place, SharedLines
from netrunner.limits.memory import MemoryCounters
from netrunner.limits.redis import Redis, Unavailable
from netrunner.limits.rules import BUSY_S, CONCURRENCY, MIN_GAP, Rules, rules
from netrunner.limits.scripts import FULL, NEVER_US, RELEASE, RENEW, RESERVE, STANDS, TURN, USED, Script
from netrunner.line import QUEUE, ISharesLines
from netrunner.settings import Limits

LEASE_S = 15.0
"""After which a place is free again whose process is gone."""
RENEW_S = 5.0
MAX_LATE = 10_000
"""Most ends that are kept for Redis while it is away; what they would correct is lost beyond them."""
_BATCH = 200
"""Most leases renewed by one script."""
_PREFIX = "netrunner:limits:"
_MICRO = 1e6


class _Lent(Grant):
    """What was admitted, and where."""

    __slots__ = ("id", "keys", "tokens", "windows")

    def __init__(self, standings: tuple[Standing, ...], id: str, keys: list[str], windows: Any, tokens: int) -> None:
        super().__init__(standings)
        self.id = id
        self.keys = keys
        """None any more once it has ended."""
        self.windows: list[list[tuple[str, bool, int]]] = windows
        """Of each claim: name, whether it counts tokens, and when it was opened."""
        self.tokens = tokens


@implementer(ICounters, ISharesLines, IStartable)
class SharedCounters:
    """Counts in Redis.

    Args:
        redis: The connection.
        clock: Time, for renewing leases; Redis counts by its own.
        boot_id: Names this process among those that ever shared.
        local: Counts while Redis is away; None refuses then.
        lines: Where those wait that find no room.
    """

    log = Logger()

    def __init__(
        self, redis: Redis, clock: IClock, boot_id: str, local: MemoryCounters | None, lines: SharedLines
    ) -> None:
        self.denials: Counter[tuple[str, str]] = Counter()
        self.fallbacks = 0
        """Requests that were counted by this process alone."""
        self._redis = redis
        self._clock = clock
        self._local = local
        self._lines = lines
        self._boot_id = boot_id
        self._numbers = itertools.count(1)
        self._leases: dict[str, tuple[str, ...]] = {}
        """By grant: the sets it is inside."""
        self._late: deque[tuple[list[str], list[object]]] = deque(maxlen=MAX_LATE)
        self._renewing: IDelayedCall | None = None

    @property
    def available(self) -> bool:
        """Whether Redis counts."""
        return self._redis.available

    def start(self) -> None:
        """Connect."""
        self._redis.start()
        self._renewing = self._clock.callLater(RENEW_S, self._renew)

    def stop(self) -> Any:
        """Hang up; what is held then is given back by Redis itself."""
        if self._renewing is not None and self._renewing.active():
            self._renewing.cancel()
        return DeferredList([maybeDeferred(self._lines.stop), maybeDeferred(self._redis.stop)])

    async def reserve(self, claims: Sequence[Claim], tokens: int = 0) -> Grant | Denial:
        """Admit one request against all claims or none."""
        id, keys, arguments = self._asked(claims, tokens)
        try:
            told: list[int] = await self._redis.run(RESERVE, keys, arguments)
        except Unavailable as error:
            return await self._without_redis(claims, tokens, error)
        return self._answer(id, keys, claims, tokens, told)

    def _asked(self, claims: Sequence[Claim], tokens: int) -> tuple[str, list[str], list[object]]:
        """Return id, keys and arguments of one more grant."""
        id = f"{self._boot_id}:{next(self._numbers)}"
        keys = [key for claim in claims for key in (_account(claim), f"{_account(claim)}|inside")]
        arguments: list[object] = [id, tokens, int(LEASE_S * _MICRO), int(BUSY_S * _MICRO)]
        for claim in claims:
            arguments += _packed(claim.limits)
        return id, keys, arguments

    def _answer(
        self, id: str, keys: list[str], claims: Sequence[Claim], tokens: int, told: list[int]
    ) -> Grant | Denial:
        every = [rules(claim.limits) for claim in claims]
        windows, standings = _read(claims, every, told[3:])
        if told[0]:
            claim, limits = claims[told[0] - 1], every[told[0] - 1]
            what, limit = _limit(limits, told[1])
            self.denials[claim.scope, what] += 1
            wait_s = None if told[2] >= NEVER_US else told[2] / _MICRO
            return Denial(claim.scope, claim.subject, what, limit, wait_s, standings)
        inside = tuple(key for key, limits in zip(keys[1::2], every, strict=True) if limits.concurrency is not None)
        if inside:
            self._leases[id] = inside
        return _Lent(standings, id, keys, windows, tokens)

    def place(self, claim: Claim, call: Callable[[], object]) -> Place:
        """Return a place in the line of all processes for one that may have to wait."""
        return self._lines.place(_account(claim), call)

    async def take_turn(
        self, place: Place, claim: Claim, tokens: int, max_waiting: int, patience_s: float
    ) -> Grant | Denial | None:
        """Admit whoever has ``place`` if it is its turn; see ``ISharesLines``."""
        id, keys, arguments = self._asked((claim,), tokens)
        patience_us = int(min(NEVER_US - 1, patience_s * _MICRO))
        stood, place.stands = place.stands, False
        try:
            told: list[int] = await self._redis.run(
                TURN, [*keys, *place.keys], [place.ticket, LEASE_US, patience_us, max_waiting, *arguments]
            )
        except Unavailable as error:
            if not stood or self._local is None:
                self._lines.forget(place)
            return await self._without_redis((claim,), tokens, error)
        if told[0] == STANDS:
            self._lines.stood(place)
            return None
        if told[0] == FULL:
            self._lines.forget(place)
            return Denial(claim.scope, claim.subject, QUEUE, max_waiting, BUSY_S)
        answer = self._answer(id, keys, (claim,), tokens, told)
        if isinstance(answer, Denial) and told[2] <= patience_us and (max_waiting or stood):
            self._lines.stood(place)
        else:
            self._lines.forget(place)
        return answer

    def leave(self, place: Place) -> None:
        """Whoever has ``place`` does not want to wait any more."""
        self._lines.leave(place)

    async def _without_redis(self, claims: Sequence[Claim], tokens: int, error: Unavailable) -> Grant | Denial:
        if self._local is None:
            raise _uncounted() from error
        self.fallbacks += 1
        answer = await self._local.reserve(claims, tokens)
        if isinstance(answer, Denial):
            self.denials[answer.scope, answer.what] += 1
        return answer

    def release(self, grant: Grant, tokens: int | None = None) -> None:
        """Let one in for it, and count what it took."""
        if isinstance(grant, _Lent):
            self._end(grant, 0 if tokens is None else tokens - grant.tokens, 0)
        else:
            assert self._local is not None
            self._local.release(grant, tokens)

    def withdraw(self, grant: Grant) -> None:
        """Count nothing for it."""
        if isinstance(grant, _Lent):
            self._end(grant, -grant.tokens, -1)
        else:
            assert self._local is not None
            self._local.withdraw(grant)

    async def used(self, scope: str, subject: str, windows: Sequence[tuple[bool, float]]) -> list[int]:
        """Return how much of each window is used, by everybody."""
        named = [word for tokens, length_s in windows for word in (_name(tokens, length_s), round(length_s * _MICRO))]
        try:
            told: list[int] = await self._redis.run(USED, [f"{_PREFIX}{scope}|{subject}"], named)
        except Unavailable as error:
            raise _uncounted() from error
        return told

    def _end(self, grant: _Lent, tokens: int, requests: int) -> None:
        keys, grant.keys = grant.keys, []
        held = self._leases.pop(grant.id, None)
        if not keys or not (tokens or requests or held):
            return
        arguments: list[object] = [grant.id, int(bool(requests))]
        for windows in grant.windows:
            changed = [
                (name, opened, change)
                for name, counts_tokens, opened in windows
                if (change := tokens if counts_tokens else requests)
            ]
            arguments.append(len(changed))
            for one in changed:
                arguments += one
        if self._redis.available:
            self._run(RELEASE, keys, arguments)
        else:
            self._late.append((keys, arguments))

    def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> None:
        """Run a script whose answer nobody waits for; whether one ran whose connection was lost is never known."""
        Deferred.fromCoroutine(self._redis.run(script, keys, arguments)).addErrback(self._not_run)

    def _not_run(self, failure: Failure) -> None:
        failure.trap(Unavailable)
        self.log.debug("a script did not run: {why}", why=str(failure.value))

    def _renew(self) -> None:
        """Keep the places of what is in progress, and tell what has ended while nobody listened."""
        self._renewing = self._clock.callLater(RENEW_S, self._renew)
        if not self._redis.available:
            return
        late, self._late = self._late, deque(maxlen=MAX_LATE)
        for keys, arguments in late:
            self._run(RELEASE, keys, arguments)
        places = ((key, id) for id, keys in self._leases.items() for key in keys)
        while batch := list(itertools.islice(places, _BATCH)):
            self._run(RENEW, [key for key, _ in batch], [int(LEASE_S * _MICRO), *(id for _, id in batch)])


def _account(claim: Claim) -> str:
    return f"{_PREFIX}{claim.scope}|{claim.subject}"


def _uncounted() -> Overloaded:
    return Overloaded("Limits cannot be counted for now.", code="counters_unavailable", retry_after_s=1)


@functools.lru_cache(maxsize=4096)
def _packed(limits: Limits) -> tuple[object, ...]:
    """Return limits as ``RESERVE`` takes them."""
    all_rules = rules(limits)
    most = -1 if all_rules.concurrency is None else all_rules.concurrency
    packed: list[object] = [round(all_rules.gap_s * _MICRO), most, len(all_rules.windows)]
    for window in all_rules.windows:
        length_us = round(window.length_s * _MICRO)
        packed += [_name(window.tokens, window.length_s), int(window.tokens), window.limit, length_us]
    return tuple(packed)


def _name(tokens: bool, length_s: float) -> str:
    return f"{'t' if tokens else 'r'}{length_s:g}"


def _limit(limits: Rules, number: int) -> tuple[str, float]:
    """Return name and value of the limit that a script tells by its number."""
    if number > 0:
        window = limits.windows[number - 1]
        return window.what, window.limit
    return (MIN_GAP, limits.gap_s) if number < 0 else (CONCURRENCY, limits.concurrency or 0)


def _read(
    claims: Sequence[Claim], every: Sequence[Rules], told: Sequence[int]
) -> tuple[list[list[tuple[str, bool, int]]], tuple[Standing, ...]]:
    """Return each claim's windows, and how full they are."""
    windows, standings = [], []
    numbers = iter(told)
    for claim, limits in zip(claims, every, strict=True):
        its = []
        for window in limits.windows:
            opened, used, left_us = next(numbers), next(numbers), next(numbers)
            its.append((_name(window.tokens, window.length_s), window.tokens, opened))
            remaining = max(0, window.limit - used)
            standings.append(
                Standing(claim.scope, window.what, window.tokens, window.limit, remaining, left_us / _MICRO)
            )
        windows.append(its)
    return windows, tuple(standings)
