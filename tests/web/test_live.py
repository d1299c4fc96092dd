"""Feeds and tails: who looks on is told, and whoever leaves, lies or does not read costs nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong, TextMessage

from netrunner import sse
from netrunner.http.outbox import MAX_WAITING_BYTES
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.pipeline.live import Live
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.values import Record
from netrunner.web.gate import Gate
from netrunner.web.live import Feed, Onlookers
from netrunner.web.tellers import LOOK_S
from tests.support.client import Client
from tests.support.office import Office
from tests.support.stage import DONE, EVENT, SSE, body_of, request

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


def frame(event: Event) -> bytes:
    return Connection(ConnectionType.CLIENT).send(event)


def frames(heard: bytes) -> list[Any]:
    """Return what a WebSocket said after its handshake: events by name and data, all else but pings as it is."""
    wire = Connection(ConnectionType.CLIENT)
    wire.receive_data(heard.partition(b"\r\n\r\n")[2])
    said: list[Any] = []
    for event in wire.events():
        if isinstance(event, TextMessage):
            told = json.loads(event.data)
            said.append((told["type"], told["data"]))
        elif not isinstance(event, Ping):
            said.append(event)
    return said


def events(body: bytes) -> list[tuple[str, Any]]:
    """Return name and data of Server-Sent Events."""
    return [((event.name or b"").decode(), json.loads(event.data)) for event in sse.Reader().feed(body)]


class Tailed:
    """A stream in progress in memory, and one who looks at it.

    Args:
        way: ``live`` or ``ws``.
    """

    def __init__(self, way: str = "live") -> None:
        self.office = Office()
        self.stage = self.office.stage
        self.caller = self.stage.ask({"model": "m", "messages": [], "stream": True})
        [self.id] = self.office.live.inflight
        self.client = self.office.client()
        self.client.say(request(f"/api/logs/{self.id}/{way}", b"", *(UPGRADE if way == "ws" else ())))
        self.heard = b""

    def seen(self) -> list[tuple[str, Any]]:
        """Return all events so far."""
        self.heard += self.client.heard()
        return events(body_of(self.heard))

    def end(self) -> Record:
        """Let the stream end well."""
        self.stage.call.body(DONE, last=True)
        return self.stage.record()


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
    assert not theatre.live._followers


class Followed:
    """A chat whose body comes after its head, and one who hears of it."""

    def __init__(self) -> None:
        self.office = Office()
        self.clock = self.office.clock
        self.feed = self.office.client()
        self.feed.say(request("/api/live"))
        head, separator, self.body = request("/v1/chat/completions", {"model": "alias", "messages": []}).partition(
            b"\r\n\r\n"
        )
        self.caller = self.office.stage.client().say(head + separator)
        self.heard = b""

    def told(self, after_s: float) -> list[tuple[str, Any, Any]]:
        """Return name, model and provider of all events but the first, some time later."""
        self.clock.advance(after_s)
        self.heard += self.feed.heard()
        return [
            (name, data.get("original_model"), data.get("provider")) for name, data in events(body_of(self.heard))[1:]
        ]


def test_a_feed_tells_of_an_exchange_again_when_it_is_known_who_is_asked() -> None:
    followed = Followed()
    assert followed.told(LOOK_S) == [("new_request", None, None)]
    followed.caller.say(followed.body)
    assert followed.told(LOOK_S)[1:] == [("request_routed", "alias", "up")]
    assert len(followed.told(10 * LOOK_S)) == 2
    (row,) = [data for name, data in events(body_of(followed.heard)) if name == "request_routed"]
    assert (row["mapped_model"], row["is_inflight"]) == ("real", True)


def test_of_an_exchange_that_has_ended_a_feed_tells_its_end_alone() -> None:
    followed = Followed()
    followed.caller.say(followed.body)
    followed.office.stage.pipeline.live.end(next(iter(followed.office.live.inflight)))
    assert [name for name, _, _ in followed.told(LOOK_S)] == ["new_request", "request_completed"]


def test_a_feed_tells_who_is_asked_in_an_exchange_that_began_before_it() -> None:
    followed = Followed()
    late = followed.office.client()
    late.say(request("/api/live"))
    followed.caller.say(followed.body)
    followed.clock.advance(LOOK_S)
    assert [name for name, _ in events(body_of(late.heard()))] == ["dashboard_update", "request_routed"]


def test_nothing_is_looked_for_when_nobody_looks_on_any_more() -> None:
    followed = Followed()
    followed.clock.advance(LOOK_S)
    before = len(followed.clock.getDelayedCalls())
    followed.feed.settle()
    keepalive, look = 1, 1
    assert len(followed.clock.getDelayedCalls()) == before - keepalive - look


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
    assert not theatre.live._followers


def test_a_tail_shows_an_exchange_while_it_flows_and_its_end() -> None:
    tailed = Tailed()
    assert tailed.seen() == []
    tailed.stage.call.head(200, SSE).body(EVENT)
    (_, head), (name, piece) = tailed.seen()
    assert (head["direction"], head["start"]) == ("response", "HTTP/1.1 200 Fine")
    assert ["content-type", "text/event-stream"] in head["headers"]
    assert (name, piece) == ("piece", {"direction": "response", "text": EVENT.decode()})
    record = tailed.end()
    name, ended = tailed.seen()[-1]
    assert (name, ended["id"], ended["outcome"], ended["is_inflight"]) == ("ended", record.id, "done", False)
    assert tailed.heard.endswith(b"\r\n0\r\n\r\n")
    assert len(tailed.office.onlookers) == 0


def test_a_tail_can_be_a_websocket() -> None:
    tailed = Tailed("ws")
    tailed.client.say(frame(TextMessage("ping")))
    tailed.stage.call.head(200, SSE).body(EVENT)
    tailed.end()
    said = frames(tailed.client.heard())
    assert [one[0] for one in said[:-1]] == ["pong", "message", "piece", "piece", "ended"]
    assert (said[-1].code, tailed.client.is_over()) == (1001, True)


@pytest.mark.parametrize("in_log", [False, True])
def test_a_tail_of_what_has_ended_tells_the_end_alone(in_log: bool) -> None:
    tailed = Tailed()
    tailed.stage.call.head(200, SSE)
    record = tailed.end()
    if in_log:
        tailed.office.shelf.records.append(record)
        tailed.office.live.unfollow(tailed.office.recent)
    status, _, body = tailed.office.ask(f"/api/logs/{record.id}/live")
    [(name, ended)] = events(body_of(b"\r\n\r\n" + body))
    assert (status, name, ended["id"]) == (200, "ended", record.id)


@pytest.mark.parametrize("way", ["live", "ws"])
def test_a_tail_of_nothing_is_a_404(way: str) -> None:
    office = Office()
    status, _, body = office.ask(f"/api/logs/0193a1b2-0000-7000-8000-000000000009/{way}", *UPGRADE)
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")


def test_a_page_of_another_host_gets_no_tail() -> None:
    tailed = Tailed()
    status, *_ = tailed.office.ask(f"/api/logs/{tailed.id}/ws", *UPGRADE, "Origin: https://evil.example")
    assert status == 403
    assert len(tailed.office.onlookers) == 1


def test_a_character_in_two_pieces_is_shown_whole_and_half_a_one_is_shown_at_the_end() -> None:
    tailed = Tailed()
    tailed.stage.call.head(200, (b"content-type", b"text/plain"))
    for piece in (b"\xc3", b"\xa4 \xe2\x82"):
        tailed.stage.call.body(piece)
    tailed.stage.call.body(b"", last=True)
    texts = [told["text"] for name, told in tailed.seen() if name == "piece"]
    assert texts == ["ä ", "\ufffd"]
    assert tailed.seen()[-1][0] == "ended"


@pytest.mark.parametrize("way", ["live", "ws"])
def test_one_who_reads_a_tail_too_slowly_is_told_what_it_missed_and_the_end(way: str) -> None:
    tailed = Tailed(way)
    call = tailed.stage.call.head(200, SSE)
    tailed.client.channel.pauseProducing()
    for _ in range(8):
        call.body(sse.event({"choices": [{"index": 0, "delta": {"content": "x" * 60_000}}]}))
    tailed.end()
    tailed.client.channel.resumeProducing()
    told = tailed.seen() if way == "live" else frames(tailed.client.heard())[:-1]
    pieces = [name for name, _ in told].count("piece")
    assert 0 < pieces < 9
    assert [name for name, _ in told[-2:]] == ["skipped", "ended"]
    assert told[-2][1] == {"events": 9 - pieces}


@pytest.mark.parametrize("way", ["live", "ws"])
def test_one_who_does_not_read_changes_nothing_for_the_exchange(way: str) -> None:
    tailed = Tailed(way)
    tailed.client.channel.pauseProducing()
    call = tailed.stage.call.head(200, SSE)
    (outbox,) = tailed.office.onlookers._open
    heard = tailed.caller.heard()
    for _ in range(200):
        call.body(sse.event({"choices": [{"index": 0, "delta": {"content": "x" * 10_000}}]}))
        heard += tailed.caller.heard()
        assert not call.paused
        assert sum(map(len, outbox._waiting)) <= MAX_WAITING_BYTES
    assert len(heard) > 2_000_000
    assert tailed.end().outcome == "done"
    assert tailed.caller.heard().endswith(b"0\r\n\r\n")


def test_one_who_never_reads_to_the_end_is_cut_when_all_are_sent_home() -> None:
    tailed = Tailed()
    tailed.stage.call.head(200, SSE)
    tailed.client.channel.pauseProducing()
    tailed.end()
    assert len(tailed.office.onlookers) == 1
    tailed.office.onlookers.close()
    assert len(tailed.office.onlookers) == 0
    assert tailed.client.is_over()


def test_a_ping_that_finds_no_room_costs_no_count_of_what_was_missed() -> None:
    theatre = Theatre(sockets=True)
    theatre.client.say(request("/", b"", *UPGRADE))
    theatre.client.channel.pauseProducing()
    (outbox,) = theatre.onlookers._open
    for _ in range(5):
        outbox.put("piece", {"text": "x" * 100_000})
    theatre.client.say(frame(Ping(b"1")), frame(Ping(b"2")))
    theatre.client.channel.resumeProducing()
    said = frames(theatre.client.heard())
    assert [bytes(one.payload) for one in said if isinstance(one, Pong)] == [b"2"]
    assert said[-1] == ("skipped", {"events": 3})


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
def test_no_character_of_an_event_ends_its_line(mark: str) -> None:
    theatre = Theatre(sockets=False)
    theatre.client.say(request("/")).heard()
    (outbox,) = theatre.onlookers._open
    outbox.put("piece", {"text": f"a{mark}b"})
    heard = theatre.client.heard()
    assert len(heard.decode().split("\r\n")[1].splitlines()) == 3
    assert json.loads(heard.partition(b"data: ")[2].splitlines()[0]) == {"text": f"a{mark}b"}


@pytest.mark.parametrize("way", [("Sec-WebSocket-Version: 8",), ("Sec-WebSocket-Version: 13, 8",), ()])
def test_what_is_no_handshake_of_ours_is_told_which_would_be(way: tuple[str, ...]) -> None:
    theatre = Theatre(sockets=True)
    fields = [*UPGRADE[:2], *way, UPGRADE[3]] if way else []
    head = theatre.client.say(request("/", b"", *fields)).heard().partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert head[0].startswith(b"http/1.1 426 ")
    assert {b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13"} <= set(head)


@pytest.mark.parametrize("key", ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ=!", "dGhlIHNhbXBsZSBub25jZQAA"])
def test_a_key_is_16_bytes_in_base64(key: str) -> None:
    theatre = Theatre(sockets=True)
    heard = theatre.client.say(request("/", b"", *UPGRADE[:3], f"Sec-WebSocket-Key: {key}")).heard()
    assert heard.startswith(b"HTTP/1.1 400 ")
