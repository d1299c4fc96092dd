"""Counters of this process: exact, at once, and bounded in number.

This module must not wait for anything.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec
from zope.interface import implementer

from netrunner.claims import Claim, Denial, Grant, Standing
from netrunner.interfaces import IClock, ICounters
from netrunner.limits.account import NEVER, Account, Kept, Refusal
from netrunner.limits.rules import rules
from netrunner.settings import Limits

MAX_ACCOUNTS = 65536
"""Subjects that are told apart; beyond them those that were met first are forgotten, but for who is inside."""
_LOOK = 2
"""How many of the oldest accounts are looked at for each new one; those that count nothing any more go."""


MAX_HANDED_OVER = 16384
"""Subjects whose windows are handed over to a process that takes over."""


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """The open windows of one subject."""

    scope: str
    subject: str
    windows: list[Kept]


class _Limited(Account):
    """An account and the very limits it goes by."""

    __slots__ = ("limits",)

    def __init__(self, limits: Limits) -> None:
        super().__init__(rules(limits))
        self.limits = limits


class _Held(Grant):
    """What was admitted: to which accounts, and to which of their windows."""

    __slots__ = ("accounts", "opened", "tokens")

    def __init__(
        self,
        standings: tuple[Standing, ...],
        accounts: Sequence[_Limited],
        opened: Sequence[tuple[float, ...]],
        tokens: int,
    ) -> None:
        super().__init__(standings)
        self.accounts = accounts
        """None any more once it has ended."""
        self.opened = opened
        self.tokens = tokens


@implementer(ICounters)
class MemoryCounters:
    """Counts in this process.

    Args:
        clock: Time.
        max_accounts: Subjects that are told apart.
    """

    available = True
    fallbacks = 0

    def __init__(self, clock: IClock, max_accounts: int = MAX_ACCOUNTS) -> None:
        self.denials: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._max_accounts = max_accounts
        self._accounts: dict[tuple[str, str], _Limited] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    async def reserve(self, claims: Sequence[Claim], tokens: int = 0) -> Grant | Denial:
        """Admit one request against all claims or none; never waits."""
        now = self._clock.seconds()
        before = len(self._accounts)
        accounts = [self._account(claim) for claim in claims]
        worst: tuple[Refusal, Claim] | None = None
        for claim, account in zip(claims, accounts, strict=True):
            refusal = account.refusal(now, tokens)
            if refusal is not None and (worst is None or refusal.wait_s > worst[0].wait_s):
                worst = refusal, claim
        opened = [] if worst is not None else [account.admit(now, tokens) for account in accounts]
        standings: list[Standing] = []
        for claim, account in zip(claims, accounts, strict=True):
            standings += account.standings(claim.scope, now)
        for _ in range(len(self._accounts) - before):
            self._make_room(now)
        if worst is None:
            return _Held(tuple(standings), accounts, opened, tokens)
        refusal, claim = worst
        self.denials[claim.scope, refusal.what] += 1
        wait_s = None if refusal.wait_s == NEVER else refusal.wait_s
        return Denial(claim.scope, claim.subject, refusal.what, refusal.limit, wait_s, tuple(standings))

    def release(self, grant: Grant, tokens: int | None = None) -> None:
        """Let one in for it, and count what it took."""
        assert isinstance(grant, _Held)
        self._end(grant, 0 if tokens is None else tokens - grant.tokens, 0)

    def withdraw(self, grant: Grant) -> None:
        """Count nothing for it."""
        assert isinstance(grant, _Held)
        self._end(grant, -grant.tokens, -1)

    async def used(self, scope: str, subject: str, windows: Sequence[tuple[bool, float]]) -> list[int]:
        """Return how much of each window is used, in this process."""
        account = self._accounts.get((scope, subject))
        kept = () if account is None else account.kept(self._clock.seconds())
        by_kind = {(one.tokens, one.length_s): one.used for one in kept}
        return [by_kind.get(window, 0) for window in windows]

    def windows(self) -> list[Counted]:
        """Return what is used of every window that is open, for a process that takes over; the newest, if many are."""
        now = self._clock.seconds()
        counted = []
        for (scope, subject), account in itertools.islice(reversed(self._accounts.items()), MAX_HANDED_OVER):
            if kept := account.kept(now):
                counted.append(Counted(scope, subject, kept))
        return counted

    def absorb(self, windows: Sequence[Counted]) -> None:
        """Count what a process before this one has counted."""
        now = self._clock.seconds()
        for one in reversed(windows):
            limits = Limits(windows=tuple(kept.as_window() for kept in one.windows))
            account = self._accounts.get((one.scope, one.subject))
            if account is None:
                # Whoever claims it next tells what it may really have.
                account = self._accounts[one.scope, one.subject] = _Limited(limits)
            account.absorb(one.windows, now)

    def _end(self, grant: _Held, tokens: int, requests: int) -> None:
        accounts, grant.accounts = grant.accounts, ()
        for account, opened in zip(accounts, grant.opened, strict=bool(accounts)):
            if tokens or requests:
                account.correct(opened, tokens, requests)
            account.leave()

    def _account(self, claim: Claim) -> _Limited:
        key = claim.scope, claim.subject
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Limited(claim.limits)
        elif account.limits is not claim.limits:
            account.limits = claim.limits
            account.follow(rules(claim.limits))
        return account

    def _make_room(self, now_s: float) -> None:
        """Forget what counts nothing any more, a little for each newcomer; and what does, when there is no room."""
        accounts = self._accounts
        for key in list(itertools.islice(accounts, _LOOK)):
            account = accounts.pop(key)
            full = len(accounts) >= self._max_accounts
            if account.inside or not (full or account.idle(now_s)):
                accounts[key] = account
