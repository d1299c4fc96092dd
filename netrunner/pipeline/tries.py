"""Who is asked for one exchange: candidates one after the other, each as often as it makes sense.

What an attempt holds (a place in a limit, a turn between calls, its target's count of requests in progress) is given
back in one place, ``release``, which the exchange calls at the end of each attempt and at its own.

This module must not build or send requests.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from netrunner.claims import Claim, Denial, Grant
from netrunner.errors import ExchangeError, Fault, Overloaded, RateLimited, UpstreamError, UpstreamRejected
from netrunner.pipeline.empty import EMPTY
from netrunner.routing.pool import MAX_CANDIDATES
from netrunner.routing.targets import Target, Verdict, is_down
from netrunner.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from netrunner.line import Waiting
    from netrunner.pipeline.exchange import Exchange
    from netrunner.pipeline.gap import Gap
    from netrunner.pipeline.shared import Pipeline
    from netrunner.routing.table import Candidate

_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods that cost nothing a second time (RFC 9110, 9.2.2)."""
_DONE, _TRUNCATED = Outcome.DONE, Outcome.UPSTREAM_TRUNCATED
_NONSENSE = frozenset({EMPTY, "upstream_invalid_response", "upstream_bad_encoding", "answer_too_large"})
"""Codes of answers that came, and are of no use."""


