"""The resources of the dashboard, and their tree.

This module must not read the journal or the store itself, and must not decide who may look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from netrunner import summary
from netrunner.errors import ExchangeError, NotFound, Overloaded, StoreError
from netrunner.http.request import Request
from netrunner.ids import made_at
from netrunner.interfaces import ICopies, ILogs
from netrunner.query import Found, Query, edges
from netrunner.times import stamp
from netrunner.values import Answer, Headers, Record
from netrunner.web import download
from netrunner.web.dashboard import form, messages, performance, rows
from netrunner.web.dashboard.charts import SPANS, Span, charts, stages
from netrunner.web.dashboard.look import JSON, SAFE
from netrunner.web.dashboard.lookout import Lookout
from netrunner.web.gate import Gate, Guarded
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.records import newest
from netrunner.web.rows import newest_first
from netrunner.web.said import messages as messages_said

PAGE = 100
"""Records on a page of the log."""
LATEST = 25
"""Records on the first page."""
SHOWN_IN_FLIGHT = 200


async def quiet() -> list[dict[str, Any]]:
    """Return no alerts."""
    return []


class InFlight(NamedTuple):
    """What is in progress in all processes."""

    rows: list[rows.Row]
    total: int


class Listed(NamedTuple):
    """A page of the log."""

    records: Sequence[Record] = ()
    newer: str | None = None
    older: str | None = None
    """Ids behind which the pages next to this one begin; None where there is none."""
    searched: str | None = None
    """As of ``Found``."""
    upwards: bool = False
    """Whether newer records are searched."""


class Dashboard:
    """All that the pages of one configuration share.

    Args:
        gate: Who is let in.
        logs: Returns what finds records; only its ``page``, ``one`` and ``stats`` are asked.
        copies: Reads recorded messages.
        lookout: What is remembered of exchanges, and how pages look.
        terms: Reads the filter ``q`` as it is typed.
        neighbours: What goes on in other processes.
        alerts: Tells what an operator has to know now, as ``netrunner.web.alerts.row`` does.
    """

    def __init__(
        self,
        gate: Gate,
        logs: Callable[[], ILogs],
        copies: ICopies,
        lookout: Lookout,
        terms: form.Terms,
        neighbours: Neighbours = ALONE,
        alerts: Callable[[], Awaitable[list[dict[str, Any]]]] = quiet,
    ) -> None:
        self.gate, self._logs, self.copies, self.terms = gate, logs, copies, terms
        self.live, self.clock, self.look = lookout.live, lookout.clock, lookout.look
        self.figures, self.recent = lookout.figures, lookout.recent
        self.neighbours = neighbours
        self.alerts = alerts

    @property
    def logs(self) -> ILogs:
        """What finds records now."""
        logs: ILogs = self._logs()
        return logs

    def resources(self) -> dict[bytes, Resource]:
        """Return what is served, by the first part of the path; the root itself is ``b""``."""
        return {
            b"": Overview(self),
            b"logs": Logs(self),
            b"performance": Performance(self),
            b"clients": Clients(self),
            b"now": Now(self),
            b"static": Static(self),
        }

    async def page(self, query: Query, limit: int) -> Found:
        """Return up to ``limit`` records that match, newest first, those too that the log does not know yet.

        Raises:
            StoreError: when the log cannot be read.
        """
        found = await self.logs.page(query, limit)
        merged = await self._merged(found.records, query, limit)
        records = [record for record in merged if found.reaches(query, record.id)]
        return Found(records, found.searched if len(records) < limit else None)

    async def newest(self, query: Query, limit: int) -> list[Record]:
        """Return the newest ``limit`` records that match, however far they have to be looked for.

        Raises:
            StoreError: when the log cannot be read.
        """
        return await self._merged(await newest(self.logs, query, limit), query, limit)

    async def _merged(self, found: Sequence[Record], query: Query, limit: int) -> list[Record]:
        return self.recent.merged([*found, *await self.neighbours.recent(query, limit)], limit, query)

    async def in_flight(self) -> InFlight:
        """Return what is in progress, newest first and not more than a page can show, and how much that is in all."""
        newest = list(self.live.inflight.values())[: -SHOWN_IN_FLIGHT - 1 : -1]
        here = [rows.row_in_flight(exchange) for exchange in newest]
        elsewhere = [rows.flying(told) for told in await self.neighbours.in_progress()]
        total = len(self.live.inflight) + await self.neighbours.count()
        return InFlight(newest_first(here, elsewhere)[:SHOWN_IN_FLIGHT], total)

    async def totals(self) -> dict[str, int]:
        """Return how many records there are, by kind.

        Raises:
            StoreError: when the log cannot be read.
        """
        stats = await self.logs.stats(self.clock.wall())
        spoken = stats.by_dialect
        return {
            "all": stats.total,
            "openai": spoken.get("openai", 0),
            "ollama": spoken.get("ollama", 0),
            "day": stats.recent,
        }

    async def latest(self) -> list[rows.Row]:
        """Return the newest records, those that the log does not know yet among them.

        Raises:
            StoreError: when the log cannot be read.
        """
        return [rows.row_of(record) for record in await self.newest(Query(), LATEST)]

    def charts(self, span: Span) -> tuple[Any, ...]:
        """Return the charts of ``span``."""
        return charts(self.figures.slots(span.slots, span.minutes), span)


class Page(Guarded):
    """A page of the dashboard; what goes wrong is told as a page too."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__(dashboard.gate)
        self.dashboard = dashboard

    def path_below(self, request: Request) -> list[str]:
        """Return what follows this page's own path, without a last slash."""
        below = [part.decode("utf-8", "replace") for part in request.postpath or []]
        return below[:-1] if below and not below[-1] else below

    def expect_end(self, request: Request) -> None:
        """Refuse a path that goes on."""
        if self.path_below(request):
            raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.")

    def refusal(self, request: Request, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write ``error`` as a page."""
        values = {"error": error, "here": ""}
        answer = self.dashboard.look.page("error", values, error.status, error.fields())
        return answer.status, answer.headers, answer.body


async def _ended_within(dashboard: Dashboard, span: Span) -> list[Record]:
    """Return what ended lately, as far back as ``span`` reaches and as much as a page looks at."""
    since = dashboard.clock.wall() - span.slots * span.minutes * 60
    return await dashboard.newest(Query(since_s=since), performance.MOST)


def _span(request: Request) -> Span:
    return SPANS.get(request.args.get(b"span", [b""])[-1].decode("latin-1"), SPANS["1h"])


def _host(request: Request) -> str:
    """Return the name and port that the visitor reached us by, for commands to try."""
    return (request.header(b"host") or b"127.0.0.1:8080").decode("latin-1")


def _unreadable(error: StoreError) -> Overloaded:
    return Overloaded("The log cannot be read at the moment.", code="store_unavailable", retry_after_s=5)


class Overview(Page):
    """The first page: how much, how fast, what is going on, what was last."""

    async def answer(self, request: Request) -> Answer:
        """Show it; without a log there is still what goes on."""
        dashboard = self.dashboard
        span = _span(request)
        latest: list[rows.Row] = []
        totals: Mapping[str, int | None] = dict.fromkeys(("all", "openai", "ollama", "day"))
        try:
            latest, totals = await dashboard.latest(), await dashboard.totals()
        except StoreError:
            pass  # the page tells it, and shows what goes on
        # Nobody waits for what was before the start: the script asks for the charts again, and has the rest then.
        recalling = Deferred.fromCoroutine(dashboard.figures.recall(dashboard.logs))
        recalling.addErrback(lambda failure: failure.trap(StoreError))
        in_flight = await dashboard.in_flight()
        values = {
            "here": "overview",
            "alerts": await dashboard.alerts(),
            "totals": totals,
            "in_flight": in_flight.rows,
            "count_in_flight": in_flight.total,
            "latest": latest,
            "readable": totals["all"] is not None,
            "charts": dashboard.charts(span),
            "span": span,
            "spans": SPANS.values(),
            "host": _host(request),
            "services": form.CHOICES,
            "blank": rows.BLANK,
            "no_alert": rows.NO_ALERT,
        }
        return dashboard.look.page("overview", values)


class Now(Page):
    """What moves on the first page, for its script; asked for when the feed has told that something moved."""

    async def answer(self, request: Request) -> Answer:
        """Tell it as JSON."""
        self.expect_end(request)
        dashboard = self.dashboard
        try:
            await dashboard.figures.recall(dashboard.logs)
            latest = await dashboard.latest()
            totals = await dashboard.totals() if b"totals" in request.args else None
        except StoreError as error:
            raise _unreadable(error) from error
        in_flight = await dashboard.in_flight()
        document = {
            "in_flight": in_flight.rows,
            "count_in_flight": in_flight.total,
            "latest": latest,
            "totals": totals,
            "alerts": await dashboard.alerts(),
            "charts": dashboard.charts(_span(request)),
        }
        return Answer(200, JSON, msgspec.json.encode(document))


class Logs(Page):
    """The log: a list with filters, one exchange, its bodies."""

    async def answer(self, request: Request) -> Answer | None:
        """Show what the path asks for."""
        match self.path_below(request):
            case []:
                return await self._list(request)
            case [id]:
                return await self._one(id)
            case [id, "request" | "response" as which]:
                await self._download(request, id, which)
                return None
        raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.")

    async def _list(self, request: Request) -> Answer:
        asked = form.read(request.args, self.dashboard.terms)
        listed = Listed()
        if asked.problem is None:
            try:
                listed = await self._listed(asked.query)
            except StoreError as error:
                raise _unreadable(error) from error
        values = {
            "here": "logs",
            "form": asked,
            "rows": [rows.row_of(record) for record in listed.records],
            "newer": None if listed.newer is None else asked.url(after=listed.newer),
            "older": None if listed.older is None else asked.url(before=listed.older),
            "searched": None if listed.searched is None else stamp(made_at(listed.searched)),
            "upwards": listed.upwards,
            "statuses": form.STATUSES,
            "services": form.CHOICES,
            "host": _host(request),
        }
        return self.dashboard.look.page("logs", values, 400 if asked.problem else 200)

    async def _listed(self, query: Query) -> Listed:
        """Return a page of the list."""
        found = await self.dashboard.page(query, PAGE + 1)
        records, searched = found.records, found.searched
        full = len(records) > PAGE
        if query.after is not None and not full and searched is None:
            # Less than a page is newer: the first one has all of that.
            return await self._listed(msgspec.structs.replace(query, after=None))
        upwards = query.after is not None
        records = records[-PAGE:] if upwards else records[:PAGE]
        newer, older = edges(query, [record.id for record in records], searched)
        goes_on = full or searched is not None
        return Listed(
            records,
            newer if (goes_on if upwards else query.before is not None) else None,
            older if upwards or goes_on else None,
            searched,
            upwards,
        )

    async def _one(self, id: str) -> Answer:
        dashboard = self.dashboard
        exchange = dashboard.live.inflight.get(id)
        if exchange is not None:
            row = rows.row_in_flight(exchange)
            return dashboard.look.page("live", {"here": "logs", "row": row})
        elsewhere = await dashboard.neighbours.progress(id)
        if elsewhere is not None:
            return dashboard.look.page("live", {"here": "logs", "row": rows.flying(elsewhere["row"])})
        record, known = await self._record(id)
        values = {
            "here": "logs",
            "record": record,
            "row": rows.row_of(record),
            "stages": stages(record.timings, record.duration_s),
            "request": messages.shown(dashboard.copies, record.request_copy),
            "response": messages.shown(dashboard.copies, record.response_copy),
            "known": known,
        }
        return dashboard.look.page("exchange", values)

    async def _record(self, id: str) -> tuple[Record, bool]:
        """Return the record, and whether the log knows it already."""
        try:
            record = await self.dashboard.logs.one(id)
        except StoreError as error:
            raise _unreadable(error) from error
        if record is not None:
            return record, True
        record = self.dashboard.recent.one(id) or await self.dashboard.neighbours.ended(id)
        if record is None:
            raise NotFound("There is no such exchange. It may be older than what is kept.")
        return record, False

    async def _download(self, request: Request, id: str, which: str) -> None:
        record, _ = await self._record(id)
        copy = record.request_copy if which == "request" else record.response_copy
        if copy is None:
            raise NotFound("Nothing was recorded of this body.", code="not_recorded")
        download.send(request, self.dashboard.clock, self.dashboard.copies, copy, f"{record.id}-{which}.txt")


class Performance(Page):
    """Tokens against time, model by model, and the charts in numbers."""

    async def answer(self, request: Request) -> Answer:
        """Show it."""
        self.expect_end(request)
        dashboard = self.dashboard
        span = _span(request)
        try:
            await dashboard.figures.recall(dashboard.logs)
            found = await _ended_within(dashboard, span)
        except StoreError as error:
            raise _unreadable(error) from error
        values = {
            "here": "performance",
            "span": span,
            "spans": SPANS.values(),
            "charts": dashboard.charts(span),
            "periods": dashboard.figures.slots(12, span.slots * span.minutes // 12),
            "picture": performance.picture(found),
            "models": performance.by_model(found),
            "found": len(found),
            "most": performance.MOST,
            "host": _host(request),
        }
        return dashboard.look.page("performance", values)


class Clients(Page):
    """Who called how much, how calls failed, and what was asked again."""

    async def answer(self, request: Request) -> Answer:
        """Show it."""
        self.expect_end(request)
        dashboard = self.dashboard
        span = _span(request)
        try:
            found = await _ended_within(dashboard, span)
        except StoreError as error:
            raise _unreadable(error) from error
        failures = summary.failures(found)
        values = {
            "here": "clients",
            "span": span,
            "spans": SPANS.values(),
            "clients": summary.clients(found),
            "failures": failures,
            "messages": messages_said(dashboard.copies, found, failures),
            "repeats": summary.repeats(found),
            "again_s": summary.AGAIN_S,
            "found": len(found),
            "most": performance.MOST,
            "host": _host(request),
        }
        return dashboard.look.page("clients", values)


class Static(Page):
    """Style, scripts and icon, under names that change with their content.

    They are for everybody: nothing in them is secret, and a page that asks for a credential is drawn with them too.
    """

    open_to_all = True

    async def answer(self, request: Request) -> Answer:
        """Send one; it never changes."""
        asset = self.dashboard.look.assets.get("/".join(self.path_below(request)))
        if asset is None:
            raise NotFound("There is no such file; reload the page.")
        headers: Headers = [
            (b"content-type", asset.content_type),
            (b"cache-control", b"public, max-age=31536000, immutable"),
            (b"etag", asset.etag),
            *SAFE,
        ]
        if asset.etag in (request.header(b"if-none-match") or b""):
            return Answer(304, headers, b"")
        return Answer(200, headers, asset.body)
