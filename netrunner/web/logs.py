"""The log API: what was recorded, as JSON and as bytes.

This module must not change anything but to end an exchange in progress.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import msgspec

from netrunner.errors import Expired, Forbidden, MethodNotAllowed, NotFound
from netrunner.figures import DAY_S, point
from netrunner.http.request import Request
from netrunner.ids import made_at
from netrunner.interfaces import ICopies
from netrunner.query import edges
from netrunner.times import stamp
from netrunner.values import Answer, Copy, Headers
from netrunner.web import download
from netrunner.web.arguments import FILTERS, MAX_ROWS, Arguments, is_id
from netrunner.web.gate import Gate, Guarded, ends_here
from netrunner.web.live import Tail, end
from netrunner.web.records import Records
from netrunner.web.rows import record_in_progress, row, row_in_progress
from netrunner.web.websocket import is_same_host

MAX_SHOWN_BYTES = 262144
"""Of each body, in the JSON of one record; all of it is to be had as bytes."""
BY_SCRIPT = b"x-requested-with"
"""A field that no form of another site can send: who changes something has to."""
SEARCHED = b"netrunner-searched"
"""How far was searched, in time, for a page that may be short of what matches."""
DIRECTIONS = ("request", "response")
JSON: Headers = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_encode = msgspec.json.Encoder().encode


def tell(value: Any, *headers: tuple[bytes, bytes], status: int = 200) -> Answer:
    """Return a value as JSON."""
    return Answer(status, [*JSON, *headers], _encode(value))


class Told(Guarded):
    """A path that answers with JSON.

    Args:
        gate: Who is let in.
        records: What is told of.
    """

    known: tuple[str, ...] = ()
    """Arguments there may be."""

    def __init__(self, gate: Gate, records: Records) -> None:
        super().__init__(gate)
        self._records = records

    async def answer(self, request: Request) -> Answer | None:
        """Tell it, if the path ends here."""
        ends_here(request)
        return tell(await self.told(Arguments(request, self.known)))

    async def told(self, arguments: Arguments) -> Any:
        """Return what is told."""
        raise NotFound("There is nothing at this path.")


class Stats(Told):
    """``/api/stats``: how many there are."""

    async def told(self, arguments: Arguments) -> Any:
        """Return the counts."""
        records = self._records
        stats = await records.logs().stats(records.clock.wall())
        return {
            "total_requests": stats.total,
            "openai_requests": stats.by_dialect.get("openai", 0),
            "ollama_requests": stats.by_dialect.get("ollama", 0),
            "recent_requests": stats.recent,
            "inflight_requests": await records.count_in_progress(),
            "by_service_type": stats.by_dialect,
        }


class InFlight(Told):
    """``/api/inflight``: what is in progress; ``POST /api/inflight/ID/end`` ends one."""

    methods = (b"GET", b"HEAD", b"POST")

    async def answer(self, request: Request) -> Answer | None:
        """Tell, or end one."""
        path = [part for part in request.postpath or [] if part]
        if request.method != b"POST":
            return await super().answer(request)
        if len(path) != 2 or path[1] != b"end":
            raise MethodNotAllowed("Only GET is allowed here.", headers=[(b"allow", b"GET, HEAD")])
        check_same_site(request)
        records = self._records
        return tell(await end(records.live, path[0].decode("latin-1"), records.neighbours))

    async def told(self, arguments: Arguments) -> Any:
        """Return a row for each, the newest first."""
        names = ("id", "timestamp", "source_ip", "method", "path", "service_type", "original_model", "mapped_model")
        return [
            {name: full[name] for name in names} | {"elapsed_ms": full["duration_ms"]}
            for full in await self._records.in_progress()
        ]


class Performance(Told):
    """``/api/performance``: tokens against duration."""

    known = ("limit", "hours", "model", "service_type")

    async def told(self, arguments: Arguments) -> Any:
        """Return points, the newest first, and what was asked for."""
        limit = arguments.number("limit", 1000, 10_000)
        hours = arguments.number("hours", 24, 24 * 366)
        query = msgspec.structs.replace(arguments.query(), since_s=self._records.clock.wall() - hours * DAY_S / 24)
        points = map(point, await self._records.ended(query, limit))
        told = [
            {
                "id": point.id,
                "timestamp": stamp(point.at),
                "service_type": point.dialect,
                "original_model": point.model,
                "mapped_model": point.upstream_model,
                "status_code": point.status,
                "duration_ms": round(point.duration_s * 1000, 3),
                "input_tokens": point.input_tokens,
                "output_tokens": point.output_tokens,
                "tokens_per_second": round(point.output_tokens / point.duration_s, 3) if point.duration_s > 0 else None,
                "estimated": point.estimated,
            }
            for point in points
        ]
        return {"data_points": told, "meta": {"count": len(told), "limit": limit, "hours": hours}}


class Logs(Told):
    """``/api/logs``: pages of records; below it, one of them."""

    known = ("limit", "envelope", *FILTERS)

    def __init__(self, gate: Gate, records: Records) -> None:
        super().__init__(gate, records)
        self._tail = Tail(records.live, records.one, records.onlookers, records.neighbours)

    async def answer(self, request: Request) -> Answer | None:
        """Answer by what the path names."""
        path = [part.decode("latin-1") for part in request.postpath or [] if part]
        if not path:
            return await self._page(request)
        id, what = path[0], path[1:]
        if not is_id(id) or len(what) > 1:
            raise NotFound(f"There is no request {id[:80]!r}.", code="not_found")
        match what:
            case []:
                return await self._one(id)
            case ["request" | "response" as direction]:
                await self._raw(request, id, direction)
                return None
            case ["live" | "ws" as way]:
                await self._tail.open(request, id, way == "ws")
                return None
        raise NotFound("There is nothing at this path.")

    async def _page(self, request: Request) -> Answer:
        arguments = Arguments(request, self.known)
        limit = arguments.number("limit", 100, MAX_ROWS)
        enveloped = arguments.truth("envelope")
        query = arguments.query()
        rows, more, searched = await self._records.page(query, limit)
        newest, oldest = edges(query, [row["id"] for row in rows], searched)
        goes_on = more or searched is not None
        links = {}
        if oldest is not None and (goes_on or query.after is not None):
            links["next"] = self._path(arguments, before=oldest)
        if newest is not None and (query.before is not None or (goes_on and query.after is not None)):
            links["prev"] = self._path(arguments, after=newest)
        until = None if searched is None else stamp(made_at(searched))
        fields = []
        if links:
            fields.append((b"link", ", ".join(f'<{to}>; rel="{name}"' for name, to in links.items()).encode("ascii")))
        if until is not None:
            fields.append((SEARCHED, until.encode("ascii")))
        if not enveloped:
            return tell(rows, *fields)
        meta = {"count": len(rows), "limit": limit, "searched": until, "next": None, "prev": None} | links
        return tell({"data": rows, "meta": meta}, *fields)

    def _path(self, arguments: Arguments, **place: str) -> str:
        kept = {name: value for name in self.known if (value := arguments.text(name)) is not None}
        kept = {name: value for name, value in kept.items() if name not in ("before", "after")}
        return f"/api/logs?{urlencode(kept | place)}"

    async def _one(self, id: str) -> Answer:
        progress = await self._in_progress(id)
        if progress is not None:
            return tell(progress["row"] | {"request": None, "response": None, "record": progress["record"]})
        record = await self._records.one(id)
        messages = {
            direction: _message(self._records.copies, getattr(record, f"{direction}_copy")) for direction in DIRECTIONS
        }
        return tell(row(record) | messages | {"record": record})

    async def _in_progress(self, id: str) -> Any | None:
        """Return ``row`` and ``record`` of one in progress, here or in another worker; None for any other."""
        exchange = self._records.live.inflight.get(id)
        if exchange is not None:
            return {"row": row_in_progress(exchange), "record": record_in_progress(exchange)}
        return await self._records.neighbours.progress(id)

    async def _raw(self, request: Request, id: str, direction: str) -> None:
        if await self._in_progress(id) is not None:
            why = f"The request is in progress: its {direction} is shown by /api/logs/{id}/live."
            raise NotFound(why, code="not_recorded")
        copy: Copy | None = getattr(await self._records.one(id), f"{direction}_copy")
        if copy is None:
            raise NotFound(f"Nothing of the {direction} was recorded.", code="not_recorded")
        download.send(request, self._records.clock, self._records.copies, copy, f"{id}-{direction}.bin")


def check_same_site(request: Request) -> None:
    """Refuse a change that a page of another site may have asked for.

    Raises:
        Forbidden: ``cross_origin``.
    """
    origin = request.header(b"origin")
    same = origin is None or is_same_host(origin, request)
    if not same or not request.header(BY_SCRIPT) or request.header(b"sec-fetch-site") == b"cross-site":
        raise Forbidden("A change needs the field X-Requested-With, and no foreign Origin.", code="cross_origin")


def _message(copies: ICopies, copy: Copy | None) -> dict[str, Any] | None:
    """Return what is told of a message in the JSON of its record."""
    if copy is None:
        return None
    told: dict[str, Any] = {"bytes": copy.bytes, "complete": copy.complete, "expired": False}
    try:
        head = copies.head(copy)
        told["start"] = head.start.decode("latin-1")
        told["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.headers]
        body = bytearray()
        for piece in copies.pieces(copy):
            body += piece[: MAX_SHOWN_BYTES - len(body)]
            if len(body) >= MAX_SHOWN_BYTES:
                break
    except Expired:
        return {**told, "expired": True}
    told["shown"] = len(body)
    try:
        told["text"] = body.decode()
    except UnicodeDecodeError as error:
        if error.start >= len(body) - 4 and len(body) < copy.bytes:
            told["text"] = body[: error.start].decode()
        else:
            told["base64"] = base64.b64encode(body).decode()
    return told
