"""The log API's summaries: clients, failures and repeated bodies of the newest records.

This module must not count anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.web.resource import Resource

from netrunner import summary
from netrunner.times import stamp
from netrunner.values import Record
from netrunner.web.arguments import Arguments
from netrunner.web.gate import Gate
from netrunner.web.logs import Told
from netrunner.web.records import Records
from netrunner.web.said import messages

MOST = 10_000
"""Records that are looked at, at the most."""
HOUR_S = 3600.0


class Summary(Told):
    """A path that tells of many records at once."""

    known: tuple[str, ...] = ("limit", "hours", "q", "model", "service_type")

    async def told(self, arguments: Arguments) -> Any:
        """Return the groups, and what was looked at."""
        limit = arguments.number("limit", 1000, MOST)
        hours = arguments.number("hours", 24, 24 * 366)
        since_s = self._records.clock.wall() - hours * HOUR_S
        query = msgspec.structs.replace(arguments.query(), since_s=since_s)
        found = await self._records.ended(query, limit)
        meta = {"records": len(found), "limit": limit, "hours": hours}
        return {"data": [_row(one) for one in self.groups(found, arguments)], "meta": meta}

    def groups(self, found: list[Record], arguments: Arguments) -> list[Any]:
        """Return what the records are summed up to."""
        raise NotImplementedError


class Clients(Summary):
    """``/api/clients``: who called how much."""

    def groups(self, found: list[Record], arguments: Arguments) -> list[Any]:
        """Return one for each client."""
        return summary.clients(found)


class Failures(Summary):
    """``/api/errors``: how calls failed."""

    def groups(self, found: list[Record], arguments: Arguments) -> list[Any]:
        """Return one for each way to fail."""
        groups = summary.failures(found)
        told = messages(self._records.copies, found, groups)
        return [msgspec.structs.asdict(one) | {"message": told.get(one.id)} for one in groups]


class Repeats(Summary):
    """``/api/repeats``: what clients asked again."""

    known = (*Summary.known, "within_s")

    def groups(self, found: list[Record], arguments: Arguments) -> list[Any]:
        """Return one for each body that came again."""
        return summary.repeats(found, arguments.number("within_s", int(summary.AGAIN_S), 86_400))


def _row(one: Any) -> dict[str, Any]:
    """Return a group in terms of JSON: times as the log API writes them."""
    fields = (one if isinstance(one, dict) else msgspec.structs.asdict(one)).items()
    return {
        name: stamp(value) if name.endswith("_at") else round(value, 6) if name.endswith("_s") else value
        for name, value in fields
    }


def summaries(gate: Gate, records: Records) -> Mapping[bytes, Resource]:
    """Return what is served below ``/api``."""
    return {
        b"clients": Clients(gate, records),
        b"errors": Failures(gate, records),
        b"repeats": Repeats(gate, records),
    }
