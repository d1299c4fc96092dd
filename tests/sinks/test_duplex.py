"""The sink ``duplex`` against a client of HTTP that the test plays: framing, what it keeps, when it gives up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from netrunner.interfaces import ILiveSink, ILogSink, IWatcher
from netrunner.settings import Secret
from netrunner.sinks import duplex as duplex_module
from netrunner.sinks.duplex import Duplex, DuplexSettings
from netrunner.sinks.duplex_put import NotTaken
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Headers, MessageHead, Record
from tests.support.copies import FakeCopies
from tests.support.records import make_record as record

POST = b"POST /v1/chat HTTP/1.1"
OK = b"HTTP/1.1 200 OK"
HOST = (b"host", b"llm.example")


class Call:
    """One PUT as the client got it; the test plays the other side."""

    def __init__(self, url: str, headers: dict[str, str], data: Any) -> None:
        self.url = url
        self.headers = headers
        self.data = data
        self.body = b""
        self.connected = self.cancelled = False
        self.complete = False
        self.result: Deferred[Any] = Deferred(self._cancel)

    def connect(self) -> Call:
        """Take the body."""
        self.connected = True
        self.data.startProducing(self).addCallback(self._end)
        return self

    def write(self, data: bytes) -> None:
        self.body += data

    def answer(self, status: int = 201) -> None:
        """Answer with a status."""
        self.code = status
        self.original = self
        self.result.callback(self)

    def deliverBody(self, protocol: Any) -> None:
        pass

    def _end(self, _: object) -> None:
        self.complete = True

    def _cancel(self, _: object) -> None:
        self.cancelled = True


class Http:
    """What takes side calls; ``auto`` connects and answers by itself with that status."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.auto: int | None = None

    def request(
        self, method: str, url: str, *, headers: dict[str, str], data: Any, allow_redirects: bool, unbuffered: bool
    ) -> Deferred[Any]:
        assert (method, allow_redirects, unbuffered) == ("PUT", False, True)
        call = Call(url, headers, data)
        self.calls.append(call)
        if self.auto is not None:
            call.connect()
            call.answer(self.auto)
        return call.result

    def bodies(self) -> dict[str, bytes]:
        """Return what was sent, by the kind of message."""
        return {call.url.rsplit("/", 1)[1]: call.body for call in self.calls}


