"""What a process does once: the collector's pace, the reactor's way to an event, and the clock of delayed calls.

The first two make each request cost less; both are measured in ``docs/decisions/0006``. This module must not change
what any of them does.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.epollreactor import EPollReactor

MAX_EVENTS = 512
"""Sockets looked at in one turn; the kernel's list is made anew for each."""
COLLECT_AFTER = (10_000, 20, 20)
"""Objects made and not freed before the youngest are looked at; then rounds until the elder are."""


def steady_time(reactor: Any) -> None:
    """Have delayed calls go by the monotonic clock; what is to be called already keeps its delay.

    Twisted's go by the wall clock: after that is put back by an hour, nobody would be called for an hour.
    """
    if not isinstance(reactor, ReactorBase):
        return
    shift = time.monotonic() - reactor.seconds()
    for call in [*reactor._pendingTimedCalls, *reactor._newTimedCalls]:
        call.time += shift
        call.seconds = time.monotonic
    reactor.seconds = time.monotonic


def settle_memory() -> None:
    """Take what the start has made out of the collector's sight, and let it look less often.

    Nothing of it dies before the process does. What requests make dies by reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def shorten_loop(reactor: Any, end_turn: Callable[[], None]) -> bool:
    """Let an epoll reactor call its sockets directly instead of each within a logging context.

    The context names the socket for log lines of Twisted's old logger; nothing here writes any. Errors are
    caught and logged where they are without it, in ``_doReadOrWrite``. Any other reactor is left alone.

    Args:
        reactor: That of the process.
        end_turn: Called in every turn after the timers and after the sockets; must not raise.

    Returns:
        Whether it was done.
    """
    if type(reactor) is not EPollReactor:
        return False
    poll: Callable[[float, int], list[tuple[int, int]]] = reactor._poller.poll
    sockets: dict[int, Any] = reactor._selectables
    act: Callable[[Any, int, int], None] = reactor._doReadOrWrite

    def iterate(timeout: float | None) -> None:
        end_turn()
        # Python has repeated an interrupted wait by itself since 3.5 (PEP 475).
        for descriptor, event in poll(-1 if timeout is None else timeout, MAX_EVENTS):
            socket = sockets.get(descriptor)
            if socket is not None:
                act(socket, descriptor, event)
        end_turn()

    reactor.doIteration = iterate  # type: ignore[method-assign]  # looked up by mainLoop at each turn
    return True
