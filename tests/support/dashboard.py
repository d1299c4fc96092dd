"""The dashboard with stand-ins for the log and the journal, and records to show."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import Expired
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.ids import uuid7
from netrunner.interfaces import ICopies
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.live import Live
from netrunner.query import parse
from netrunner.sse import DONE, event
from netrunner.testing.fakes import FakeClock
from netrunner.values import Attempt, Copy, Headers, MessageHead, Record, Usage
from netrunner.web.dashboard.look import Look
from netrunner.web.dashboard.lookout import Lookout
from netrunner.web.dashboard.pages import Dashboard, quiet
from netrunner.web.gate import Gate
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.tree import Branch
from tests.support.client import Answer, Client, answers
from tests.support.shelf import Log
from tests.support.stage import LOOPBACK, request

OPENAI = OpenAIDialect()
NOW_S = 1_764_112_000.0
"""2025-11-25T23:06:40Z, where the fake clock begins."""
REQUEST = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "Why is the sky blue?"},
    ],
}
WORDS = ("Because ", "air scatters ", "blue light ", "most.")
STREAM = b"".join(event({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in WORDS) + DONE


@cache
def look() -> Look:
    """Return the package's templates, compiled once for all tests."""
    return Look()


@implementer(ICopies)
class Copies:
    """Keeps messages in memory; what it does not have has expired."""

    def __init__(self) -> None:
        self._messages: dict[Copy, tuple[MessageHead, bytes]] = {}

    def add(self, start: bytes, headers: Headers, body: bytes, complete: bool = True) -> Copy:
        """Keep a message and return where it is."""
        copy = Copy("boot", len(self._messages), len(body), complete)
        self._messages[copy] = MessageHead(start, headers), body
        return copy

    def forget(self) -> None:
        """Let everything expire."""
        self._messages.clear()

    def head(self, copy: Copy) -> MessageHead:
        """Return the head."""
        return self._message(copy)[0]

    def pieces(self, copy: Copy) -> Iterator[bytes]:
        """Yield the body in pieces of 64 KiB."""
        for start in range(0, copy.bytes, 65536):
            yield self._message(copy)[1][start : start + 65536]

    def _message(self, copy: Copy) -> tuple[MessageHead, bytes]:
        try:
            return self._messages[copy]
        except KeyError as error:
            raise Expired("the journal no longer has it") from error


def record(number: int, at: float = NOW_S, **changes: Any) -> Record:
    """Return the record of a chat that began at ``at``; ``number`` makes its id, and is newer when it is greater."""
    whole = Record(
        id=uuid7(at, lambda bits: number),
        request_id=f"request-{number}",
        correlation_id=None,
        at_accept=at,
        source="127.0.0.1",
        method="POST",
        path="/v1/chat/completions",
        route="models",
        dialect="openai",
        streaming=True,
        model="gpt-4o",
        upstream_model="gpt-4o",
        provider="openai",
        upstream="https://api.openai.com:443",
        attempts=[Attempt("openai", "gpt-4o", 200, None, True)],
        status=200,
        outcome="done",
        error=None,
        finish_reason="stop",
        usage=Usage(24, 13),
        bytes_in=230,
        bytes_out=1840,
        duration_s=1.37,
        timings={"body": 0.002, "upstream_sent": 0.004, "first_byte": 0.41, "last_byte": 1.37},
        token="sk-abc…",
    )
    return msgspec.structs.replace(whole, **changes)


class Stage:
    """The dashboard's resources on a site in memory.

    Args:
        records: What the log has.
        gate: Who is let in; local requests unless told otherwise.
        clock: Time; a fake one at ``NOW_S`` unless told otherwise.
        neighbours: What goes on in other processes.
        alerts: Tells what an operator has to know now.
    """

    def __init__(
        self,
        *records: Record,
        gate: Gate | None = None,
        clock: Any = None,
        neighbours: Neighbours = ALONE,
        alerts: Callable[[], Awaitable[list[dict[str, Any]]]] = quiet,
    ) -> None:
        self.clock = clock or FakeClock(NOW_S)
        self.log = Log(records)
        self.copies = Copies()
        self.live = Live()
        self.lookout = Lookout(self.live, self.clock, look())
        self.dashboard = Dashboard(
            gate or Gate(None, None), lambda: self.log, self.copies, self.lookout, parse, neighbours, alerts
        )
        self.root = Branch()
        for name, resource in self.dashboard.resources().items():
            self.root.putChild(name, resource)

    def site(self) -> Site:
        """Return a site of the tree."""
        return Site(self.root, Sweep(self.clock), Limits())

    def get(self, path: str, *fields: str, method: str = "GET") -> Answer:
        """Return the answer for a path."""
        client = Client(self.site(), self.clock)
        client.transport.hostAddr = LOOPBACK
        client.say(request(path, b"", *fields, method=method))
        self.clock.advance(0)
        (answer,) = answers(client.heard(), method.encode())
        return answer

    def text(self, path: str) -> str:
        """Return the page at a path."""
        answer = self.get(path)
        assert answer.status == 200, answer
        return answer.body.decode()

    def begin(self, number: int = 1, **changes: Any) -> Exchange:
        """Begin an exchange; ``end`` on it ends it."""
        exchange = Exchange(
            id=uuid7(self.clock.wall(), lambda bits: number),
            request_id=f"request-{number}",
            correlation_id=None,
            method=changes.pop("method", b"POST"),
            path=changes.pop("path", b"/v1/chat/completions"),
            query=b"",
            headers=[],
            source=changes.pop("source", "127.0.0.1"),
            route="models",
            endpoint="chat/completions",
            dialect=changes.pop("dialect", OPENAI),
            clock=self.clock,
            on_end=self.live.ended,
        )
        exchange.model, exchange.upstream_model, exchange.provider = "gpt-4o", "gpt-4o", "openai"
        for name, value in changes.items():
            setattr(exchange, name, value)
        self.live.began(exchange)
        return exchange

    def with_bodies(
        self,
        number: int,
        asked: Any = REQUEST,
        answer: bytes = STREAM,
        content_type: bytes = b"text/event-stream",
        **changes: Any,
    ) -> Record:
        """Put a record with both bodies into the log and return it."""
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        request_copy = self.copies.add(
            b"POST /v1/chat/completions HTTP/1.1",
            [(b"content-type", b"application/json"), (b"authorization", b"Bearer ***")],
            body,
        )
        response_copy = self.copies.add(b"HTTP/1.1 200 OK", [(b"content-type", content_type)], answer)
        changes = {"request_copy": request_copy, "response_copy": response_copy, **changes}
        self.log.records.append(record(number, **changes))
        return self.log.records[-1]
