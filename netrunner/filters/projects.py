"""Tokens of projects: the filter that ``access.mode: projects`` puts before all others.

This module must not know where tokens are kept.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from netrunner.claims import Denial
from netrunner.errors import Forbidden, RateLimited
from netrunner.filters.credential import Credential
from netrunner.interfaces import IAttemptPhase, ICallers, IClock, ICounters, IFinishPhase, IHeadPhase
from netrunner.values import Outcome, UpstreamRequest

_PROXY = b"x-proxy-"


@implementer(IHeadPhase, IAttemptPhase, IFinishPhase)
class Projects:
    """Refuses every request without a token that is valid now.

    Args:
        callers: Knows tokens.
        counters: Count what they may use.
        clock: Time.
        header: The only field a token may come in; any usual one when None.
    """

    def __init__(self, callers: ICallers, counters: ICounters, clock: IClock, header: str | None = None) -> None:
        self._callers = callers
        self._counters = counters
        self._wall = clock.wall
        self._credential = Credential(header)

    async def on_head(self, exchange: Any) -> None:
        """Find out who calls, and whether he may; then the request counts."""
        callers = self._callers
        given = self._credential.of(exchange)
        caller = callers.known(given)
        if caller is None:
            caller = await callers.ask(given)
            if exchange.outcome is not None:
                return
        exchange.caller, exchange.identity, exchange.holder = caller.masked, caller.id, caller
        caller.check(self._wall())
        if caller.metadata:
            _check_metadata(exchange, caller.metadata)
        self._credential.strip(exchange)
        answer = await callers.admit(caller, self._counters)
        exchange.standings += answer.standings
        if isinstance(answer, Denial):
            raise _limited(answer)
        if exchange.outcome is None:
            exchange.notes[self] = answer
        else:
            callers.over(caller, self._counters, answer, exchange.record(), 0)

    async def on_attempt(self, exchange: Any, request: UpstreamRequest) -> None:
        """See that what was let in is still: a body may have taken its time, and tells what is to be expected."""
        caller = exchange.holder
        caller.check(self._wall())
        if not exchange.attempts:
            caller.check_model(exchange.model)
        if caller.counts_tokens and not exchange.attempts:
            await self._expect(exchange)

    async def _expect(self, exchange: Any) -> None:
        """Count the request anew, with the tokens that it is expected to take."""
        caller, before = exchange.holder, exchange.notes.pop(self)
        answer = await self._callers.expect(caller, self._counters, before, exchange.expected())
        others = tuple(one for one in exchange.standings if one not in before.standings)
        exchange.standings = others + answer.standings
        if isinstance(answer, Denial):
            raise _limited(answer)
        if exchange.outcome is None:
            exchange.notes[self] = answer
        else:
            self._callers.over(caller, self._counters, answer, exchange.record(), 0)

    def on_finish(self, exchange: Any, outcome: Outcome) -> None:
        """Tell what a request took that was counted."""
        grant = exchange.notes.pop(self, None)
        if grant is not None:
            caller, tokens = exchange.holder, exchange.taken()
            if tokens is None:
                tokens = exchange.expected() if caller.counts_tokens else 0
            self._callers.over(caller, self._counters, grant, exchange.record(), tokens)


def _limited(denial: Denial) -> RateLimited:
    message = f"The {denial.scope}'s limit {denial.what} of {denial.limit:g} is reached."
    never = ((b"x-should-retry", b"false"),) if denial.wait_s is None else ()
    return RateLimited(message, retry_after_s=denial.wait_s, headers=never)


def _check_metadata(exchange: Any, metadata: Any) -> None:
    """See that the fields ``X-PROXY-<NAME>`` say what the token's metadata do; they go no further."""
    for name, value in metadata.items():
        if exchange.header(_PROXY + name.encode()) != value.encode():
            raise Forbidden(
                f"The field X-PROXY-{name.upper()} is not what the token asks for.", code="metadata_mismatch"
            )
    exchange.headers = [field for field in exchange.headers if not field[0].startswith(_PROXY)]
