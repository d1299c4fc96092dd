"""What happens now: a feed of every exchange that begins, is routed and ends, and the tail of one while it flows.

Each as Server-Sent Events and as a WebSocket. This module must not look into records that are written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.errors import NotFound, Overloaded
from netrunner.http.outbox import EventStream, Outbox
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.pipeline.live import Live
from netrunner.values import Answer, Record
from netrunner.web import websocket
from netrunner.web.alerts import Watch
from netrunner.web.gate import Gate, Guarded
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.rows import newest_first, row_in_progress
from netrunner.web.tellers import Teller, Watcher

MAX_ONLOOKERS = 100
"""Feeds and tails at once."""
LOOK_S = 0.5
"""Between two looks whether a session goes on that somebody looks on by."""


class Onlookers:
    """Everybody who looks on: there is a bound, and all can be sent home.

    Args:
        clock: For those who look on, and for keepalives.
    """

    def __init__(self, clock: IClock) -> None:
        self.clock = clock
        self.goes_on: Callable[[Request], bool | None] = lambda request: None
        """Returns whether the session goes on that let a request in; None if none did."""
        self._open: set[Outbox] = set()
        self._missed = 0
        """By those who are gone."""

    def admit(self, request: Request, closed: Callable[[], None], asked: Callable[[str], None] | None) -> Outbox:
        """Return the way to one more, counted but not begun: a stream of events, or a WebSocket.

        Whoever asked keeps it, calls ``begin``, and looks whether it ``is_open``: a browser's first word, or its last,
        may come with the handshake.

        Args:
            request: What is answered.
            closed: Called once, when it is over.
            asked: Hears what a WebSocket says; None where there is none.

        Raises:
            Overloaded: when there are ``MAX_ONLOOKERS``.
            BadRequest, Forbidden: for a handshake that is none, or of another host's page.
        """
        if len(self._open) >= MAX_ONLOOKERS:
            raise Overloaded("Too many look on already.", code="too_many_onlookers", retry_after_s=5)

        looking: list[IDelayedCall] = []

        def look() -> None:
            looking.clear()
            if self.goes_on(request) is False:
                outbox.end()
            else:
                looking.append(self.clock.callLater(LOOK_S, look))

        def over() -> None:
            for call in looking:
                call.cancel()
            looking.clear()
            if outbox in self._open:
                self._open.remove(outbox)
                self._missed += outbox.missed
            closed()

        outbox: EventStream | websocket.WebSocket
        if asked is None:
            outbox = EventStream(request, self.clock, over)
        else:
            key = websocket.check(request)
            outbox = websocket.WebSocket(request, self.clock, over, asked, key)
        self._open.add(outbox)
        if self.goes_on(request) is not None:
            looking.append(self.clock.callLater(LOOK_S, look))
        return outbox

    def close(self) -> None:
        """Send everybody home."""
        for outbox in list(self._open):
            outbox.end()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def missed(self) -> int:
        """How many events were left out for those too slow for them."""
        return self._missed + sum(outbox.missed for outbox in self._open)


class Feed(Guarded):
    """Every exchange as it begins, is routed and ends.

    Args:
        gate: Who is let in.
        live: What is in progress.
        onlookers: Those who look on.
        sockets: Whether this is the WebSocket.
        neighbours: What goes on in other processes.
        watch: Sees what an operator has to know; None where nobody does.
    """

    log = Logger()

    def __init__(
        self,
        gate: Gate,
        live: Live,
        onlookers: Onlookers,
        sockets: bool,
        neighbours: Neighbours = ALONE,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(gate)
        self._live = live
        self._onlookers = onlookers
        self._sockets = sockets
        self._neighbours = neighbours
        self._watch = watch

    async def answer(self, request: Request) -> Answer | None:
        """Begin to tell."""
        teller = Teller(self._live, self._onlookers.clock)
        elsewhere: list[Callable[[], None]] = []

        def asked(what: str) -> None:
            if what == "ping":
                teller.outbox.put("pong", {})
            elif what == "refresh":
                Deferred.fromCoroutine(self._update(teller)).addErrback(
                    lambda failure: self.log.failure("an onlooker was not told what is in progress", failure)
                )

        def closed() -> None:
            teller.leave()
            for leave in elsewhere:
                leave()

        teller.outbox = self._onlookers.admit(request, closed, asked if self._sockets else None)
        teller.outbox.begin()
        if teller.outbox.is_open:
            elsewhere.append(self._neighbours.follow(teller.outbox))
            if self._watch is not None:
                watch = self._watch
                elsewhere.append(watch.follow(lambda *_: teller.outbox.put("alerts", {"alerts": watch.seen})))
            await self._update(teller)
        if teller.outbox.is_open:
            teller.follow()
        return None

    async def _update(self, teller: Teller) -> None:
        elsewhere = await self._neighbours.in_progress()
        here = [row_in_progress(exchange) for exchange in self._live.inflight.values()]
        teller.outbox.put("dashboard_update", {"inflight": newest_first(here[::-1], elsewhere)})


class Tail:
    """One exchange while it flows; answers by ``open``.

    Args:
        live: What is in progress.
        ended: Finds the record of one that has ended, or raises ``NotFound``.
        onlookers: Those who look on.
        neighbours: What goes on in other processes.
    """

    def __init__(
        self,
        live: Live,
        ended: Callable[[str], Awaitable[Record]],
        onlookers: Onlookers,
        neighbours: Neighbours = ALONE,
    ) -> None:
        self._live = live
        self._ended = ended
        self._onlookers = onlookers
        self._neighbours = neighbours

    async def open(self, request: Request, id: str, sockets: bool) -> None:
        """Show the rest of an exchange; of one that has ended, its end.

        Raises:
            NotFound: when there is none of that id.
        """
        here = id in self._live.inflight
        away = not here and await self._neighbours.progress(id) is not None
        ended = None if here or away else await self._ended(id)
        watcher = Watcher()
        elsewhere: list[Callable[[], None]] = []

        def closed() -> None:
            self._live.unwatch(id, watcher)
            for leave in elsewhere:
                leave()

        def asked(what: str) -> None:
            if what == "ping":
                watcher.outbox.put("pong", {})

        watcher.outbox = self._onlookers.admit(request, closed, asked if sockets else None)
        watcher.outbox.begin()
        if ended is not None:
            watcher.ended(ended)
        elif away and watcher.outbox.is_open:
            elsewhere.append(self._neighbours.tail(id, watcher.outbox))
        elif watcher.outbox.is_open and not self._live.watch(id, watcher):
            watcher.outbox.end()


async def end(live: Live, id: str, neighbours: Neighbours = ALONE) -> dict[str, Any]:
    """End an exchange in progress, wherever it is.

    Raises:
        NotFound: when there is none of that id.
    """
    if not live.end(id) and not await neighbours.end(id):
        raise NotFound(f"No request {id!r} is in progress.", code="not_found")
    return {"id": id, "ended": True}
