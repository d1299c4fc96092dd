"""The sink ``duplex``: a copy of every request and response at a logging server, live where it can be.

While an exchange flows, each message is sent as it comes (``duplex_live``). What was not confirmed that way is sent
from the journal afterwards, when the journal asks: it asks again with growing pauses for as long as the logging
server does not answer. What is sent twice is stored once, since the server knows ids.

This module must not touch an exchange: it only listens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from zope.interface import implementer

from netrunner.errors import Expired
from netrunner.interfaces import IEnvironment, ILiveSink, ILogSink, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import Secret, setting
from netrunner.sinks.duplex_live import LiveCopy, whole
from netrunner.sinks.duplex_put import NotTaken, Put
from netrunner.sinks.duplex_raw import (
    DIRECTIONS,
    LAST_CHUNK,
    Direction,
    bodiless,
    chunk,
    declared_length,
    head_of,
    raw_head,
)
from netrunner.values import Copy, MessageHead, Record

MAX_CONFIRMED = 20_000
"""Messages that are remembered as confirmed."""
AT_ONCE = 8
"""Records that are sent beside each other afterwards."""
TOO_LARGE = 413
"""The answer to a message that would be given to it for ever."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DuplexSettings:
    """Settings of the sink ``duplex``."""

    server_url: str = setting(doc="Where the logging server is.", form="url")
    token: Secret | None = setting(None, doc="Its token, where it asks for one.")
    timeout_s: float = setting(10.0, doc="Seconds it may take to connect, to read on, or to answer.", minimum=0.001)
    max_live: int = setting(
        100, doc="Exchanges copied while they flow; others are sent afterwards. Each takes two sockets.", minimum=0
    )
    max_buffer_bytes: int = setting(
        262144,
        doc="Bytes of one exchange that wait for the logging server; with more it is sent afterwards.",
        minimum=0,
    )


