"""What goes on in the other processes of the state folder: in progress, just ended, counted there.

One side asks, the other tells, both by the control socket. Each process tells of itself alone, so nothing is told
twice, and nobody who looks on notices which process has answered.

This module must not keep anything of what it was told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IUNIXTransport

from netrunner.http.outbox import Lines, Outbox
from netrunner.interfaces import IClock
from netrunner.pipeline.live import Live
from netrunner.process.control import Commands, ControlError, NoArguments, Reply, Stream
from netrunner.query import Query, matches
from netrunner.values import Record
from netrunner.web.recent import Recent
from netrunner.web.rows import Row, record_in_progress, row_in_progress
from netrunner.web.tellers import Teller, Watcher

MOST = 1000
"""Exchanges in progress that one process tells of at once, the newest."""


class Asks(Protocol):
    """``netrunner.process.siblings.Siblings``, as far as it is needed here."""

    def ask(self, command: str, arguments: Any = None) -> Deferred[list[dict[str, Any]]]:
        """Return a Deferred of what every sibling answers."""

    def watch(self, command: str, arguments: Any, heard: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
        """Have every sibling send lines until the function is called that is returned."""


class Neighbours:
    """The other processes, as those ask who answer requests here.

    Args:
        siblings: How they are asked; None where there are none.
    """

    def __init__(self, siblings: Asks | None = None) -> None:
        self._siblings = siblings

    async def in_progress(self) -> list[Row]:
        """Return a row for each exchange in progress there, of each process the newest ``MOST``."""
        return [row for answer in await self.ask("look") for row in answer["rows"]]

    async def count(self) -> int:
        """Return how many exchanges are in progress there, more than are told of at once included."""
        return sum(answer["in_progress"] for answer in await self.ask("count"))

    async def matching(self, query: Query) -> list[Row]:
        """Return a row for each of them that matches."""
        found = await self.ask("look", {"query": msgspec.to_builtins(query)})
        return [row for answer in found for row in answer["rows"]]

    async def recent(self, query: Query, limit: int) -> list[Record]:
        """Return what matches of that which ended there lately."""
        arguments = {"query": msgspec.to_builtins(query), "limit": limit}
        answers = await self.ask("recent", arguments)
        return msgspec.convert([one for answer in answers for one in answer["records"]], list[Record])

    async def ended(self, id: str) -> Record | None:
        """Return the record of an exchange that ended there lately; None if there is none of that id."""
        found = await self.recent(Query(before=id + "~"), 1)
        return next((record for record in found if record.id == id), None)

    async def progress(self, id: str) -> dict[str, Row] | None:
        """Return ``row`` and ``record`` of an exchange in progress there; None if there is none of that id."""
        found = await self.ask("progress", {"id": id})
        return found[0] if found else None

    async def end(self, id: str) -> bool:
        """End an exchange in progress there; return whether there was one of that id."""
        return bool(await self.ask("end", {"id": id}))

    async def samples(self) -> list[dict[str, Any]]:
        """Return the metrics of the other workers, and of their supervisor."""
        return await self.ask("metrics")

    def follow(self, outbox: Outbox) -> Callable[[], None]:
        """Tell ``outbox`` of every exchange that begins, is routed and ends there, until the returned is called."""
        return self._watch("follow", {}, lambda line: outbox.put(line["type"], line["data"]))

    def tail(self, id: str, outbox: Outbox) -> Callable[[], None]:
        """Show an exchange that flows there, until the function returned is called or it has ended."""

        def heard(line: dict[str, Any]) -> None:
            (outbox.finish if line["type"] == "ended" else outbox.put)(line["type"], line["data"])

        return self._watch("tail", {"id": id}, heard)

    async def ask(self, command: str, arguments: Any = None) -> list[dict[str, Any]]:
        """Return what each of them answers to a command; who does not is left out."""
        return [] if self._siblings is None else await self._siblings.ask(command, arguments)

    def _watch(self, command: str, arguments: Any, heard: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
        return (lambda: None) if self._siblings is None else self._siblings.watch(command, arguments, heard)


ALONE = Neighbours()
"""Where there is nobody else."""


class _Id(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _Look(msgspec.Struct, forbid_unknown_fields=True):
    query: Query | None = None


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    query: Query
    limit: int


class Telling:
    """Tells the other processes of this one.

    Args:
        live: What is in progress.
        recent: What ended lately.
        clock: Time.
    """

    def __init__(self, live: Live, recent: Recent, clock: IClock) -> None:
        self._live, self._recent, self._clock = live, recent, clock

    def offer(self, commands: Commands) -> None:
        """Add what can be asked."""
        commands.add("look", _Look, self._look)
        commands.add("count", NoArguments, lambda _: Reply({"in_progress": len(self._live.inflight)}))
        commands.add("recent", _Page, lambda page: Reply({"records": self._recent.merged([], page.limit, page.query)}))
        commands.add("progress", _Id, self._progress)
        commands.add("follow", NoArguments, lambda _: Reply(stream=self._follow))
        commands.add("tail", _Id, lambda asked: Reply(stream=self._tail(asked.id)))

    def _look(self, asked: _Look) -> Reply:
        newest = list(self._live.inflight.values())[: -MOST - 1 : -1]
        query = asked.query
        if query is not None:
            newest = [one for one in newest if matches(query, one.record(), ended=False)]
        return Reply({"rows": [row_in_progress(exchange) for exchange in newest]})

    def _progress(self, asked: _Id) -> Reply:
        exchange = self._live.inflight.get(asked.id)
        if exchange is None:
            raise ControlError(f"no exchange {asked.id!r} is open")
        return Reply({"row": row_in_progress(exchange), "record": record_in_progress(exchange)})

    def _follow(self, transport: IUNIXTransport) -> Callable[[], object]:
        teller = Teller(self._live, self._clock)
        teller.outbox = Lines(transport, self._clock)
        teller.follow()

        def lost() -> None:
            teller.leave()
            teller.outbox.end()

        return lost

    def _tail(self, id: str) -> Stream:
        """Return what shows the rest of an exchange; one that has ended since somebody saw it here has its end left.

        Raises:
            ControlError: when there is none of that id.
        """
        ended = None if id in self._live.inflight else self._recent.one(id)
        if ended is None and id not in self._live.inflight:
            raise ControlError(f"no exchange {id!r} is open")

        def stream(transport: IUNIXTransport) -> Callable[[], object]:
            watcher = Watcher()
            watcher.outbox = Lines(transport, self._clock)

            def lost() -> None:
                self._live.unwatch(id, watcher)
                watcher.outbox.end()

            if ended is not None:
                watcher.ended(ended)
            else:
                self._live.watch(id, watcher)
            return lost

        return stream
