"""What tokens use: counted here at once, and written down together now and then.

Windows are counted by the counters that every other limit is. Of a token's ``max_requests`` each process takes a part
from the database and spends it, smaller parts the less is left, so that never more is spent than there is; what one
does not spend goes back. A process that is killed keeps what it took: a cap may then end early, never late.

This module must not decide who may call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.claims import Denial, Grant
from netrunner.errors import Overloaded, RateLimited, StoreError
from netrunner.interfaces import IClock, ICounters
from netrunner.projects.caller import Caller
from netrunner.projects.prices import Prices
from netrunner.store import projects, tokens
from netrunner.store.threads import Store
from netrunner.store.tokens import Used
from netrunner.values import Record

FLUSH_S = 1.0
"""How often what was used is written down."""
SHARE = 16
"""Of what is left of a cap so many parts are made, and one is taken at a time."""
EXHAUSTED_S = 1.0
"""How long nothing is asked of a cap that was found reached: others may give back what they did not spend."""


class Uses:
    """Counts what tokens use.

    Args:
        database: Returns the database.
        prices: Tell what models cost.
        clock: Time.
    """

    log = Logger()

    def __init__(self, database: Callable[[], Store], prices: Prices, clock: IClock) -> None:
        self._database = database
        self._prices = prices
        self._clock = clock
        self._used: dict[str, Used] = {}
        """What is not written down yet, by token."""
        self._spent: dict[str, tuple[int, float]] = {}
        """Tokens and US dollars of projects, likewise."""
        self._leased: dict[str, Caller] = {}
        """Those with requests to spend."""
        self._taking: dict[str, list[Deferred[None]]] = {}
        self._call: IDelayedCall | None = None
        self._writing = False

    def start(self) -> None:
        """Write down from now on; idempotent."""
        if self._call is None:
            self._call = self._clock.callLater(FLUSH_S, self._flush)

    async def stop(self) -> None:
        """Write down the last of it, and give back what was not spent."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        for caller in list(self._leased.values()):
            self._return(caller)
        await self._write()

    async def admit(self, caller: Caller, counters: ICounters) -> Grant | Denial:
        """Count one request, unless it is one too many; windows are counted by ``counters``.

        Raises:
            RateLimited: ``max_requests_exceeded`` or ``budget_exceeded``.
            Overloaded: when it cannot be counted.
        """
        caller.check_budgets()
        wall = self._clock.wall()
        answer: Grant | Denial = await counters.reserve(caller.claims(wall))
        if isinstance(answer, Denial):
            return answer
        if caller.max_requests is not None:
            try:
                await self._spend_one(caller)
            except BaseException:
                counters.withdraw(answer)
                raise
        used = self._used_of(caller)
        used.requests += 1
        used.last_at = wall
        return answer

    async def expect(self, caller: Caller, counters: ICounters, grant: Grant, tokens: int) -> Grant | Denial:
        """Count an admitted request anew, with the tokens that it is expected to take.

        One that has no room for them was never admitted.

        Raises:
            Overloaded: when it cannot be counted.
        """
        counters.withdraw(grant)
        try:
            answer: Grant | Denial = await counters.reserve(caller.claims(self._clock.wall()), tokens)
        except Overloaded:
            self._forget(caller)
            raise
        if isinstance(answer, Denial):
            self._forget(caller)
        return answer

    def _forget(self, caller: Caller) -> None:
        """Take back one request that was counted."""
        self._used_of(caller).requests -= 1
        if caller.max_requests is not None:
            caller.lease += 1
            self._leased[caller.id] = caller

    def over(self, caller: Caller, counters: ICounters, grant: Grant, record: Record, tokens: int) -> None:
        """Count what a request took; it is over.

        Args:
            caller, counters, grant: As it was admitted.
            record: What is known of it.
            tokens: That it took, or is expected to have taken where nobody counted.
        """
        counters.release(grant, tokens)
        if not tokens:
            return
        usage = record.usage
        cost = 0.0 if usage is None else self._prices.cost(record.upstream_model, usage) or 0.0
        used, view = self._used_of(caller), caller.project_view
        used.tokens += tokens
        used.cost += cost
        for one in (caller, view):
            one.tokens_used += tokens
            one.cost_used += cost
        tokens_before, cost_before = self._spent.get(view.id, (0, 0.0))
        self._spent[view.id] = tokens_before + tokens, cost_before + cost

    def _used_of(self, caller: Caller) -> Used:
        used = self._used.get(caller.id)
        if used is None:
            used = self._used[caller.id] = Used()
        return used

    # Caps.

    async def _spend_one(self, caller: Caller) -> None:
        while caller.lease <= 0:
            if self._clock.seconds() < caller.exhausted_until:
                raise RateLimited(
                    f"All {caller.max_requests} requests of the token are used up.", code="max_requests_exceeded"
                )
            await self._take(caller)
        caller.lease -= 1
        if not caller.lease:
            self._leased.pop(caller.id, None)

    def _take(self, caller: Caller) -> Deferred[None]:
        """Take a part of what is left of a cap; whoever wants one of it meanwhile waits along."""
        waiting: Deferred[None] = Deferred()
        taking = self._taking.get(caller.id)
        if taking is not None:
            taking.append(waiting)
            return waiting
        self._taking[caller.id] = [waiting]
        asked = Deferred.fromCoroutine(self._database().write(tokens.take, caller.id, SHARE))
        asked.addCallback(self._took, caller)
        asked.addErrback(_untaken)
        asked.addBoth(self._tell, caller)
        return waiting

    def _took(self, taken: tuple[int, int], caller: Caller) -> None:
        part, caller.unspent = taken
        caller.lease += part
        if part:
            self._leased[caller.id] = caller
        else:
            caller.exhausted_until = self._clock.seconds() + EXHAUSTED_S

    def _tell(self, result: Any, caller: Caller) -> None:
        for waiting in self._taking.pop(caller.id):
            waiting.callback(result)

    def _return(self, caller: Caller) -> None:
        """Give back what was taken and is not spent."""
        self._leased.pop(caller.id, None)
        if caller.lease > 0:
            self._used_of(caller).returned += caller.lease
            caller.unspent += caller.lease
            caller.lease = 0

    # Writing down.

    def _flush(self) -> None:
        self._call = self._clock.callLater(FLUSH_S, self._flush)
        for caller in [caller for caller in self._leased.values() if caller.id not in self._used]:
            # Not used since the last time: somebody else may want it.
            self._return(caller)
        if not self._writing:
            Deferred.fromCoroutine(self._write()).addErrback(self._failed)

    async def _write(self) -> None:
        used, spent, self._used, self._spent = self._used, self._spent, {}, {}
        if not (used or spent):
            return
        self._writing = True
        try:
            await self._database().write(_write, used, spent)
        except (StoreError, Overloaded) as error:
            self.log.warn("what tokens use is not written down for now: {reason}", reason=str(error))
            self._keep(used, spent)
        finally:
            self._writing = False

    def _keep(self, used: dict[str, Used], spent: dict[str, tuple[int, float]]) -> None:
        """Add what could not be written to what is to be."""
        for id, one in used.items():
            now = self._used.setdefault(id, Used())
            now.requests += one.requests
            now.last_at = max(now.last_at, one.last_at)
            now.tokens += one.tokens
            now.cost += one.cost
            now.returned += one.returned
        for id, (taken, cost) in spent.items():
            taken_now, cost_now = self._spent.get(id, (0, 0.0))
            self._spent[id] = taken_now + taken, cost_now + cost

    def _failed(self, failure: Failure) -> None:
        self.log.failure("what tokens use was not written down", failure)


def _write(connection: Any, used: dict[str, Used], spent: dict[str, tuple[int, float]]) -> None:
    tokens.use(connection, used)
    projects.spend(connection, [(id, taken, cost) for id, (taken, cost) in spent.items()])


def _untaken(failure: Failure) -> Any:
    if failure.check(StoreError):
        raise Overloaded(
            "The token's requests cannot be counted now.", code="store_unavailable", retry_after_s=5
        ) from failure.value
    return failure
