"""Wrong credentials, counted: their answers come no faster than ten a minute for an account and for an address.

A right one is never kept waiting, and a wrong one is told nothing else than ever; it is told late. Who tries on
meanwhile is not answered at all.

This module must not compare credentials.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from netrunner.interfaces import IClock

PER_MINUTE = 10
WINDOW_S = 60.0
MAX_HELD = 64
"""Answers that wait, of everybody together: each keeps a connection open."""
MAX_KEYS = 4096
"""Accounts and addresses that are told apart; the one longest unheard of is forgotten."""


class Tries:
    """Counts wrong credentials.

    Args:
        clock: Time.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._answers: OrderedDict[str, deque[float]] = OrderedDict()
        """When the last of them are answered, by account or address."""
        self._held: dict[Deferred[None], IDelayedCall] = {}
        self._closed = False

    @property
    def held(self) -> int:
        """How many answers wait."""
        return len(self._held)

    def failed(self, *whose: str) -> Deferred[None] | None:
        """Count one wrong credential.

        Args:
            whose: The account and the address it counts for.

        Returns:
            What fires when it may be answered; None if it may not be at all.
        """
        now = self._clock.seconds()
        answers = [self._answers_of(one) for one in whose]
        at = max([now, *(one[0] + WINDOW_S for one in answers if len(one) == PER_MINUTE)])
        waiting: Deferred[None] = Deferred()
        if at > now:
            if self._closed or at - now > WINDOW_S or len(self._held) >= MAX_HELD:
                return None
            self._held[waiting] = self._clock.callLater(at - now, self._let_go, waiting)
        else:
            waiting.callback(None)
        for one in answers:
            one.append(at)
        return waiting

    def close(self) -> None:
        """Let nobody wait any more, from now on either: an end does not wait for them; idempotent."""
        self._closed = True
        for waiting, call in list(self._held.items()):
            call.cancel()
            self._let_go(waiting)

    def _let_go(self, waiting: Deferred[None]) -> None:
        del self._held[waiting]
        waiting.callback(None)

    def _answers_of(self, whose: str) -> deque[float]:
        found = self._answers.get(whose)
        if found is None:
            found = self._answers[whose] = deque(maxlen=PER_MINUTE)
            if len(self._answers) > MAX_KEYS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(whose)
        return found
