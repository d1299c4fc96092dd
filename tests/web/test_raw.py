"""Raw routes: which of them serves a path, and that everything goes through as it comes."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import IHeadPhase
from netrunner.values import Origin
from tests.support.client import Client, answers
from tests.support.stage import EVENT, JSON, SSE, Stage, body_of, error_of, request

ROUTES = {
    "/api/v1/": ("https://router.example/", "keep"),
    "/api/v1/deep/": ("http://deep.example:81/base/", "replace"),
    "/v1/special/": ("http://special.example", "keep"),
    "/v1/embeddings": ("http://embed.example/e", "replace"),
    "/v1/chat": ("http://chat.example", "keep"),
    "/health": ("http://health.example", "keep"),
}


def reached(path: str, method: str = "GET") -> tuple[str, bytes] | None:
    """Return the host and target that a request goes to by a raw route."""
    stage = Stage(routes=ROUTES)
    stage.client().say(request(path, b"", method=method))
    if not stage.upstream.calls:
        return None
    return stage.call.request.origin.host, stage.call.request.target


@pytest.mark.parametrize(
    ("path", "host", "target"),
    [
        ("/api/v1/chat/completions?a=b&a=c", "router.example", b"/api/v1/chat/completions?a=b&a=c"),
        ("/api/v1", "router.example", b"/api/v1"),
        ("/api/v1/", "router.example", b"/api/v1/"),
        ("/api/v1/deeper", "router.example", b"/api/v1/deeper"),
        ("/api/v1/deep/x", "deep.example", b"/base/x"),
        ("/api/v1/deep", "deep.example", b"/base/"),
        ("/api/v1/deep//x", "deep.example", b"/base//x"),
        ("/api/v1/deep/x/?q", "deep.example", b"/base/x/?q"),
        ("/%61pi/v1/deep/%7Ex%20y", "deep.example", b"/base/~x%20y"),
        ("/v1/special/x", "special.example", b"/v1/special/x"),
        ("/v1/embeddings", "embed.example", b"/e/"),
        ("/v1/chat/other", "chat.example", b"/v1/chat/other"),
        ("/health", "health.example", b"/health"),
        ("/api/v1/x?key=mine", "router.example", b"/api/v1/x?key=mine"),
    ],
)
def test_the_longest_prefix_wins_and_a_route_wins_a_tie(path: str, host: str, target: bytes) -> None:
    assert reached(path) == (host, target)


PAGE = (Path(__file__).parents[2] / "docs" / "raw-routes.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| `(.*?)` \| `(.*?)` \| `(.*?)` \| `(.*?)` \|$", PAGE, re.MULTILINE)


def test_the_page_tells_which_path_there_a_path_here_has() -> None:
    assert len(ROWS) >= 4
    for rewrite, source, destination, path, url in ROWS:
        stage = Stage(routes={source: (destination, rewrite)})
        stage.client().say(request(path, b"", method="GET"))
        sent = stage.call.request
        assert f"{sent.origin.scheme}://{sent.origin.authority.decode()}{sent.target.decode()}" == url


@pytest.mark.parametrize(
    ("path", "host", "target"),
    [
        ("/", "all.example", b"/"),
        ("/x/y?z", "all.example", b"/x/y?z"),
        ("//x", "all.example", b"//x"),
        ("/api/v1/x", "router.example", b"/api/v1/x"),
        ("/a%2Fb/%2e.c", "all.example", b"/a%2Fb/..c"),
    ],
)
def test_a_route_for_everything_takes_what_nothing_else_has(path: str, host: str, target: bytes) -> None:
    stage = Stage(routes={"/": ("http://all.example", "keep"), **ROUTES})
    stage.client().say(request(path, b"", method="GET"))
    assert (stage.call.request.origin.host, stage.call.request.target) == (host, target)
    stage.client().say(request("/v1/chat/completions", {"model": "m", "messages": []}))
    assert stage.call.request.origin.host == "up.example"


@pytest.mark.parametrize(
    "path", ["/api/v1x", "/api", "/v1/chat/completions", "/v1/specialx", "/healthy", "/v1/models", "/"]
)
def test_a_prefix_ends_at_a_slash_and_a_longer_built_in_path_wins(path: str) -> None:
    assert reached(path) is None


def test_every_field_of_the_client_goes_on_but_what_is_hop_by_hop() -> None:
    stage = Stage(routes=ROUTES)
    fields = [
        "Authorization: Bearer mine",
        "Cookie: a=b",
        "X-Many: 1",
        "X-Many: 2",
        "Accept-Encoding: gzip",
        "Connection: keep-alive, x-private",
        "X-Private: 1",
        "Keep-Alive: timeout=5",
        "TE: trailers",
    ]
    stage.client().say(request("/api/v1/x", b"", *fields))
    assert stage.call.request.origin == Origin("https", "router.example", 443)
    assert stage.call.request.headers == [
        (b"authorization", b"Bearer mine"),
        (b"cookie", b"a=b"),
        (b"x-many", b"1"),
        (b"x-many", b"2"),
        (b"accept-encoding", b"gzip"),
    ]


@pytest.mark.parametrize("status", [200, 301, 307, 400, 401, 403, 404, 429, 500, 503])
def test_status_fields_and_body_come_back_as_they_are(status: int) -> None:
    stage = Stage(routes=ROUTES)
    client = stage.client().say(request("/api/v1/x"))
    packed = gzip.compress(b'{"error": {"message": "no"}}')
    fields = [
        (b"set-cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
        (b"server", b"them"),
        (b"location", b"http://elsewhere.example/"),
        (b"content-encoding", b"gzip"),
        (b"x-request-id", b"theirs"),
        (b"content-length", b"%d" % len(packed)),
    ]
    stage.call.head(status, *fields, reason=b"As Is").body(packed, True)
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 %d As Is\r\n" % status)
    assert all(b"%b: %b\r\n" % field in heard for field in fields)
    assert heard.count(b"x-request-id") == 1
    assert heard.endswith(b"\r\n\r\n" + packed)
    assert len(stage.upstream.calls) == 1
    record = stage.record()
    assert (record.outcome, record.status, record.route) == ("done", status, "raw")


def test_a_stream_is_not_held_and_its_head_does_not_wait_for_an_event() -> None:
    stage = Stage(routes=ROUTES)
    client = stage.client().say(request("/api/v1/x"))
    stage.call.head(200, SSE)
    assert client.heard().startswith(b"HTTP/1.1 200 Fine\r\n")
    stage.call.body(b'data: {"error": {"code": 500}}\n\n').body(EVENT[:3])
    assert client.heard().count(b"\r\n") == 4 + 0
    stage.call.fail()
    assert client.heard() == b""
    assert client.transport.disconnecting
    assert stage.record().outcome == "upstream_truncated"


def test_an_upstream_that_cannot_be_reached_is_a_bad_gateway() -> None:
    stage = Stage(routes=ROUTES)
    client = stage.client().say(request("/api/v1/x"))
    stage.call.fail()
    (answer,) = answers(client.heard())
    assert answer.status == 502
    assert error_of(answer.body)["code"] == "upstream_truncated"


class Taker:
    """What a connection is to a body that is passed on."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.taken: list[bytes] = []
        self.done: list[Any] = []
        body.startProducing(self).addBoth(self.done.append)

    def write(self, data: bytes) -> None:
        """Take it."""
        self.taken.append(data)


