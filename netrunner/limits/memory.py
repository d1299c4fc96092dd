"""Counters of this process: exact, at once, and bounded in number.

This module must not wait for anything.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from zope.interface import implementer

from netrunner.claims import Claim, Denial, Grant, Standing
from netrunner.interfaces import IClock, ICounters
from netrunner.limits.account import NEVER, Account, Refusal
from netrunner.limits.rules import rules
from netrunner.settings import Limits

MAX_ACCOUNTS = 65536
"""Subjects that are told apart; beyond them those that were met first are forgotten, but for who is inside."""
_LOOK = 2
"""How many of the oldest accounts are looked at for each new one; those that count nothing any more go."""


class _Kept(Account):
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
        accounts: Sequence[_Kept],
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

    def __init__(self, clock: IClock, max_accounts: int = MAX_ACCOUNTS) -> None:
        self.denials: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._max_accounts = max_accounts
        self._accounts: dict[tuple[str, str], _Kept] = {}

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
        standings = _standings(claims, accounts, now)
        for _ in range(len(self._accounts) - before):
            self._make_room(now)
        if worst is None:
            return _Held(standings, accounts, opened, tokens)
        refusal, claim = worst
        self.denials[claim.scope, refusal.what] += 1
        wait_s = None if refusal.wait_s == NEVER else refusal.wait_s
        return Denial(claim.scope, claim.subject, refusal.what, refusal.limit, wait_s, standings)

    def release(self, grant: Grant, tokens: int | None = None) -> None:
        """Let one in for it, and count what it took."""
        assert isinstance(grant, _Held)
        self._end(grant, 0 if tokens is None else tokens - grant.tokens, 0)

    def withdraw(self, grant: Grant) -> None:
        """Count nothing for it."""
        assert isinstance(grant, _Held)
        self._end(grant, -grant.tokens, -1)

    def _end(self, grant: _Held, tokens: int, requests: int) -> None:
        accounts, grant.accounts = grant.accounts, ()
        for account, opened in zip(accounts, grant.opened, strict=bool(accounts)):
            if tokens or requests:
                account.correct(opened, tokens, requests)
            account.leave()

    def _account(self, claim: Claim) -> _Kept:
        key = claim.scope, claim.subject
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Kept(claim.limits)
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


def _standings(claims: Sequence[Claim], accounts: Sequence[_Kept], now_s: float) -> tuple[Standing, ...]:
    return tuple(
        Standing(claim.scope, window.what, window.tokens, window.limit, *account.state(number, now_s))
        for claim, account in zip(claims, accounts, strict=True)
        for number, window in enumerate(account.rules.windows)
    )