class Tries:
    """Who is asked for one exchange.

    Args:
        pipeline: What it runs through.
        exchange: What is asked for.
    """

    # What is rare is an attribute of the class until it is set: there is one of these for each exchange.

    wary = False
    """Whether an answer that says nothing is worth another try, and is therefore looked for."""
    insists = False
    """Whether the next candidate is asked however one has failed: another may do what this one cannot."""
    error: UpstreamError | None = None
    """How the latest attempt that failed did."""
    _failure: UpstreamError | None = None
    """The same, if it is the attempt that is made now."""
    _wait_s: float | None = None
    """What was decided about it."""
    _candidates: tuple[Candidate, ...] = ()
    _pooled = False
    """Whether candidates were chosen among several."""
    _index = 0
    """Of the candidate that is asked now, or next."""
    _failed = 0
    """Tries at it that have failed."""
    _again = False
    """Whether it is asked once more."""
    _before = 0
    """Attempts before the one that is made now."""
    _asked: tuple[str, ...] = ()
    """The providers that were asked, where that is counted."""
    _limited: RateLimited | None = None
    """What the candidate said that may be asked soonest, of those that are limited."""
    # What is held.
    _target: Target | None = None
    _began = 0.0
    _gap: Gap | None = None
    _turn: Grant | Waiting | None = None
    """Between calls of a provider: its own, or its place among those who wait for one."""
    _claim: Claim | None = None
    _grant: Grant | None = None
    _model_grant: Grant | None = None
    _waiting: IDelayedCall | None = None

    def __init__(self, pipeline: Pipeline, exchange: Exchange) -> None:
        self._pipeline = pipeline
        self._exchange = exchange

    def choose(self, candidates: tuple[Candidate, ...], name: str | None, body_bytes: int) -> Candidate | None:
        """Settle who may be asked.

        Args:
            candidates: Who serves the name.
            name: What is meant; None if no name is.
            body_bytes: Of the request.

        Returns:
            Who is asked, if there is only one and nobody counts; None if ``next`` tells.

        Raises:
            Overloaded: ``model_selection_error`` if nobody can be asked.
        """
        pipeline = self._pipeline
        choosing = pipeline.choosing
        pool = choosing.pools.get(name) if choosing.pools and name is not None else None
        if pool is not None:
            candidates = pool.order(pipeline.clock.seconds(), body_bytes)
            self._pooled = True
        self._candidates = candidates
        if choosing.claims and name is not None:
            self._claim = choosing.claims.get(name)
        if pool is not None or choosing.policy is not None:
            self.wary = True
            return None
        candidate = candidates[0]
        counted = self._claim is not None or candidate.claims or pipeline.providers[candidate.provider].gap is not None
        if counted or len(candidates) > 1:
            return None
        self._begin(candidate, pipeline.clock.seconds())
        return candidate

    def _begin(self, candidate: Candidate, now: float) -> None:
        target = self._pipeline.choosing.targets.all.get((candidate.provider, candidate.model))
        if target is not None:
            self._target, self._began = target, now
            target.begin(now)
            self._exchange.release = self.release

    async def next(self) -> Candidate | None:
        """Return who is asked now; None if the exchange does not want it any more.

        Raises:
            RateLimited: if everybody who is left is limited.
            UpstreamError: the latest, if nobody is left.
        """
        claim, self._claim = self._claim, None
        if claim is not None and not await self._admit_model(claim):
            return None
        again, self._again = self._again, False
        while self._index < len(self._candidates):
            candidate = self._candidates[self._index]
            if await self._admit(candidate, again):
                return candidate
            if self._exchange.outcome is not None:
                return None
            self._index += 1
            self._failed = 0
            again = False
        error: ExchangeError | None = self.error or self._limited
        if error is None:
            # Its breaker has opened in the meantime.
            error = Overloaded("Every target of the model is failing.", code="model_selection_error")
        error.exhausted = error.exhausted or len(self._exchange.attempts) > 1
        raise error

    async def _admit_model(self, claim: Claim) -> bool:
        """Count the request for its model; return whether the exchange still wants it."""
        granted = await self._reserve((claim,))
        if granted is not None:
            self._exchange.standings += granted.standings
        if isinstance(granted, Denial):
            raise _limited(granted)
        self._model_grant = granted
        if granted is not None:
            self._exchange.release = self.release
        return granted is not None

    async def _admit(self, candidate: Candidate, again: bool) -> bool:
        """Take all that an attempt at ``candidate`` has to hold; return whether it may begin."""
        pipeline, exchange = self._pipeline, self._exchange
        choosing = pipeline.choosing
        self._failure, self._before = None, len(exchange.attempts)
        now = pipeline.clock.seconds()
        target = choosing.targets.all.get((candidate.provider, candidate.model)) if self._pooled else None
        if target is not None and not target.admits(now):
            return False
        if self.wary and not again and not self._affords(candidate.provider, now):
            return False
        if candidate.claims:
            granted = await self._reserve(candidate.claims)
            if granted is None:
                return False
            if isinstance(granted, Denial):
                self._pass_over(_limited(granted))
                return False
            self._grant = granted
            exchange.release = self.release
        gap = pipeline.providers[candidate.provider].gap
        if gap is not None and not await self._entered(gap):
            return False
        self._begin(candidate, now)
        return True

    def _affords(self, provider: str, now: float) -> bool:
        """Count a request of a provider; return whether its budget allows one more, if it was asked before."""
        budget = self._pipeline.choosing.targets.budget(provider)
        if provider in self._asked:
            return budget.spend(now)
        self._asked = (*self._asked, provider)
        budget.asked(now)
        return True

    async def _reserve(self, claims: tuple[Claim, ...]) -> Grant | Denial | None:
        """Return what the counters say; None if the exchange does not want it any more."""
        counters = self._pipeline.choosing.counters
        assert counters is not None
        granted: Grant | Denial = await counters.reserve(claims, self._expected(claims))
        if self._exchange.outcome is not None:
            if isinstance(granted, Grant):
                counters.withdraw(granted)
            return None
        return granted

    def _expected(self, claims: tuple[Claim, ...]) -> int:
        """Return how many tokens the request is expected to take, if that is counted."""
        return self._exchange.expected() if any(claim.limits.counts_tokens for claim in claims) else 0

    def _pass_over(self, refusal: RateLimited) -> None:
        """Keep the refusal that is over soonest."""
        known = self._limited
        if known is None or _wait_of(refusal) < _wait_of(known):
            self._limited = refusal

    async def _entered(self, gap: Gap) -> bool:
        """Wait until one more call of a provider may begin; return whether it does."""
        exchange = self._exchange
        self._gap = gap
        exchange.release = self.release
        try:
            turn = await gap.enter(self._stand)
        except RateLimited as refusal:
            self._turn = None
            exchange.let_go()
            self._pass_over(refusal)
            return False
        if exchange.outcome is not None:
            if turn is not None:
                gap.leave(turn)
            return False
        self._turn = turn
        return True

    def _stand(self, waiting: Waiting) -> None:
        self._turn = self._exchange.notes[Tries] = waiting

    # After an attempt.

    def after(self, error: UpstreamError) -> float | None:
        """Return how many seconds later another try is made; None if that was the last.

        Asked twice about the same error it says the same. It may come before the attempt is given up.
        """
        if self.error is not error:
            self.error = self._failure = error
            self._failed += 1
            self._wait_s = self._decide(error)
            if self._wait_s is None:
                error.exhausted = error.exhausted or len(self._exchange.attempts) > 1
        return self._wait_s

    def _decide(self, error: UpstreamError) -> float | None:
        if not self._candidates or (error.fault is Fault.CALLER and not self.insists):
            return None
        policy = self._pipeline.choosing.policy
        exchange = self._exchange
        unanswered = error.sent and exchange.method not in _REPEATABLE and not _answers(error)
        unanswered_next = not unanswered or (policy is not None and policy.unanswered != "fail")
        more = self._more() and (unanswered_next or self.insists)
        wait_s = None if unanswered and policy is not None and policy.unanswered != "again" else self._same(error, more)
        if wait_s is not None:
            self._again = True
        elif more:
            self._index += 1
            self._failed = 0
            wait_s = 0.0
        if wait_s is not None and exchange.attempts and (unanswered or error.code in _NONSENSE):
            exchange.attempts[-1].possibly_billed = True
        return wait_s

    def _more(self) -> bool:
        enough = self.insists and len(self._exchange.attempts) >= MAX_CANDIDATES
        return self._index + 1 < len(self._candidates) and not enough

    def pass_over(self) -> bool:
        """Leave out the candidate that cannot be asked after all; return whether there is another."""
        more = self._more()
        self._index += 1
        self._failed = 0
        return more

    def _same(self, error: UpstreamError, more: bool) -> float | None:
        """Return how long to wait before the same candidate is asked again; None if it is not.

        A wait that a provider asks for is sat out only if there is nobody else to ask.
        """
        pipeline = self._pipeline
        choosing = pipeline.choosing
        policy, told_s = choosing.policy, error.retry_after_s
        if policy is None or not error.retryable or self._failed >= policy.attempts or pipeline.draining:
            return None
        if told_s is not None and (more or told_s > policy.max_delay_s):
            return None
        now = pipeline.clock.seconds()
        if not choosing.targets.budget(self._candidates[self._index].provider).spend(now):
            return None
        return max(policy.delay_s(self._failed, choosing.chance.random()), told_s or 0.0)

    def wait(self, wait_s: float, then: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Call ``then`` after a wait, which ends with the exchange; ``give_up`` instead if the daemon drains."""
        self._waiting = self._pipeline.clock.callLater(wait_s, self._waited, then)
        self._pipeline.waiting[self._exchange.id] = give_up
        self._exchange.release = self.release

    def _waited(self, then: Callable[[], None]) -> None:
        self._waiting = None
        self._pipeline.waiting.pop(self._exchange.id, None)
        then()

    def release(self) -> None:
        """Give back what is held, and take note of how the attempt went."""
        if self._turn is not None or self._waiting is not None:
            self._stop_waiting()
        target = self._target
        if target is not None:
            self._target = None
            self._tell(target)
        if self._grant is not None or self._model_grant is not None:
            self._settle()

    def _stop_waiting(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and self._gap is not None:
            self._gap.leave(turn)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            self._pipeline.waiting.pop(self._exchange.id, None)

    def _tell(self, target: Target) -> None:
        exchange, error = self._exchange, self._failure
        target.in_flight -= 1
        if error is not None:
            target.tell(_verdict(error), self._pipeline.clock.seconds(), error.retry_after_s)
        elif exchange.outcome is _DONE:
            first = exchange.timings.get("first_byte")
            target.answered(None if first is None else exchange.started + first - self._began)
        elif exchange.outcome is _TRUNCATED:
            target.tell(Verdict.DOWN, self._pipeline.clock.seconds())

    def _settle(self) -> None:
        """Say what was taken of limits; that of the model is held until the exchange has ended."""
        exchange, counters = self._exchange, self._pipeline.choosing.counters
        assert counters is not None
        tokens, failure = exchange.taken(), self._failure
        grant, self._grant = self._grant, None
        if grant is not None:
            if len(exchange.attempts) > self._before and (failure is None or failure.sent):
                counters.release(grant, tokens)
            else:
                counters.withdraw(grant)
        if self._model_grant is None:
            return
        if exchange.outcome is None:
            exchange.release = self.release
        else:
            grant, self._model_grant = self._model_grant, None
            if exchange.attempts:
                counters.release(grant, tokens)
            else:
                counters.withdraw(grant)


def _wait_of(refusal: RateLimited) -> float:
    return math.inf if refusal.retry_after_s is None else refusal.retry_after_s


def _limited(denial: Denial) -> RateLimited:
    what = denial.what.replace("_", " ")
    message = f"The limit of {denial.limit:g} {what} of {denial.scope} {denial.subject} is reached."
    return RateLimited(message, retry_after_s=denial.wait_s)


def _answers(error: UpstreamError) -> bool:
    """Return whether a failure is the provider's answer."""
    return isinstance(error, UpstreamRejected) or error.code in _NONSENSE


def _verdict(error: UpstreamError) -> Verdict:
    """Return what a failure tells of the target it came from."""
    if error.fault is Fault.CALLER:
        return Verdict.GOOD
    if error.code in _NONSENSE or error.code == "upstream_auth":
        return Verdict.POOR
    return Verdict.DOWN if is_down(error.status) or not _answers(error) else Verdict.POOR
