"""What an operator has to know now, for pages: looked for in the figures of all processes, and told as JSON.

Each process that tells looks for itself, and at all of them: when it is asked, and now and then as long as somebody
wants to be told. What differs is when it saw something first.

This module must not know which conditions there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.alerts import Alert, Alerts, Figure
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.process.control import Commands, NoArguments, Reply
from netrunner.times import stamp
from netrunner.values import Answer
from netrunner.web.gate import Gate, Guarded, ends_here
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.pages import JSON

LOOK_S = 5.0
"""How often it is looked while somebody wants to be told."""
FRESH_S = 1.0
"""For how long what was seen answers whoever asks."""
FIGURES = "figures"
"""The command by which processes ask each other."""
Told = Callable[[Sequence[Alert], Sequence[Alert]], object]
"""Hears what has begun and what has ended."""


class Watch:
    """Looks for what is the case.

    Args:
        own: Returns the figures of this process.
        clock: Time.
        neighbours: The other processes.
    """

    _log = Logger()

    def __init__(self, own: Callable[[], Sequence[Figure]], clock: IClock, neighbours: Neighbours = ALONE) -> None:
        self._own = own
        self._clock = clock
        self._neighbours = neighbours
        self._alerts = Alerts()
        self._seen_at = float("-inf")
        self._followers: list[Told] = []
        self._looking: IDelayedCall | None = None

    def offer(self, commands: Commands) -> None:
        """Let the other processes ask for the figures of this one."""
        commands.add(FIGURES, NoArguments, lambda _: Reply({"figures": self._own()}))

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What was the case at the last look, as programs and pages are told it."""
        return [row(alert) for alert in self._alerts.standing]

    async def rows(self) -> list[dict[str, Any]]:
        """Return what is the case now."""
        if self._clock.seconds() - self._seen_at >= FRESH_S:
            await self._look()
        return self.seen

    def follow(self, told: Told) -> Callable[[], None]:
        """Tell of what begins and ends, until the function returned is called."""
        self._followers.append(told)
        if self._looking is None:
            self._looking = self._clock.callLater(LOOK_S, self._tick)

        def leave() -> None:
            if told in self._followers:
                self._followers.remove(told)
            if not self._followers and self._looking is not None:
                self._looking.cancel()
                self._looking = None

        return leave

    def _tick(self) -> None:
        self._looking = self._clock.callLater(LOOK_S, self._tick)
        Deferred.fromCoroutine(self._look()).addErrback(
            lambda failure: self._log.failure("what is the case could not be seen", failure)
        )

    async def _look(self) -> None:
        elsewhere = await self._neighbours.ask(FIGURES)
        figures = msgspec.convert([one for answer in elsewhere for one in answer["figures"]], list[Figure])
        begun, ended = self._alerts.look([*self._own(), *figures], self._clock.wall())
        self._seen_at = self._clock.seconds()
        if begun or ended:
            for told in list(self._followers):
                told(begun, ended)


def row(alert: Alert) -> dict[str, Any]:
    """Return what is told of an alert."""
    return {**msgspec.structs.asdict(alert), "since": stamp(alert.since)}


class AlertsPage(Guarded):
    """``/api/health/alerts``.

    Args:
        gate: Who is let in.
        watch: Sees what is the case.
    """

    def __init__(self, gate: Gate, watch: Watch) -> None:
        super().__init__(gate)
        self._watch = watch

    async def answer(self, request: Request) -> Answer | None:
        """Tell everything."""
        ends_here(request)
        body = msgspec.json.encode({"alerts": await self._watch.rows()})
        return Answer(200, [*JSON, (b"cache-control", b"no-store")], body)
