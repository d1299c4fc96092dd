"""Requests that wait for their limits instead of being refused: a line for each subject, first come, first served.

Where counters are shared, so are the lines: whoever came first goes first, whichever process it came to.

This module must not know what is limited.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import Interface

from netrunner.claims import Claim, Denial, Grant
from netrunner.interfaces import IClock, ICounters

Answered = Grant | Denial | None
QUEUE, CONCURRENCY = "queue", "concurrency"
"""The limit that a full line tells, and the one whose end nobody knows in advance."""
LOOK_S = 5.0
"""How often the first of a shared line looks by itself: for places whose process died, which tell nobody."""


class ISharesLines(Interface):
    """Counters that keep lines for several processes."""

    def place(claim: Claim, call: Callable[[], object]) -> Any:  # noqa: N805 - an interface's method
        """Return a place for one that may have to wait; ``call`` is called whenever it may be its turn."""

    async def take_turn(
        place: Any,  # noqa: N805 - an interface's method
        claim: Claim,
        tokens: int,
        max_waiting: int,
        patience_s: float,
    ) -> Grant | Denial | None:
        """Admit one if nobody goes before it.

        Returns:
            A grant; a denial, after which it stands in the line if it was in time for ``patience_s``; or None where
            others go first, and it stands behind them. Its place is given up with a grant, with a denial that takes
            longer, and where more than ``max_waiting`` would stand there.

        Raises:
            Overloaded: as ``ICounters.reserve``.
        """

    def leave(place: Any) -> None:  # noqa: N805 - an interface's method
        """Give a place up; idempotent."""


def line_of(counters: ICounters, clock: IClock, max_wait_s: float, max_waiting: int) -> Line | SharedLine:
    """Return a line for what these counters count; arguments as of ``Line``."""
    if ISharesLines.providedBy(counters):
        return SharedLine(counters, clock, max_wait_s, max_waiting)
    return Line(counters, clock, max_wait_s, max_waiting)


class Waiting:
    """One request in a line."""

    __slots__ = ("_answer", "claim", "company", "patience", "tokens")

    def __init__(self, claim: Claim, tokens: int) -> None:
        self.claim = claim
        self.tokens = tokens
        self.patience: IDelayedCall | None = None
        self.company: Callable[[], object] | None = None
        """Told at its end: whoever keeps its caller company."""
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
        if self.company is not None:
            self.company()
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
        self._reasons: dict[str, Denial] = {}
        """What the first of each line waits for, and with it the others."""
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
            return denial or Denial(claim.scope, claim.subject, QUEUE, self._max_waiting, self._max_wait_s)
        waiting = Waiting(claim, tokens)
        waiting.patience = self._clock.callLater(self._max_wait_s, self._give_up, waiting)
        self._lines.setdefault(claim.subject, deque()).append(waiting)
        if denial is not None:
            self._reasons[claim.subject] = denial
        self.waiting += 1
        answered = waiting.answered()
        stands(waiting)
        if denial is not None and denial.wait_s is not None and not waiting.over:
            self._try_later(claim.subject, denial.wait_s)
        return await answered

    def leave(self, waiting: Waiting) -> None:
        """Whoever waits does not want to any more."""
        self._remove(waiting)
        waiting.end(None)
        self.freed(waiting.claim.subject)

    def freed(self, subject: str) -> None:
        """There may be room for one more of ``subject``."""
        if subject in self._lines:
            self._ask(subject)

    def _give_up(self, waiting: Waiting) -> None:
        reason = self._reasons[waiting.claim.subject]
        self._remove(waiting)
        waiting.end(reason)
        self.freed(waiting.claim.subject)

    def _remove(self, waiting: Waiting) -> None:
        subject = waiting.claim.subject
        line = self._lines.get(subject)
        if line is None or waiting not in line:
            return
        line.remove(waiting)
        self.waiting -= 1
        if not line:
            del self._lines[subject], self._reasons[subject]
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
                    self._reasons[subject] = answer
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


class _Standing(Waiting):
    """One request in a shared line."""

    __slots__ = ("again", "asking", "called", "denial", "place")

    def __init__(self, claim: Claim, tokens: int) -> None:
        super().__init__(claim, tokens)
        self.place: Any = None
        self.denial: Denial | None = None
        """What it was told last."""
        self.again: IDelayedCall | None = None
        """When it looks by itself."""
        self.asking = True
        self.called = False
        """Whether it was called while it asked."""

    def end(self, answer: Answered | Failure) -> None:
        if self.again is not None and self.again.active():
            self.again.cancel()
        super().end(answer)


class SharedLine:
    """Lets requests wait in the lines of all processes, and in one of this process while nothing is shared.

    Args:
        counters: Who keeps the lines, an ``ISharesLines`` too.
        clock, max_wait_s: As of ``Line``.
        max_waiting: Most that wait in this process, and in one line of all processes.
    """

    def __init__(self, counters: Any, clock: IClock, max_wait_s: float, max_waiting: int) -> None:
        self._counters = counters
        self._clock = clock
        self._max_wait_s = max_wait_s
        self._max_waiting = max_waiting
        self._alone = Line(counters, clock, max_wait_s, max_waiting)
        self._standing = 0

    @property
    def waiting(self) -> int:
        """How many of this process wait."""
        return self._standing + self._alone.waiting

    async def admit(self, claim: Claim, tokens: int, stands: Callable[[Waiting], None]) -> Answered:
        """As ``Line.admit``."""
        one = _Standing(claim, tokens)
        one.place = self._counters.place(claim, functools.partial(self._called, one))
        most = self._max_waiting if self.waiting < self._max_waiting else 0
        answer: Grant | Denial | None = await self._counters.take_turn(one.place, claim, tokens, most, self._max_wait_s)
        if isinstance(answer, Grant):
            return answer
        if not self._counters.available:
            return await self._alone.admit(claim, tokens, stands)
        if answer is not None and (not most or answer.wait_s is None or answer.wait_s > self._max_wait_s):
            return answer
        if answer is not None and answer.what == QUEUE:
            return answer
        one.denial = answer
        one.patience = self._clock.callLater(self._max_wait_s, self._give_up, one)
        self._standing += 1
        answered = one.answered()
        stands(one)
        self._wait(one, answer)
        return await answered

    def leave(self, waiting: Waiting) -> None:
        """Whoever waits does not want to any more."""
        if isinstance(waiting, _Standing):
            self._end(waiting, None)
        else:
            self._alone.leave(waiting)

    def freed(self, subject: str) -> None:
        """There may be room for one more of ``subject``; who stands first in a shared line is called by itself."""
        self._alone.freed(subject)

    def _end(self, one: _Standing, answer: Answered | Failure) -> None:
        if not one.over:
            self._standing -= 1
            self._counters.leave(one.place)
            one.end(answer)

    def _give_up(self, one: _Standing) -> None:
        claim = one.claim
        full = Denial(claim.scope, claim.subject, QUEUE, self._max_waiting, self._max_wait_s)
        self._end(one, one.denial or full)

    def _called(self, one: _Standing) -> None:
        one.called = True
        if not one.asking and not one.over:
            self._ask(one)

    def _wait(self, one: _Standing, denial: Denial | None) -> None:
        """Wait to be called; who stands first looks by itself as well, when its window opens."""
        one.asking = False
        if one.over:
            return
        if one.called:
            self._ask(one)
        elif denial is not None and denial.wait_s is not None:
            wait_s = LOOK_S if denial.what == CONCURRENCY else denial.wait_s
            one.again = self._clock.callLater(wait_s, self._called, one)

    def _ask(self, one: _Standing) -> None:
        one.asking, one.called = True, False
        if one.again is not None and one.again.active():
            one.again.cancel()
        asked = Deferred.fromCoroutine(self._take_turn(one))
        asked.addErrback(lambda failure: self._end(one, failure))

    async def _take_turn(self, one: _Standing) -> None:
        answer = await self._counters.take_turn(one.place, one.claim, one.tokens, self._max_waiting, math.inf)
        if one.over:
            if isinstance(answer, Grant):
                self._counters.withdraw(answer)
            return
        if isinstance(answer, Grant) or (answer is not None and answer.wait_s is None):
            self._end(one, answer)
            return
        one.denial = answer or one.denial
        self._wait(one, answer)
