"""The log API in memory: over a shelf of records, and a stage whose exchanges it sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from zope.interface import implementer

from netrunner.errors import Expired
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.interfaces import ICopies
from netrunner.testing.fakes import FakeClock
from netrunner.values import Copy, MessageHead, Record
from netrunner.web.alerts import Watch
from netrunner.web.gate import Gate
from netrunner.web.live import Onlookers
from netrunner.web.log_api import api
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.recent import Recent
from netrunner.web.records import Records
from netrunner.web.tree import NOTHING, pages_alone
from tests.journal.conftest import make_record
from tests.support.client import Client
from tests.support.shelf import Log
from tests.support.stage import LOOPBACK, Stage, request


@implementer(ICopies)
class Bodies:
    """Messages by the offset of their copy."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}

    def head(self, copy: Copy) -> MessageHead:
        """Return the same for all."""
        return MessageHead(b"POST /x HTTP/1.1", [(b"authorization", b"***")])

    def pieces(self, copy: Copy) -> Iterator[bytes]:
        """Yield the body in pieces of 64 KiB."""
        if copy.offset not in self.bodies:
            raise Expired("gone")
        data = self.bodies[copy.offset]
        for at in range(0, len(data), 65536):
            yield data[at : at + 65536]


class Office:
    """The API over a shelf, and a stage whose exchanges it sees."""

    def __init__(self, neighbours: Neighbours = ALONE, watch: Watch | None = None) -> None:
        self.stage = Stage()
        self.clock: FakeClock = self.stage.clock
        self.shelf = Log()
        self.bodies = Bodies()
        self.onlookers = Onlookers(self.clock)
        self.live = self.stage.pipeline.live
        self.recent = Recent(self.live)
        records = Records(
            lambda: self.shelf, self.bodies, self.live, self.clock, self.onlookers, self.recent, neighbours, watch
        )
        self.site = Site(
            pages_alone(api(Gate(None, None), records), self.clock), Sweep(self.clock), Limits(), NOTHING.refusal
        )

    def client(self) -> Client:
        """Return a client on this machine."""
        client = Client(self.site, self.clock)
        client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
        return client

    def ask(self, path: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Return the answer to one request: status, fields by lowercase names, body."""
        client = self.client().say(request(path, b"", *fields, method=method))
        self.clock.pump([0] * 50)
        heard = client.heard()
        head, _, body = heard.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}, body

    def json(self, path: str) -> Any:
        """Return what is told at a path."""
        status, headers, body = self.ask(path)
        assert (status, headers["content-type"]) == (200, "application/json")
        return json.loads(body)

    def record(
        self, number: int, request: bytes | None = None, response: bytes | None = None, **changes: Any
    ) -> Record:
        """Put a record on the shelf, with the bodies that are given."""
        record = make_record(number, **changes)
        for name, offset, body in (("request_copy", number * 2, request), ("response_copy", number * 2 + 1, response)):
            if body is not None:
                self.bodies.bodies[offset] = body
                setattr(record, name, Copy("boot", offset, len(body), True))
        self.shelf.records.append(record)
        return record
