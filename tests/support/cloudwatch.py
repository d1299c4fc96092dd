"""A server that takes log events as CloudWatch Logs does: by its protocol, and within its limits."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

MIB = 1024 * 1024
HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS


class Taken(NamedTuple):
    """One event that was stored."""

    timestamp: int
    message: str


class Fault(Exception):
    """An error answer: its status and its name."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status = status
        self.name = name


class CloudWatchLogs:
    """PutLogEvents, CreateLogGroup and CreateLogStream on a port of 127.0.0.1; a context manager.

    Every limit of PutLogEvents is enforced. ``faults`` are met by the next calls of it, one each: a ``Fault`` is
    answered with, None is a connection that breaks after everything was stored.
    """

    def __init__(self) -> None:
        self.now_ms = int(time.time() * 1000)
        self.streams: dict[tuple[str, str], list[Taken]] = {}
        self.groups: set[str] = set()
        self.faults: list[Fault | None] = []
        self.calls: list[str] = []
        """Names of all calls, in order."""
        self.unsigned = 0
        self.refused: list[str] = []
        """Why batches were refused whole."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def taken(self) -> list[Taken]:
        """What the only stream holds."""
        (events,) = self.streams.values()
        return events

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        logs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                logs.unsigned += not (self.headers["authorization"] or "").startswith("AWS4-HMAC-SHA256 ")
                status, answer = logs.answer(self.headers["x-amz-target"], body)
                if not status:
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def answer(self, target: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body for one call; status 0 breaks the connection."""
        version, _, name = target.partition(".")
        assert version == "Logs_20140328"
        self.calls.append(name)
        try:
            if name == "PutLogEvents":
                fault = self.faults.pop(0) if self.faults else Fault(0, "")
                if fault is not None and fault.status:
                    raise fault
                answer = self._put(**asked)
                return (0 if fault is None else 200), answer
            return 200, self._create(name, **asked)
        except Fault as fault:
            return fault.status, {"__type": fault.name, "message": fault.name}

    def _create(self, name: str, logGroupName: str, logStreamName: str = "") -> dict[str, Any]:
        there = (
            logGroupName in self.groups if name == "CreateLogGroup" else (logGroupName, logStreamName) in self.streams
        )
        if there:
            raise Fault(400, "ResourceAlreadyExistsException")
        if name == "CreateLogGroup":
            self.groups.add(logGroupName)
        elif logGroupName in self.groups:
            self.streams[logGroupName, logStreamName] = []
        else:
            raise Fault(400, "ResourceNotFoundException")
        return {}

    def _put(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> dict[str, Any]:
        stream = self.streams.get((logGroupName, logStreamName))
        if stream is None:
            raise Fault(400, "ResourceNotFoundException")
        events = [Taken(event["timestamp"], event["message"]) for event in logEvents]
        self._check(events)
        times = [event.timestamp for event in events]
        old = sum(at < self.now_ms - 14 * DAY_MS for at in times)
        new = sum(at > self.now_ms + 2 * HOUR_MS for at in times)
        stream += events[old : len(events) - new]
        info = {"tooOldLogEventEndIndex": old} if old else {}
        info |= {"tooNewLogEventStartIndex": len(events) - new} if new else {}
        return {"nextSequenceToken": "x", **({"rejectedLogEventsInfo": info} if info else {})}

    def _check(self, events: list[Taken]) -> None:
        sizes = [len(event.message.encode()) + 26 for event in events]
        times = [event.timestamp for event in events]
        rules = {
            "no events": not events,
            "an empty message": any(not event.message for event in events),
            "more than 10,000 events": len(events) > 10_000,
            "an event over 256 KiB": any(size > 256 * 1024 for size in sizes),
            "a batch over 1 MiB": sum(sizes) > MIB,
            "out of order": times != sorted(times),
            "a span over 24 hours": bool(times) and max(times) - min(times) > DAY_MS,
        }
        broken = [rule for rule, is_broken in rules.items() if is_broken]
        if broken:
            self.refused += broken
            raise Fault(400, "InvalidParameterException")