def upload(stage: Stage, length: int) -> Client:
    head = f"PUT /api/v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return stage.client().say(head.encode())


def test_an_upload_is_passed_on_piece_by_piece_and_waits_for_the_upstream() -> None:
    stage = Stage(routes=ROUTES, max_body_bytes=10, max_buffered_bytes=10)
    client = upload(stage, 1 << 20)
    taker = Taker(stage.call.request.body)
    for _ in range(4):
        client.say(b"x" * 1000)
    assert b"".join(taker.taken) == b"x" * 4000
    assert stage.site.buffered_bytes == 0
    taker.body.pauseProducing()
    assert client.is_paused()
    taker.body.resumeProducing()
    assert not client.is_paused()
    client.say(b"y" * ((1 << 20) - 4000))
    assert taker.done == [None]
    stage.call.head(200, JSON).body(b"{}", True)
    assert answers(client.heard(), b"PUT")[0].status == 200
    assert stage.record().bytes_in == 1 << 20


def test_a_client_that_breaks_off_its_upload_is_gone() -> None:
    stage = Stage(routes=ROUTES)
    client = upload(stage, 100)
    taker = Taker(stage.call.request.body)
    client.say(b"x" * 10)
    taker.body._done.addErrback(lambda _: None)
    client.settle()
    record = stage.record()
    assert (record.outcome, record.bytes_in) == ("client_gone", 10)


@implementer(IHeadPhase)
class Slow:
    """Takes its time with every head."""

    def __init__(self) -> None:
        self.waiting: Deferred[None] = Deferred()

    async def on_head(self, exchange: Any) -> None:
        """Wait."""
        await self.waiting


def test_nothing_is_sent_for_a_client_that_left_while_a_filter_took_its_time() -> None:
    slow = Slow()
    stage = Stage(slow, routes=ROUTES)
    client = stage.client().say(request("/api/v1/x", b"data", method="POST"))
    client.settle()
    slow.waiting.callback(None)
    assert stage.upstream.calls == []
    assert stage.record().outcome == "client_gone"


def test_a_slow_filter_holds_an_upload_back_and_nothing_is_lost() -> None:
    slow = Slow()
    stage = Stage(slow, routes=ROUTES)
    client = stage.client().say(request("/api/v1/x", b"data", method="POST"))
    assert stage.upstream.calls == []
    slow.waiting.callback(None)
    taker = Taker(stage.call.request.body)
    assert (taker.taken, taker.done) == ([b"data"], [None])
    stage.call.head(204).body(b"", True)
    assert answers(client.heard(), b"POST")[0].status == 204


def test_a_reason_field_that_is_ours_is_not_doubled() -> None:
    stage = Stage(routes=ROUTES)
    client = stage.client().say(request("/api/v1/x", b"", "X-Request-ID: mine"))
    stage.call.head(200, JSON).body(b"{}").body(b"", True)
    heard = client.heard()
    assert b"x-request-id: mine\r\n" in heard
    assert body_of(heard) == b"{}"
