"""A process that serves the dashboard on loopback with stand-ins for the API, driven by the test over HTTP.

``python -m tests.support.dashboard_server`` prints its port. What is to happen a test posts as JSON to ``/stage``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from netrunner.clock import SystemClock
from netrunner.http.request import Request
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.pipeline.exchange import Exchange
from netrunner.sse import event
from netrunner.values import Headers, Outcome, Record, Usage
from netrunner.web.dashboard import rows
from tests.support.dashboard import REQUEST, STREAM, Stage, record

_STREAM: Headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class Streams:
    """Event streams that stay open, by name."""

    def __init__(self) -> None:
        self._open: dict[str, list[Request]] = {}

    def open(self, name: str, request: Request) -> int:
        """Begin a stream."""
        request.begin(200, b"", _STREAM)
        request.send(b": hello\n\n")
        self._open.setdefault(name, []).append(request)
        return NOT_DONE_YET

    def tell(self, name: str, kind: str, value: Any) -> None:
        """Send an event to all that listen."""
        for request in self._open.get(name, []):
            request.send(b"event: " + kind.encode() + b"\n" + event(value))

    def names(self) -> list[str]:
        """Return the streams that anybody has opened."""
        return list(self._open)


class Live(Resource):
    """``GET /api/live``."""

    isLeaf = True

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self._streams = streams

    def render(self, request: Any) -> int:
        """Open it."""
        return self._streams.open("feed", request)


class Tail(Resource):
    """``GET /api/logs/{id}/live``."""

    isLeaf = True

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self._streams = streams

    def render(self, request: Any) -> int:
        """Open it."""
        return self._streams.open(request.postpath[0].decode(), request)


class End(Resource):
    """``POST /api/inflight/{id}/end``."""

    isLeaf = True

    def __init__(self, theatre: Theatre) -> None:
        super().__init__()
        self._theatre = theatre

    def render(self, request: Any) -> int:
        """End it, if the page asks as it should."""
        wanted = request.header(b"x-requested-with") == b"netrunner" and request.method == b"POST"
        if not wanted or request.header(b"content-type") != b"application/json":
            request.respond(403, [], b"")
            return NOT_DONE_YET
        self._theatre.end({"id": request.postpath[0].decode(), "outcome": "cancelled", "status": 503})
        request.respond(200, [(b"content-type", b"application/json")], b"{}")
        return NOT_DONE_YET


class Counted:
    """A tap that has read usage."""

    finish_reason = "stop"
    error = None

    def __init__(self, usage: Usage) -> None:
        self.usage = usage

    def close(self) -> None:
        """Nothing is held."""


class Theatre(Resource):
    """``POST /stage``: lets happen what a test wants."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._clock = SystemClock(reactor)
        sweep = Sweep(self._clock)
        sweep.start()
        self.site = Site(self, sweep, Limits(idle_timeout_s=600))
        self.anew({})

    def anew(self, told: dict[str, Any]) -> None:
        """Begin with nothing recorded and nothing in flight."""
        self.stage = Stage(clock=self._clock)
        self.streams = Streams()
        self.stage.live.follow(self, self.began)
        api = Resource()
        api.putChild(b"live", Live(self.streams))
        api.putChild(b"logs", Tail(self.streams))
        api.putChild(b"inflight", End(self))
        self.stage.root.putChild(b"api", api)
        self.stage.root.putChild(b"stage", self)
        self.site.resource = self.stage.root

    def render(self, request: Any) -> int:
        """Do one thing and answer what came of it."""
        step = json.loads(request.body())
        result = getattr(self, step.pop("do"))(step)
        request.respond(200, [(b"content-type", b"application/json")], json.dumps(result).encode())
        return NOT_DONE_YET

    # What a test may ask for.

    def record(self, changes: dict[str, Any]) -> str:
        """Put a record into the log; return its id."""
        number, age_s = changes.pop("number", len(self.stage.log.records)), changes.pop("age_s", 0.0)
        if "usage" in changes and changes["usage"] is not None:
            changes["usage"] = Usage(*changes["usage"])
        asked, answer = changes.pop("asked", REQUEST), changes.pop("answer", STREAM.decode()).encode()
        content_type = changes.pop("content_type", "text/event-stream").encode()
        at = self.stage.clock.wall() - age_s
        base = record(number, at)
        changes = {"id": base.id, "at_accept": at, **changes}
        return self.stage.with_bodies(number, asked, answer, content_type, **changes).id

    def bound(self, told: dict[str, Any]) -> None:
        """Let a page of the log look at so many records."""
        self.stage.log.most = told["most"]

    def begin(self, changes: dict[str, Any]) -> str:
        """Begin an exchange; return its id."""
        changes = {name: value.encode() if name in ("path", "method") else value for name, value in changes.items()}
        if "usage" in changes:
            changes["tap"] = Counted(Usage(*changes.pop("usage")))
        return self.stage.begin(**changes).id

    def say(self, told: dict[str, Any]) -> None:
        """Let an exchange's answer flow on."""
        self.streams.tell(told["id"], "piece", {"direction": "response", "text": told["text"]})

    def end(self, told: dict[str, Any]) -> None:
        """End an exchange."""
        exchange = self.stage.live.inflight[told["id"]]
        exchange.end(Outcome(told.get("outcome", "done")), told.get("status", 200), told.get("error"))

    def watched(self, told: dict[str, Any]) -> list[str]:
        """Tell which streams are open."""
        return self.streams.names()

    # Following the exchanges, as the API does.

    def began(self, exchange: Exchange) -> None:
        """Tell the feed."""
        row = rows.row_in_flight(exchange)
        self.streams.tell("feed", "new_request", {**_plain(row), "duration_ms": row["elapsed_ms"]})

    def ended(self, record: Record) -> None:
        """Write it down, and tell the feed and those who watch."""
        self.stage.log.records.append(record)
        usage = None if record.usage is None else msgspec.structs.asdict(record.usage)
        row = {**_plain(rows.row_of(record)), "usage": usage}
        self.streams.tell("feed", "request_completed", row)
        self.streams.tell(record.id, "ended", row)


def _plain(row: rows.Row) -> rows.Row:
    """Return a row with what the API's rows have, and nothing that only the pages know."""
    return {name: value for name, value in row.items() if name not in ("state", "word", "was", "tokens", "elapsed_ms")}


def main() -> None:
    """Serve until the test closes our standard input."""
    from twisted.internet import reactor, stdio  # noqa: TID251 - the door of this process
    from twisted.internet.protocol import Protocol

    class Watch(Protocol):
        def connectionLost(self, reason: Any = None) -> None:
            if reactor.running:
                reactor.stop()

    def listening(port: IListeningPort) -> None:
        print(port.getHost().port, flush=True)  # type: ignore[attr-defined]  # noqa: T201 - an address of TCP

    stdio.StandardIO(Watch())
    theatre = Theatre(reactor)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    endpoint.listen(theatre.site).addCallback(listening)
    reactor.run()


if __name__ == "__main__":
    main()
    sys.exit(0)
