"""What happens now: a feed of every exchange that begins and ends, and the tail of one while it flows.

Each as Server-Sent Events and as a WebSocket. This module must not look into records that are written.
"""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable
from typing import Any

from zope.interface import implementer

from netrunner.errors import NotFound, Overloaded
from netrunner.http.request import Request
from netrunner.interfaces import IClock, IWatcher
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.live import Live
from netrunner.values import Answer, MessageHead, Record
from netrunner.web import websocket
from netrunner.web.gate import Gate, Guarded
from netrunner.web.outbox import EventStream, Outbox
from netrunner.web.rows import row, row_in_progress

MAX_ONLOOKERS = 100
"""Feeds and tails at once."""


class Onlookers:
    """Everybody who looks on: there is a bound, and all can be sent home.

    Args:
        clock: For keepalives.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
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

        def over() -> None:
            if outbox in self._open:
                self._open.remove(outbox)
                self._missed += outbox.missed
            closed()

        outbox: EventStream | websocket.WebSocket
        if asked is None:
            outbox = EventStream(request, self._clock, over)
        else:
            key = websocket.check(request)
            outbox = websocket.WebSocket(request, self._clock, over, asked, key)
        self._open.add(outbox)
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
    """Every exchange as it begins and ends.

    Args:
        gate: Who is let in.
        live: What is in progress.
        onlookers: Those who look on.
        sockets: Whether this is the WebSocket.
    """

    def __init__(self, gate: Gate, live: Live, onlookers: Onlookers, sockets: bool) -> None:
        super().__init__(gate)
        self._live = live
        self._onlookers = onlookers
        self._sockets = sockets

    async def answer(self, request: Request) -> Answer | None:
        """Begin to tell."""
        teller = Teller()

        def asked(what: str) -> None:
            if what == "ping":
                teller.outbox.put("pong", {})
            elif what == "refresh":
                self._update(teller)

        def closed() -> None:
            self._live.unfollow(teller)

        teller.outbox = self._onlookers.admit(request, closed, asked if self._sockets else None)
        teller.outbox.begin()
        if teller.outbox.is_open:
            self._update(teller)
            self._live.follow(teller, teller.began)
        return None

    def _update(self, teller: Teller) -> None:
        inflight = [row_in_progress(exchange) for exchange in self._live.inflight.values()]
        teller.outbox.put("dashboard_update", {"inflight": inflight[::-1]})


class Teller:
    """Follows what is in progress, for one who looks on."""

    outbox: Outbox

    def began(self, exchange: Exchange) -> None:
        """Tell that it began."""
        self.outbox.put("new_request", row_in_progress(exchange))

    def ended(self, record: Record) -> None:
        """Tell that it ended."""
        self.outbox.put("request_completed", row(record))


class Tail:
    """One exchange while it flows; answers by ``open``.

    Args:
        live: What is in progress.
        ended: Finds the record of one that has ended, or raises ``NotFound``.
        onlookers: Those who look on.
    """

    def __init__(self, live: Live, ended: Callable[[str], Awaitable[Record]], onlookers: Onlookers) -> None:
        self._live = live
        self._ended = ended
        self._onlookers = onlookers

    async def open(self, request: Request, id: str, sockets: bool) -> None:
        """Show the rest of an exchange; of one that has ended, its end.

        Raises:
            NotFound: when there is none of that id.
        """
        ended = None if id in self._live.inflight else await self._ended(id)
        watcher = Watcher()

        def closed() -> None:
            self._live.unwatch(id, watcher)

        def asked(what: str) -> None:
            if what == "ping":
                watcher.outbox.put("pong", {})

        watcher.outbox = self._onlookers.admit(request, closed, asked if sockets else None)
        watcher.outbox.begin()
        if ended is not None:
            watcher.ended(ended)
        elif watcher.outbox.is_open and not self._live.watch(id, watcher):
            watcher.outbox.end()


@implementer(IWatcher)
class Watcher:
    """Shows one exchange to one who looks on."""

    outbox: Outbox

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"request": decoder("replace"), "response": decoder("replace")}

    def message(self, direction: str, head: MessageHead) -> None:
        """A message begins."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.headers]
        start = head.start.decode("latin-1")
        self.outbox.put("message", {"direction": direction, "start": start, "headers": headers})

    def piece(self, direction: str, data: bytes) -> None:
        """More of its body, as text."""
        self._show(direction, self._decoders[direction].decode(data))

    def ended(self, record: Record) -> None:
        """It has ended; what is left of a character that never came whole is shown as such."""
        for direction, decoder in self._decoders.items():
            self._show(direction, decoder.decode(b"", final=True))
        self.outbox.finish("ended", row(record))

    def _show(self, direction: str, text: str) -> None:
        if text:
            self.outbox.put("piece", {"direction": direction, "text": text})


def end(live: Live, id: str) -> dict[str, Any]:
    """End an exchange in progress.

    Raises:
        NotFound: when there is none of that id.
    """
    if not live.end(id):
        raise NotFound(f"No request {id!r} is in progress.", code="not_found")
    return {"id": id, "ended": True}
