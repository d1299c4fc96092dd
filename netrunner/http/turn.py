"""A turn of the reactor, step by step: what its sockets bring is done together, one kind of work after the other.

What is done for several requests in a row finds its code and data in the processor's caches; done between the reads of
two sockets it would find neither. Nothing waits longer than until the end of the turn it came in, and what one step
gives to a later one is done in the same turn.

This module must not know what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

DISPATCH, ATTEMPT, ANSWER, COMMIT = range(4)
"""The steps, in their order: requests that have come find their resource; providers are chosen and asked; answers that
came whole are looked at; those that were looked at whole go to their clients."""


class Party(Protocol):
    """Whoever has something to do in a turn."""

    def take_turn(self) -> object:
        """Do it."""

    def broken(self, failure: Failure) -> object:
        """It raised what nobody expects: log it, and end what it was done for, at once."""


Later = Callable[[int, Party], None]
"""Takes a step, and who has something to do in it."""


def at_once(step: int, party: Party) -> None:
    """Do it now: the ``Later`` of whoever has no turns."""
    party.take_turn()


class Turn:
    """What is to be done before a turn ends."""

    log = Logger()

    def __init__(self) -> None:
        self._steps: tuple[list[Party], ...] = tuple([] for _ in range(COMMIT + 1))
        self.waiting = False
        """Whether there is anything to be done."""

    def later(self, step: int, party: Party) -> None:
        """Let ``party`` do its part in ``step`` of this turn."""
        self.waiting = True
        self._steps[step].append(party)

    def run(self) -> None:
        """Do everything, what comes of it too."""
        while self.waiting:
            self.waiting = False
            for step in self._steps:
                for party in step:  # and whatever they add to it
                    try:
                        party.take_turn()
                    except Exception:  # noqa: BLE001 - the border that Twisted has around a socket: the others' go on
                        self._broken(party)
                step.clear()

    def _broken(self, party: Party) -> None:
        try:
            party.broken(Failure())
        except Exception:  # noqa: BLE001 - as above
            self.log.failure("what failed in this turn could not be ended")