class Set:
    """A sink with everything around it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.http = Http()
        self.copies = FakeCopies()
        environment = FakeEnvironment("duplex", clock=self.clock, http=self.http, copies=self.copies)
        self.sink = Duplex(DuplexSettings(server_url="http://logs.example/", **settings), environment)

    def watch(self, ended: Record | None = None) -> Any:
        """Return a watcher."""
        return self.sink.watch(ended or record())

    def turn(self) -> list[Call]:
        """Let a turn of the reactor pass; return the calls made so far."""
        self.clock.advance(0)
        return self.http.calls

    def write(self, *records: Record) -> list[Any]:
        """Write records; return where the result will be."""
        results: list[Any] = []
        Deferred.fromCoroutine(self.sink.write(records)).addBoth(results.append)
        for _ in range(20):
            self.clock.advance(0)
        return results

    def kept(self, head: Headers, *pieces: bytes, start: bytes = OK, complete: bool = True, **changes: Any) -> Record:
        """Return a record whose response, or whichever has that start line, is kept."""
        copy = self.copies.keep(start, head, *pieces, complete=complete)
        return record(**{"response_copy" if start.startswith(b"HTTP") else "request_copy": copy}, **changes)


@pytest.fixture
def said() -> Any:
    """Return the levels and texts of what is logged."""
    events: list[str] = []

    @implementer(ILogObserver)
    def hear(event: LogEvent) -> None:
        if event["log_namespace"] == "netrunner.plugin.duplex":
            events.append(f"{event['log_level'].name}: {event['log_format'].format(**event)}")

    globalLogPublisher.addObserver(hear)
    yield events
    globalLogPublisher.removeObserver(hear)


def live(
    set: Set, requests: Headers, responses: Headers, pieces: tuple[bytes, ...], ended: Record, start: bytes = POST
) -> dict[str, bytes]:
    """Let an exchange pass; return what was sent of it by messages that came to their end."""
    watcher = set.watch(ended)
    watcher.message("request", MessageHead(start, requests))
    set.turn()
    watcher.message("response", MessageHead(OK if ended.status == 200 else b"HTTP/1.1 204 No Content", responses))
    set.turn()
    for call in set.http.calls:
        call.connect()
    for piece in pieces:
        watcher.piece("response", piece)
    watcher.ended(ended)
    return {call.url.rsplit("/", 1)[1]: call.body for call in set.http.calls if call.complete}


def test_it_does_what_it_says() -> None:
    set = Set()
    assert ILogSink.providedBy(set.sink)
    assert ILiveSink.providedBy(set.sink)
    assert IWatcher.providedBy(set.watch())


def test_a_put_names_id_and_kind_and_carries_the_token() -> None:
    set = Set(token=Secret("t0ken"))
    set.watch().message("request", MessageHead(POST, [HOST]))
    (call,) = set.turn()
    assert call.url == f"http://logs.example/{record().id}/request"
    assert call.headers["Authorization"] == "Bearer t0ken"
    assert call.headers["Content-Type"] == "application/octet-stream"
    assert call.headers["Netrunner-Accepted-At"] == "1700000000.000000"


def test_the_client_is_there_before_the_first_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        FakeEnvironment, "http", property(lambda _: asked.append("http"), lambda *_: None), raising=False
    )
    Duplex(DuplexSettings(server_url="http://logs.example"), FakeEnvironment()).start()
    assert asked == ["http"]


def test_nothing_is_done_for_a_message_in_the_turn_in_which_it_begins() -> None:
    set = Set()
    set.watch().message("request", MessageHead(POST, [HOST]))
    assert set.http.calls == []
    assert len(set.turn()) == 1


def test_the_latency_of_a_response_is_told() -> None:
    set = Set()
    ended = record(at_accept=set.clock.wall(), timings={"first_byte": 0.5})
    watcher = set.watch(ended)
    set.clock.advance(0.75)
    watcher.message("response", MessageHead(OK, []))
    assert set.turn()[0].headers["Netrunner-Header-Latency"] == "0.750000"
    set.http.auto = 201
    late = Set()
    late.http.auto = 201
    late.write(record(timings={"first_byte": 0.5}))
    assert late.http.calls[1].headers["Netrunner-Header-Latency"] == "0.500000"


@pytest.mark.parametrize(
    ("responses", "pieces", "raw"),
    [
        ([(b"content-length", b"2")], (b"hi",), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ([], (b"a", b"bc"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
        ([], (b"",), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ([], (), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            [(b"etag", b"x")],
            (b"a",),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: x\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
    ],
)
def test_a_response_that_flows_is_framed_by_its_length_or_by_chunks(
    responses: Headers, pieces: tuple[bytes, ...], raw: bytes
) -> None:
    assert live(Set(), [HOST], responses, pieces, record())["response"] == raw


@pytest.mark.parametrize(
    "changes", [{"method": "HEAD"}, {"status": 204}], ids=["the answer to HEAD", "an answer without content"]
)
def test_an_answer_that_cannot_have_a_body_keeps_its_fields(changes: dict[str, Any]) -> None:
    raw = live(Set(), [HOST], [(b"content-length", b"9")], (), record(**changes))["response"]
    assert raw.endswith(b"Content-Length: 9\r\n\r\n")


@pytest.mark.parametrize("outcome", ["upstream_truncated", "client_gone", "cancelled", "shut_down"])
def test_a_response_that_broke_off_has_no_end(outcome: str) -> None:
    ended = record(outcome=outcome)
    assert live(Set(), [HOST], [], (b"a",), ended)["response"].endswith(b"\r\n\r\n1\r\na\r\n")
    assert live(Set(), [HOST], [(b"content-length", b"9")], (b"a",), ended)["response"].endswith(b": 9\r\n\r\na")
    assert live(Set(), [HOST], [], (), ended)["response"].endswith(b"Transfer-Encoding: chunked\r\n\r\n")


def test_a_request_tells_host_and_where_it_was_sent_to() -> None:
    raw = live(Set(), [HOST, (b"x-proxy-path", b"evil"), (b"accept", b"*/*")], [], (), record(), b"GET /a?b HTTP/1.1")
    assert raw["request"] == (
        b"GET /a?b HTTP/1.1\r\nHost: llm.example\r\nAccept: */*\r\nX-Proxy-Path: http://llm.example/a?b\r\n\r\n"
    )


def test_a_request_without_host_names_the_upstream() -> None:
    raw = live(Set(), [], [], (), record(), b"GET /a HTTP/1.0")["request"]
    assert raw == b"GET /a HTTP/1.0\r\nHost: api.test\r\nX-Proxy-Path: /a\r\n\r\n"


def test_no_field_can_forge_another() -> None:
    evil = (b"x-evil", b"a\r\nInjected: yes\0")
    raw = live(Set(), [HOST, evil], [], (), record(), b"GET /a\r\nX: y HTTP/1.1")["request"]
    assert raw.count(b"\r\n") == 5
    assert not any(byte in raw.replace(b"\r\n", b"") for byte in b"\r\n\0")


def test_a_request_without_a_body_is_whole_when_its_answer_begins() -> None:
    set = Set()
    watcher = set.watch()
    watcher.message("request", MessageHead(b"GET / HTTP/1.1", [HOST]))
    call = set.turn()[0].connect()
    assert not call.complete
    watcher.message("response", MessageHead(OK, []))
    assert call.complete


@pytest.mark.parametrize("fields", [[], [(b"transfer-encoding", b"chunked")]])
def test_a_request_whose_body_may_still_come_goes_on_beside_its_answer(fields: Headers) -> None:
    set = Set()
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST, *fields]))
    call = set.turn()[0].connect()
    watcher.message("response", MessageHead(OK, []))
    watcher.piece("request", b"late")
    watcher.ended(record())
    assert call.complete
    assert call.body.endswith(b"\r\n\r\n4\r\nlate\r\n0\r\n\r\n")


def test_a_body_that_goes_on_after_its_end_is_left_to_the_journal() -> None:
    set = Set()
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST, (b"content-length", b"1")]))
    call = set.turn()[0].connect()
    watcher.piece("request", b"a")
    watcher.message("response", MessageHead(OK, []))
    watcher.piece("request", b"more")
    assert call.cancelled


def test_a_body_of_another_length_than_declared_is_left_to_the_journal() -> None:
    set = Set()
    assert "response" not in live(set, [HOST], [(b"content-length", b"9")], (b"hidden",), record())
    assert set.http.calls[1].cancelled


def test_a_message_that_begins_twice_is_left_to_the_journal() -> None:
    set = Set()
    watcher = set.watch()
    for _ in range(2):
        watcher.message("request", MessageHead(POST, [HOST]))
    assert set.turn() == []


def test_what_waits_for_the_server_is_bounded_and_then_given_up() -> None:
    set = Set(max_buffer_bytes=1000)
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST, (b"content-length", b"0")]))
    watcher.message("response", MessageHead(OK, []))
    request, response = set.turn()
    request.connect()
    for _ in range(100):
        watcher.piece("response", b"x" * 100)
    assert response.cancelled
    assert response.data.waiting_bytes == 0
    assert not request.cancelled


def test_a_server_that_stops_reading_has_its_time_and_no_longer() -> None:
    set = Set(timeout_s=10.0)
    watcher = set.watch()
    watcher.message("response", MessageHead(OK, []))
    call = set.turn()[0].connect()
    call.data.pauseProducing()
    watcher.piece("response", b"a")
    set.clock.advance(9.9)
    call.data.resumeProducing()
    assert call.body.endswith(b"a\r\n")
    call.data.pauseProducing()
    set.clock.advance(9.9)
    assert not call.cancelled
    set.clock.advance(0.2)
    assert call.cancelled


def test_a_message_that_pauses_for_long_is_no_fault_of_the_server() -> None:
    set = Set(timeout_s=10.0)
    watcher = set.watch()
    watcher.message("response", MessageHead(OK, []))
    call = set.turn()[0].connect()
    set.clock.advance(1000)
    watcher.piece("response", b"a")
    assert not call.cancelled
    assert call.body.endswith(b"a\r\n")


@pytest.mark.parametrize("connected", ["never", "before the end", "after the end"])
def test_a_server_that_does_not_answer_has_its_time_and_no_longer(connected: str) -> None:
    set = Set(timeout_s=10.0)
    watcher = set.watch()
    watcher.message("response", MessageHead(OK, []))
    call = set.turn()[0]
    if connected == "before the end":
        call.connect()
    watcher.ended(record())
    if connected == "after the end":
        call.connect()
    set.clock.advance(10.1)
    assert call.cancelled
    assert set.clock.getDelayedCalls() == []


def test_a_message_refused_before_its_end_lets_its_connection_go() -> None:
    set = Set()
    set.watch().message("request", MessageHead(POST, [HOST, (b"content-length", b"5")]))
    call = set.turn()[0].connect()
    call.answer(500)
    assert call.complete


def test_only_so_many_exchanges_are_copied_live() -> None:
    set = Set(max_live=1)
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST, (b"content-length", b"0")]))
    assert set.watch(record(id="another")) is None
    watcher.ended(record())
    assert set.watch(record(id="another")) is None
    set.turn()[0].connect().answer()
    assert set.watch(record(id="another")) is not None


def test_an_exchange_of_which_nothing_was_seen_holds_no_place() -> None:
    set = Set(max_live=1)
    set.watch().ended(record())
    assert set.watch() is not None


def test_an_exchange_that_is_still_on_its_way_live_is_waited_for() -> None:
    set = Set()
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST, (b"content-length", b"0")]))
    watcher.message("response", MessageHead(OK, []))
    request, response = set.turn()
    results = set.write(record())
    assert results == []
    request.connect().answer()
    response.connect().answer()
    assert results == [None]
    assert len(set.http.calls) == 2


@pytest.mark.parametrize(
    ("head", "pieces", "complete", "changes", "raw"),
    [
        ([(b"content-length", b"4")], (b"ab", b"cd"), True, {}, b"Content-Length: 4\r\n\r\nabcd"),
        ([(b"content-length", b"99")], (b"hidden",), True, {}, b"Content-Length: 6\r\n\r\nhidden"),
        ([(b"content-length", b"99")], (b"cut",), False, {}, b"Content-Length: 99\r\n\r\ncut"),
        ([(b"content-length", b"9")], (b"a",), True, {"outcome": "client_gone"}, b"Content-Length: 9\r\n\r\na"),
        ([(b"content-length", b"9")], (), True, {"method": "HEAD"}, b"Content-Length: 9\r\n\r\n"),
        ([], (b"ab", b"c"), True, {}, b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ([], (b"ab",), False, {}, b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
        ([], (), False, {}, b"Transfer-Encoding: chunked\r\n\r\n"),
        ([], (b"a",), True, {"outcome": "upstream_truncated"}, b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"),
        ([], (), True, {}, b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_a_kept_response_is_framed_by_what_is_kept(
    head: Headers, pieces: tuple[bytes, ...], complete: bool, changes: dict[str, Any], raw: bytes
) -> None:
    set = Set()
    set.http.auto = 201
    assert set.write(set.kept(head, *pieces, complete=complete, **changes)) == [None]
    assert set.http.bodies()["response"] == b"HTTP/1.1 200 OK\r\n" + raw


def test_a_kept_request_without_a_body_has_no_framing() -> None:
    set = Set()
    set.http.auto = 201
    set.write(set.kept([HOST], start=b"GET /x HTTP/1.1"))
    assert set.http.bodies()["request"] == (
        b"GET /x HTTP/1.1\r\nHost: llm.example\r\nX-Proxy-Path: http://llm.example/x\r\n\r\n"
    )


def test_of_what_was_never_kept_the_heads_are_sent() -> None:
    set = Set()
    set.http.auto = 201
    set.write(record(method="GET", path="/v1/models", status=401, outcome="refused", bytes_in=0, upstream=None))
    assert set.http.bodies() == {
        "request": b"GET /v1/models HTTP/1.1\r\nHost: \r\nX-Proxy-Path: /v1/models\r\n\r\n",
        "response": b"HTTP/1.1 401 Unauthorized\r\nNetrunner-Body: not kept\r\n\r\n",
    }


@pytest.mark.parametrize(("status", "line"), [(499, b"499 Client Closed Request"), (299, b"299 -")])
def test_a_status_that_nobody_named_has_a_line_too(status: int, line: bytes) -> None:
    set = Set()
    set.http.auto = 201
    set.write(record(status=status))
    assert set.http.bodies()["response"].startswith(b"HTTP/1.1 " + line + b"\r\n")


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_what_the_journal_no_longer_has_is_told_by_its_head(when: str) -> None:
    set = Set()
    pieces: Any = (b"a", None) if when == "in the middle" else (b"a",)
    copy = set.copies.keep(OK, [], *[piece for piece in pieces if piece])
    set.copies.kept[0] = (set.copies.kept[0][0], list(pieces))
    if when == "before":
        set.copies.kept.clear()
    results = set.write(record(response_copy=copy))
    for _ in range(10):
        for call in set.http.calls:
            if not call.result.called:
                call.connect()
                if call.complete:
                    call.answer()
        set.clock.advance(0)
    assert results == [None]
    assert set.http.calls[-1].body == b"HTTP/1.1 200 OK\r\nNetrunner-Body: not kept\r\n\r\n"


def test_a_journal_is_read_no_faster_than_the_server_takes_it() -> None:
    set = Set()
    results = set.write(set.kept([], *[b"x" * 65536] * 50, start=POST))
    (call,) = set.http.calls
    assert set.copies.given == 1
    call.connect()
    assert (set.copies.given, call.complete) == (50, True)
    call.answer()
    assert results == []


def test_a_write_fails_when_anything_was_not_taken_and_goes_on_where_it_was() -> None:
    set = Set()
    set.http.auto = 201
    first, second = record(id="first"), record(id="second")
    assert set.write(first) == [None]
    set.http.auto = 503
    (failure,) = set.write(first, second)
    assert failure.check(NotTaken)
    assert "503" in str(failure.value)
    set.http.auto = 201
    del set.http.calls[:]
    assert set.write(first, second) == [None]
    assert [call.url.split("/")[3] for call in set.http.calls] == ["second", "second"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 503])
def test_whatever_may_be_put_right_is_tried_again(status: int) -> None:
    set = Set()
    set.http.auto = status
    assert set.write(record())[0].check(NotTaken)


def test_what_is_too_large_for_the_server_is_told_and_left(said: list[str]) -> None:
    set = Set()
    set.http.auto = 413
    assert set.write(record()) == [None]
    assert [text.split(" of ")[0] for text in said] == ["error: the request", "error: the response"]
    assert set.watch() is not None


def test_an_outage_is_told_once_and_its_end_once(said: list[str]) -> None:
    set = Set()
    set.http.auto = 500
    for _ in range(3):
        set.write(record())
    set.http.auto = 201
    for _ in range(3):
        set.write(record())
    assert said == [
        "error: the logging server takes no copies: it was answered with 500; they are sent later",
        "info: the logging server takes copies again",
    ]


def test_while_the_server_is_away_nothing_is_copied_live() -> None:
    set = Set()
    set.http.auto = 500
    set.write(record())
    assert set.watch() is None
    set.http.auto = 201
    set.write(record())
    assert set.watch() is not None


def test_the_token_is_in_no_log_and_no_error(said: list[str]) -> None:
    set = Set(token=Secret("canary"))
    set.http.auto = 401
    (failure,) = set.write(record())
    assert "canary" not in "".join(said) + str(failure.value) + repr(set.sink.settings)


def test_only_so_many_confirmations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplex_module, "MAX_CONFIRMED", 4)
    set = Set()
    set.http.auto = 201
    ended = [record(id=str(number)) for number in range(3)]
    for one in ended:
        set.write(one)
    set.write(ended[2], ended[1])
    assert len(set.http.calls) == 6
    set.write(ended[0])
    assert len(set.http.calls) == 8


def test_a_client_that_raises_at_once_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    set = Set()

    def request(*_: Any, **kinds: Any) -> None:
        raise ValueError("no such URL")

    monkeypatch.setattr(set.http, "request", request)
    assert set.write(record())[0].check(NotTaken)


STEPS = st.sampled_from(
    ["request", "response", "piece request", "piece response", "turn", "connect", "answer", "refuse", "pause", "wait"]
)


@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=25), declared=st.booleans(), outcome=st.sampled_from(["done", "client_gone"]))
def test_whatever_comes_in_whatever_order_nothing_is_raised_and_nothing_stays(
    steps: list[str], declared: bool, outcome: str
) -> None:
    set = Set(max_buffer_bytes=50)
    watcher = set.watch()
    fields = [HOST, (b"content-length", b"3")] if declared else [HOST]
    heads = {"request": MessageHead(POST, fields), "response": MessageHead(OK, fields[1:])}
    for step in steps:
        open_calls = [call for call in set.http.calls if not call.result.called and not call.cancelled]
        if step in heads:
            watcher.message(step, heads[step])
        elif step.startswith("piece"):
            watcher.piece(step.split()[1], b"abc")
        elif step == "turn":
            set.turn()
        elif step == "wait":
            set.clock.advance(6)
        elif open_calls:
            play(open_calls[0], step)
    watcher.ended(record(outcome=outcome))
    set.turn()
    set.clock.advance(11)
    assert watcher.settled.called
    assert set.clock.getDelayedCalls() == []


def play(call: Call, step: str) -> None:
    if step == "connect" and not call.connected:
        call.connect()
    elif step in ("answer", "refuse"):
        call.answer(201 if step == "answer" else 500)
    elif step == "pause" and call.connected:
        call.data.pauseProducing()


def test_stopping_gives_everything_up_and_leaves_nothing_behind() -> None:
    set = Set()
    watcher = set.watch()
    watcher.message("request", MessageHead(POST, [HOST]))
    results = set.write(record(id="late"))
    set.sink.stop()
    set.sink.stop()
    assert results[0].check(NotTaken)
    assert all(call.cancelled for call in set.http.calls)
    assert set.clock.getDelayedCalls() == []
