"""A server in memory for the load of ``netrunner bench``: it takes requests, and answers when a test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from netrunner.cli.bench.load import Load
from netrunner.cli.bench.schedule import Plan
from netrunner.cli.bench.targets import Target
from netrunner.testing.fakes import FakeClock
from netrunner.values import Headers, Origin, ResponseHead, UpstreamRequest

CHAT = Target("/v1/chat/completions", "openai", "chat/completions")
BARE = Target("/", None, "")
_ORIGIN = Origin("http", "127.0.0.1", 80)


@dataclass
class Exchange:
    """One request that is under way."""

    request: UpstreamRequest
    receiver: Any
    aborted: bool = False

    def abort(self) -> None:
        """Note it."""
        self.aborted = True

    def head(self, status: int = 200, *headers: tuple[bytes, bytes]) -> Exchange:
        """Send the head."""
        self.receiver.head_received(ResponseHead(status, b"", list(headers)))
        return self

    def body(self, data: bytes, last: bool = False) -> Exchange:
        """Send a part of the body."""
        self.receiver.body_received(data, last)
        return self

    def answer(self, status: int = 200) -> None:
        """Send an answer without a word."""
        self.head(status).body(b"", True)


@dataclass
class Server:
    """What requests are sent to."""

    exchanges: list[Exchange] = field(default_factory=list)

    def send(self, request: UpstreamRequest, receiver: Any) -> Exchange:
        """Take a request."""
        exchange = Exchange(request, receiver)
        self.exchanges.append(exchange)
        receiver.sent(False)
        return exchange


def numbered(number: int) -> UpstreamRequest:
    """Return the request of a number."""
    headers: Headers = []
    return UpstreamRequest(_ORIGIN, b"GET", b"/%d" % number, headers)


def load(clock: FakeClock, server: Server, target: Target = BARE, **plan: Any) -> Load:
    """Return a load that has not begun."""
    return Load(clock, server, Plan(**plan), target, numbered)
