"""A turn of the reactor, step by step: what its sockets bring is done together, one kind of work after the other.

What is done for several requests in a row finds its code and data in the processor's caches; done between the reads of
two sockets it would find neither. Nothing waits longer than until the end of the turn it came in, and what one step
gives to a later one is done in the same turn.

This module must not know what is done.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

DISPATCH, ATTEMPT, ANSWER, COMMIT = range(4)
"""The steps, in their order: requests that have come find their resource; providers are chosen and asked; answers that
came whole are looked at; those that were looked at whole go to their clients."""

Act = Callable[[], object]
Later = Callable[[int, Act], None]
"""Takes a step, and what is to be done in it."""


def at_once(step: int, act: Act) -> None:
    """Do ``act`` now: the ``Later`` of whoever has no turns."""
    act()


class Turn:
    """What is to be done before a turn ends."""

    log = Logger()

    def __init__(self) -> None:
        self._steps: tuple[list[Act], ...] = tuple([] for _ in range(COMMIT + 1))
        self.waiting = False
        """Whether there is anything to be done."""

    def later(self, step: int, act: Act) -> None:
        """Have ``act`` done in ``step`` of this turn."""
        self.waiting = True
        self._steps[step].append(act)

    def run(self) -> None:
        """Do everything, what comes of it too."""
        while self.waiting:
            self.waiting = False
            for step in self._steps:
                for act in step:  # and whatever they add to it
                    try:
                        act()
                    except Exception:  # noqa: BLE001 - the border that Twisted has around a socket: the others' go on
                        self.log.failure("something that was to be done in this turn failed")
                step.clear()
