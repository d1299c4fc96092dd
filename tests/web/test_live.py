"""Feeds and tails: who looks on is told, and whoever leaves, lies or does not read costs nothing."""

from __future__ import annotations

import base64

import pytest
from twisted.internet.address import IPv4Address
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.pipeline.live import Live
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.web.gate import Gate
from netrunner.web.live import Feed, Onlookers
from tests.support.client import Client
from tests.support.stage import request

UPGRADE = (
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


class Theatre:
    """One feed in memory."""

    def __init__(self, sockets: bool, gate: Gate | None = None) -> None:
        self.clock = FakeClock()
        self.live = Live()
        self.onlookers = Onlookers(self.clock)
        feed = Feed(gate or Gate(None, None), self.live, self.onlookers, sockets)
        sweep = Sweep(self.clock)
        sweep.start()
        self.client = Client(Site(feed, sweep, Limits()), self.clock)
        self.client.transport.hostAddr = IPv4Address("TCP", "127.0.0.1", 8080)
        self.client.transport.peerAddr = IPv4Address("TCP", "127.0.0.1", 50000)


def frame(event: CloseConnection | TextMessage) -> bytes:
    return Connection(ConnectionType.CLIENT).send(event)


def test_a_word_that_comes_with_the_handshake_is_answered() -> None:
    theatre = Theatre(sockets=True)
    heard = theatre.client.say(request("/", b"", *UPGRADE) + frame(TextMessage('{"type":"ping"}'))).heard()
    assert heard.startswith(b"HTTP/1.1 101 ")
    assert b'"pong"' in heard


def test_one_who_leaves_with_the_handshake_is_not_counted_as_looking_on() -> None:
    theatre = Theatre(sockets=True)
    theatre.client.say(request("/", b"", *UPGRADE) + frame(CloseConnection(1000)))
    theatre.client.settle()
    assert len(theatre.onlookers) == 0
    assert theatre.live._followers == ()


def test_a_feed_that_nobody_reads_is_cut_when_all_are_sent_home() -> None:
    theatre = Theatre(sockets=False)
    theatre.client.say(request("/"))
    theatre.client.channel.pauseProducing()
    theatre.client.transport.dataBuffer = b"x"
    theatre.onlookers.close()
    theatre.client.site.stop_accepting()
    theatre.client.pass_time(5)
    assert theatre.client.is_over()


@pytest.mark.parametrize("origin", ["http://[", "null", "https://evil.example"])
def test_an_origin_that_is_not_ours_is_refused(origin: str) -> None:
    theatre = Theatre(sockets=True, gate=Gate(Secret("a"), Secret("b")))
    credential = "Authorization: Basic " + base64.b64encode(b"a:b").decode()
    heard = theatre.client.say(request("/", b"", *UPGRADE, credential, f"Origin: {origin}")).heard()
    assert heard.startswith(b"HTTP/1.1 403 ")


def test_head_of_a_feed_does_not_hold_the_connection() -> None:
    theatre = Theatre(sockets=False)
    theatre.client.say(request("/", method="HEAD"))
    assert len(theatre.onlookers) == 0


def test_a_slow_feed_is_told_at_its_end_that_it_missed_something() -> None:
    theatre = Theatre(sockets=False)
    theatre.client.say(request("/"))
    theatre.client.channel.pauseProducing()
    (outbox,) = theatre.onlookers._open
    for _ in range(5):
        outbox.put("piece", {"text": "x" * 100_000})
    theatre.client.channel.resumeProducing()
    assert b'event: skipped\ndata: {"events":3}' in theatre.client.heard()


def test_one_who_leaves_a_feed_leaves_nothing_behind() -> None:
    theatre = Theatre(sockets=False)
    theatre.client.say(request("/"))
    assert len(theatre.onlookers) == 1
    theatre.client.settle()
    assert len(theatre.onlookers) == 0
    assert theatre.live._followers == ()