@implementer(ILogSink, ILiveSink, IStartable)
class Duplex:
    """Sends copies."""

    def __init__(self, settings: DuplexSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._environment = environment
        self._live: dict[str, LiveCopy] = {}
        self._confirmed: dict[tuple[str, Direction], None] = {}
        self._late: set[Put] = set()
        self._down = False

    def start(self) -> None:
        """Have the client imported now: that takes longer than the first exchange should wait."""
        _ = self._environment.http

    def stop(self) -> None:
        """Give up what is under way; the journal hands it over again at the next start."""
        for copy in list(self._live.values()):
            copy.give_up("netrunner ends")
        for put in list(self._late):
            put.give_up("netrunner ends")

    # While it flows.

    def watch(self, record: Record) -> LiveCopy | None:
        """Copy an exchange while it flows, unless so many are already, or the logging server is known to be away.

        That it is back is found out by ``write``.
        """
        id = record.id
        if self._down or len(self._live) >= self.settings.max_live or id in self._live:
            return None
        copy = LiveCopy(
            record,
            lambda direction: self._put(record, direction, self._environment.clock.wall() - record.at_accept),
            self.settings.max_buffer_bytes,
            lambda: self._forget(id),
        )
        self._live[id] = copy
        return copy

    def _forget(self, id: str) -> None:
        del self._live[id]

    # Afterwards.

    async def write(self, records: Sequence[Record]) -> None:
        """Send what was not confirmed live.

        Raises:
            NotTaken: when the logging server did not take something that it may take later.
        """
        waiting = iter(records)
        lanes = [Deferred.fromCoroutine(self._lane(waiting)) for _ in range(min(AT_ONCE, len(records)))]
        results: list[tuple[bool, Any]] = await DeferredList(lanes, consumeErrors=True)
        for sent, result in results:
            if not sent:
                result.raiseException()

    async def _lane(self, records: Iterator[Record]) -> None:
        for record in records:
            live = self._live.get(record.id)
            if live is not None:
                live.ended(record)
                await _settled(live)
            for direction in DIRECTIONS:
                if (record.id, direction) not in self._confirmed:
                    await self._send(record, direction)

    async def _send(self, record: Record, direction: Direction) -> None:
        """Send one message; what the journal no longer has is told as far as the record goes."""
        kept = record.request_copy if direction == "request" else record.response_copy
        if kept is not None:
            try:
                await self._send_by(lambda put: self._send_copy(put, record, direction, kept), record, direction)
                return
            except Expired:
                pass
        await self._send_by(lambda put: _send_head(put, record, direction), record, direction)

    async def _send_by(
        self, hand_over: Callable[[Put], Coroutine[Any, Any, None]], record: Record, direction: Direction
    ) -> None:
        put = self._put(record, direction, record.timings.get("first_byte"))
        self._late.add(put)
        put.start()
        try:
            await hand_over(put)
            error = await _result(put)
        finally:
            self._late.discard(put)
            put.give_up("it was not sent to its end")
        if error is None:
            return
        if error.status != TOO_LARGE:
            raise error
        self._environment.log.error(
            "the {what} of {id} is too large for the logging server", what=direction, id=record.id
        )

    async def _send_copy(self, put: Put, record: Record, direction: Direction, kept: Copy) -> None:
        """Hand over a kept message at the pace at which it is taken."""
        copies = self._environment.copies
        head: MessageHead = copies.head(kept)
        complete = kept.complete and whole(direction, record)
        length = declared_length(head)
        has_body = not bodiless(direction, head, record)
        if complete and has_body and (length is not None or (direction == "response" and not kept.bytes)):
            # What is kept may be of another length than what came, where something in it is hidden.
            length = kept.bytes
        chunked = has_body and length is None and (kept.bytes > 0 or not kept.complete)
        put.write(raw_head(direction, head, record, length, chunked))
        for piece in copies.pieces(kept):
            await put.room()
            if put.over:
                return
            put.write(chunk(piece) if chunked else piece)
        if chunked and complete:
            put.write(LAST_CHUNK)
        put.end()

    def _put(self, record: Record, direction: Direction, latency_s: float | None) -> Put:
        settings = self.settings
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Netrunner-Accepted-At", f"{record.at_accept:.6f}"),
        ]
        if settings.token is not None:
            headers.append(("Authorization", f"Bearer {settings.token.reveal()}"))
        if direction == "response" and latency_s is not None:
            headers.append(("Netrunner-Header-Latency", f"{max(0.0, latency_s):.6f}"))
        url = f"{settings.server_url.rstrip('/')}/{record.id}/{direction}"
        put = Put(self._environment, url, headers, settings.timeout_s)
        put.done.addCallback(self._note, (record.id, direction))
        return put

    def _note(self, error: NotTaken | None, message: tuple[str, Direction]) -> NotTaken | None:
        """Remember what is confirmed; tell the operator when it begins to go wrong, and when that is over."""
        log = self._environment.log
        if error is None:
            self._confirmed[message] = None
            if len(self._confirmed) > MAX_CONFIRMED:
                del self._confirmed[next(iter(self._confirmed))]
            if self._down:
                log.info("the logging server takes copies again")
            self._down = False
        elif not error.given_up and error.status != TOO_LARGE:
            if not self._down:
                log.error("the logging server takes no copies: {reason}; they are sent later", reason=str(error))
            self._down = True
        return error


async def _send_head(put: Put, record: Record, direction: Direction) -> None:
    """Send what a record alone tells of a message."""
    put.write(raw_head(direction, head_of(direction, record), record, None, chunked=False))
    put.end()


async def _settled(live: LiveCopy) -> None:
    settled: Deferred[None] = Deferred()
    live.settled.addCallback(settled.callback)
    await settled


async def _result(put: Put) -> NotTaken | None:
    over: Deferred[NotTaken | None] = Deferred()

    def tell(result: NotTaken | None) -> NotTaken | None:
        over.callback(result)
        return result

    put.done.addCallback(tell)
    return await over


plugin = SinkFactory(
    name="duplex",
    build=Duplex,
    settings=DuplexSettings,
    doc="Copies requests and responses to a logging server while they flow.",
)
