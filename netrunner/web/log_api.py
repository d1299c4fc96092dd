"""The paths of the log API, and what is served at each.

This module must not answer any request.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web.resource import Resource

from netrunner.web.gate import Gate
from netrunner.web.live import Feed
from netrunner.web.logs import InFlight, Logs, Performance, Stats
from netrunner.web.records import Records
from netrunner.web.summaries import summaries
from netrunner.web.tree import Branch


def api(gate: Gate, records: Records) -> Mapping[bytes, Resource]:
    """Return ``/api`` and ``/ws``."""
    root, sockets = Branch(), Branch()
    for name, resource in {
        b"logs": Logs(gate, records),
        b"stats": Stats(gate, records),
        b"inflight": InFlight(gate, records),
        b"performance": Performance(gate, records),
        b"live": Feed(gate, records.live, records.onlookers, False, records.neighbours, records.watch),
        **summaries(gate, records),
    }.items():
        root.putChild(name, resource)
    feed = Feed(gate, records.live, records.onlookers, True, records.neighbours, records.watch)
    sockets.putChild(b"dashboard", feed)
    return {b"api": root, b"ws": sockets}
