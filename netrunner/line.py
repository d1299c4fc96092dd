"""Requests that wait for their limits instead of being refused: a line for each subject, first come, first served.

This module must not know what is limited.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from netrunner.claims import Claim, Denial, Grant
from netrunner.interfaces import IClock, ICounters

Answered = Grant | Denial | None


class Waiting:
    """One request in a line."""

    __slots__ = ("_answer", "claim", "patience", "tokens")

    def __init__(self, claim: Claim, tokens: int) -> None:
        self.claim = claim
        self.tokens = tokens
        self.patience: IDelayedCall | None = None
        self._answer: Deferred[Answered] | None = Deferred()

    @property
    def over(self) -> bool:
        """Whether it waits no longer."""
        return self._answer is None

    def answered(self) -> Deferred[Answered]:
        """Return what fires at its end: with what it was answered, or None if it left."""
        assert self._answer is not None
        return self._answer

    def end(self, answer: Answered | Failure) -> None:
        """End its waiting, with an answer or without one."""
        deferred, self._answer = self._answer, None
        if self.patience is not None and self.patience.active():
            self.patience.cancel()
        if deferred is not None:
            deferred.callback(answer)


class Line:
    """Lets requests wait for counters that denied them.

    Args:
        counters: Who is asked, again and again, for whoever stands first.
        clock: Time.
        max_wait_s: Most seconds that one waits.
        max_waiting: Most that wait, in all lines together.
    """

    def __init__(self, counters: ICounters, clock: IClock, max_wait_s: float, max_waiting: int) -> None:
        self._counters = counters
        self._clock = clock
        self._max_wait_s = max_wait_s
        self._max_waiting = max_waiting
        self._lines: dict[str, deque[Waiting]] = {}
        self._again: dict[str, IDelayedCall] = {}
        """When the first of a line is tried again."""
        self._asking: set[str] = set()
        """Lines whose first is being asked for."""
        self.waiting = 0

    async def admit(self, claim: Claim, tokens: int, stands: Callable[[Waiting], None]) -> Answered:
        """Return a grant, now or when it is this one's turn; a denial if that takes too long; None if it left.

        Args:
            claim: What is asked for; whoever waits for the same subject goes first.
            tokens: As of ``ICounters.reserve``.
            stands: Told if it has to wait, so that ``leave`` can be called.
        """
        line = self._lines.get(claim.subject)
        denial: Denial | None = None
        if not line:
            answer: Grant | Denial = await self._counters.reserve((claim,), tokens)
            if not isinstance(answer, Denial) or answer.wait_s is None or answer.wait_s > self._max_wait_s:
                return answer
            denial = answer
        if self.waiting >= self._max_waiting:
            return denial or Denial(claim.scope, claim.subject, "queue", self._max_waiting, self._max_wait_s)
        waiting = Waiting(claim, tokens)
        waiting.patience = self._clock.callLater(self._max_wait_s, self._give_up, waiting, denial)
        self._lines.setdefault(claim.subject, deque()).append(waiting)
        self.waiting += 1
        stands(waiting)
        if denial is not None and denial.wait_s is not None:
            self._try_later(claim.subject, denial.wait_s)
        return await waiting.answered()

    def leave(self, waiting: Waiting) -> None:
        """Whoever waits does not want to any more."""
        self._remove(waiting)
        waiting.end(None)
        self.freed(waiting.claim.subject)

    def freed(self, subject: str) -> None:
        """There may be room for one more of ``subject``."""
        if subject in self._lines:
            self._ask(subject)

    def _give_up(self, waiting: Waiting, denial: Denial | None) -> None:
        self._remove(waiting)
        claim = waiting.claim
        waiting.end(denial or Denial(claim.scope, claim.subject, "queue", self._max_waiting, self._max_wait_s))
        self.freed(claim.subject)

    def _remove(self, waiting: Waiting) -> None:
        subject = waiting.claim.subject
        line = self._lines.get(subject)
        if line is None or waiting not in line:
            return
        line.remove(waiting)
        self.waiting -= 1
        if not line:
            del self._lines[subject]
            if (call := self._again.pop(subject, None)) is not None:
                call.cancel()

    def _try_later(self, subject: str, wait_s: float) -> None:
        if (call := self._again.pop(subject, None)) is not None:
            call.cancel()
        self._again[subject] = self._clock.callLater(wait_s, self._come_again, subject)

    def _come_again(self, subject: str) -> None:
        del self._again[subject]
        self._ask(subject)

    def _ask(self, subject: str) -> None:
        """Ask for whoever stands first, and go on as long as that succeeds."""
        if subject not in self._asking:
            self._asking.add(subject)
            asked = Deferred.fromCoroutine(self._serve(subject))
            asked.addErrback(functools.partial(self._failed, subject))

    async def _serve(self, subject: str) -> None:
        try:
            while line := self._lines.get(subject):
                first = line[0]
                answer: Grant | Denial = await self._counters.reserve((first.claim,), first.tokens)
                if isinstance(answer, Denial) and answer.wait_s is not None and not first.over:
                    self._try_later(subject, answer.wait_s)
                    return
                if first.over:
                    if isinstance(answer, Grant):
                        self._counters.withdraw(answer)
                    continue
                self._remove(first)
                first.end(answer)
        finally:
            self._asking.discard(subject)

    def _failed(self, subject: str, failure: Failure) -> None:
        """Counters cannot be asked: whoever stands first is told, the others as they come to stand there."""
        line = self._lines.get(subject)
        if line:
            first = line[0]
            self._remove(first)
            first.end(failure)
            self._ask(subject)
