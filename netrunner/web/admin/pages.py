"""What is shown at each path below ``/admin/`` whatever callers are let in by: use, health, the configuration.

This module must not let anybody in, nor change anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from netrunner.errors import ExchangeError, MethodNotAllowed, NotFound
from netrunner.http.request import Request
from netrunner.interfaces import ILogs
from netrunner.query import Query
from netrunner.values import Answer, Record
from netrunner.web.admin import configuration, usage
from netrunner.web.admin.entrance import Fields
from netrunner.web.dashboard.charts import SPANS
from netrunner.web.dashboard.lookout import Lookout
from netrunner.web.records import newest

MANAGED = ("projects", "tokens", "audit")
"""What is there with projects only, as pages and as JSON."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks, as the audit names it."""

    name: str
    request_id: str
    address: str


class Asked(msgspec.Struct, frozen=True):
    """What a browser asks for."""

    path: tuple[str, ...]
    arguments: Mapping[str, str]
    csrf: str
    by: Asker
    fields: Fields | None = None
    """Of a form; None when nothing is to change."""

    def argument(self, name: str) -> str | None:
        """Return an argument of the address; None when it is absent or empty."""
        return self.arguments.get(name) or None


Shows = Callable[[Asked], Awaitable[Answer]]


class Managing(Protocol):
    """The pages of projects, which are loaded with the database only."""

    shows: Mapping[str, Shows]
    """By the first part of the path below ``/admin/``."""

    async def tell(self, request: Request) -> Answer | None:
        """Do what a tool asks for, and tell as JSON what came of it."""

    async def note(self, by: Asker, action: str, outcome: str) -> None:
        """Write into the audit what changes nothing."""


class Shelf(msgspec.Struct, frozen=True):
    """What pages show, of one configuration."""

    settings: Any
    logs: Callable[[], ILogs]
    targets: Callable[[], Any]
    lookout: Lookout

    def page(
        self, template: str, asked: Asked, values: Mapping[str, Any], error: ExchangeError | None = None
    ) -> Answer:
        """Return a page, which tells of ``error`` if there is one."""
        known = {"here": "admin", "csrf": asked.csrf, "problem": error and error.message}
        return self.lookout.look.page(f"admin/{template}", {**known, **values}, 200 if error is None else error.status)


class Pages:
    """Every page.

    Args:
        shelf: What they show.
        managing: The pages of projects; None where there are none.
    """

    def __init__(self, shelf: Shelf, managing: Managing | None) -> None:
        self._shelf = shelf
        self._shows: Mapping[str, Shows] = {
            "": self._overview,
            "usage": self._usage,
            "health": self._health,
            "configuration": self._configuration,
            **({} if managing is None else managing.shows),
        }

    async def answer(self, asked: Asked) -> Answer:
        """Show the page, or do what its form asks for.

        Raises:
            ExchangeError: what the page cannot tell itself.
        """
        name = asked.path[0] if asked.path else ""
        shows = self._shows.get(name)
        if shows is None and name in MANAGED:
            raise NotFound("There are no projects here: set access.mode to 'projects'.", code="no_projects")
        if shows is None or len(asked.path) > (2 if name in ("projects", "tokens") else 1):
            raise NotFound("There is no such page.")
        if asked.fields is not None and name not in ("projects", "tokens"):
            raise MethodNotAllowed("Only GET is allowed here.", headers=[(b"allow", b"GET, HEAD")])
        return await shows(asked)

    async def _overview(self, asked: Asked) -> Answer:
        return self._shelf.page("overview", asked, {"tab": "", "entries": [], "managed": False})

    async def _usage(self, asked: Asked) -> Answer:
        span = SPANS.get(asked.arguments.get("span", ""), SPANS["24h"])
        now = self._shelf.lookout.clock.wall()
        records = await self._records(now - span.slots * span.minutes * 60)
        values = {
            "tab": "usage",
            "span": span,
            "spans": SPANS.values(),
            "tokens": usage.of_tokens(records, span, now),
            "models": usage.of_models(records, span, now),
            "found": len(records),
            "most": usage.MOST_RECORDS,
        }
        return self._shelf.page("usage", asked, values)

    async def _records(self, since_s: float) -> list[Record]:
        query = Query(since_s=since_s)
        records = await newest(self._shelf.logs(), query, usage.MOST_RECORDS)
        return self._shelf.lookout.recent.merged(records, usage.MOST_RECORDS, query)

    async def _health(self, asked: Asked) -> Answer:
        return self._shelf.page("health", asked, {"tab": "health", "targets": self._shelf.targets()})

    async def _configuration(self, asked: Asked) -> Answer:
        text = configuration.text(self._shelf.settings)
        return self._shelf.page("configuration", asked, {"tab": "configuration", "text": text})
