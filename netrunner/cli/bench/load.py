"""The load: requests begun as the schedule says, until it is over and all of them have ended.

This module must not know what requests say, nor what answers mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from netrunner.cli.bench.probe import Probe
from netrunner.cli.bench.schedule import Plan, Schedule
from netrunner.cli.bench.tally import Tally
from netrunner.cli.bench.targets import Target
from netrunner.interfaces import IClock
from netrunner.values import UpstreamRequest


class Load:
    """One run.

    Args:
        clock: Time.
        upstream: Sends requests.
        plan: What is to be sent.
        target: How answers are read.
        request: Returns the request of a number, counted from 1.
    """

    def __init__(
        self, clock: IClock, upstream: Any, plan: Plan, target: Target, request: Callable[[int], UpstreamRequest]
    ) -> None:
        self._clock = clock
        self._upstream = upstream
        self._schedule = Schedule(plan)
        self._target = target
        self._request = request
        self._calls: dict[Probe, Any] = {}
        self._timers: list[IDelayedCall] = []
        self._next: IDelayedCall | None = None
        self._began_s = 0.0
        self._done: Deferred[None] | None = None
        self.tally = Tally()
        self.plan = plan
        self.interrupted = False
        self.took_s = 0.0
        """From the beginning to the end of the last answer."""
        self.missed = 0
        """Requests that were due and have never begun."""

    def run(self) -> Deferred[None]:
        """Begin; the Deferred fires when the last request has ended."""
        self._began_s = self._clock.seconds()
        self._done = Deferred()
        done = self._done
        if self.plan.duration_s is not None:
            # Nothing else would end a run in which nobody answers before its time is up.
            self._timers.append(self._clock.callLater(self.plan.duration_s, self._go_on))
        self._go_on()
        return done

    @property
    def in_flight(self) -> int:
        """How many requests have begun and not ended."""
        return len(self._calls)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning; of a run that is over, those it took."""
        return self.took_s if self._done is None else self._clock.seconds() - self._began_s

    def interrupt(self) -> None:
        """Begin nothing more, give up what is under way uncounted, and end; idempotent."""
        if self._done is None:
            return
        self.interrupted = True
        calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.abort()
        self._end()

    def _go_on(self) -> None:
        """Begin what may begin, and end if nothing is left."""
        if self._done is None:
            return
        schedule = self._schedule
        while (due_s := schedule.take(self._clock.seconds() - self._began_s, len(self._calls))) is not None:
            self._begin(due_s)
        now_s = self._clock.seconds() - self._began_s
        if schedule.is_over(now_s):
            if not self._calls:
                self._end()
            return
        wait_s = schedule.wait_s(now_s, len(self._calls))
        if wait_s is not None and self._next is None:
            self._next = self._clock.callLater(wait_s, self._wake)

    def _wake(self) -> None:
        self._next = None
        self._go_on()

    def _begin(self, due_s: float) -> None:
        probe = Probe(self._target, self._clock.seconds, self._began_s + due_s, self._ended)
        self._calls[probe] = self._upstream.send(self._request(self._schedule.begun), probe)

    def _ended(self, probe: Probe) -> None:
        if self._calls.pop(probe, None) is None:
            return
        self.tally.add(probe.sample)
        self._go_on()

    def _end(self) -> None:
        done, self._done = self._done, None
        self.took_s = self._clock.seconds() - self._began_s
        self.missed = self._schedule.missed(self.took_s)
        for timer in (*self._timers, self._next):
            if timer is not None and timer.active():
                timer.cancel()
        self._next = None
        assert done is not None
        done.callback(None)
