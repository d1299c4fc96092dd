"""The sink ``duplex`` and the logging server, over real sockets: live, afterwards, and whatever breaks in between."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.environment import Environment
from netrunner.sinks.duplex import Duplex, DuplexSettings
from netrunner.sinks.duplex_put import NotTaken
from netrunner.values import MessageHead, Record
from tests.support.copies import FakeCopies
from tests.support.logserver import ID, OTHER, LogServerProcess
from tests.support.records import make_record as record

pytestmark = pytest.mark.integration

HEAD = MessageHead(b"POST /v1/chat?x=1 HTTP/1.1", [(b"host", b"llm.example"), (b"content-length", b"5")])
ANSWER = MessageHead(b"HTTP/1.1 200 OK", [(b"content-type", b"text/event-stream")])
RAW_REQUEST = (
    b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 5\r\n"
    b"X-Proxy-Path: http://llm.example/v1/chat?x=1\r\n\r\nhello"
)
RAW_ANSWER = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
    b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
)
RAW_COPY = RAW_ANSWER.replace(b"5\r\nfirst\r\n6\r\nsecond\r\n", b"b\r\nfirstsecond\r\n")


class Sending:
    """A sink, and the copies it sends from."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.copies = FakeCopies()
        self.sinks: list[Duplex] = []

    def sink(self, url: str, **settings: Any) -> Duplex:
        """Return a sink that sends to ``url``."""
        environment = Environment("duplex", self.reactor, SystemClock(self.reactor), random.Random(0), self.copies)
        self.sinks.append(Duplex(DuplexSettings(server_url=url, **{"timeout_s": 5.0, **settings}), environment))
        return self.sinks[-1]

    def record(self, id: str = ID, body: bytes = b"hello") -> Record:
        """Return the record of an ended exchange that the journal has whole."""
        head = [(b"host", b"llm.example"), (b"content-length", b"%d" % len(body))]
        return record(
            id=id,
            request_copy=self.copies.keep(
                HEAD.start, head, *[body[at : at + 65536] for at in range(0, len(body), 65536)]
            ),
            response_copy=self.copies.keep(ANSWER.start, ANSWER.headers, b"firstsecond"),
        )

    async def until(self, happened: Callable[[], Any]) -> None:
        """Let the reactor run until something has happened."""
        for _ in range(2000):
            if happened():
                return
            await deferLater(self.reactor, 0.01)
        raise AssertionError("it did not happen")


@pytest.fixture
def sending() -> Iterator[Sending]:
    """One whose sinks are stopped, after which nothing of them is left."""
    from twisted.internet import reactor  # noqa: TID251 - the one that pytest-twisted runs

    one = Sending(reactor)
    yield one

    async def stop() -> None:
        for sink in one.sinks:
            sink.stop()
        await one.until(lambda: not [call for call in reactor.getDelayedCalls() if "Put" in repr(call)])

    pytest_twisted.blockon(Deferred.fromCoroutine(stop()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LogServerProcess]:
    """A logging server."""
    with LogServerProcess(tmp_path) as one:
        yield one


class Peer(Protocol):
    """What stands where a logging server should: it says ``answer`` to the first bytes it reads."""

    answer = b""
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if self.answer:
            self.transport.write(self.answer)
            self.transport.loseConnection()


@pytest.fixture
def peer() -> Iterator[Callable[[bytes], str]]:
    """Return a maker of such peers, which returns their URL."""
    from twisted.internet import reactor  # noqa: TID251 - the one that pytest-twisted runs

    real: Any = reactor
    ports: list[Any] = []
    made: list[Peer] = []

    def make(answer: bytes) -> str:
        def protocol() -> Peer:
            one = Peer()
            one.answer = answer
            made.append(one)
            return one

        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        ports.append(real.listenTCP(0, factory, interface="127.0.0.1"))
        return f"http://127.0.0.1:{ports[-1].getHost().port}"

    yield make
    for port in ports:
        pytest_twisted.blockon(port.stopListening())
    for one in made:
        one.transport.abortConnection()


def flow(sink: Duplex, ended: Record, *pieces: bytes) -> None:
    """Let a whole exchange pass the sink, as the pipeline does."""
    watcher = sink.watch(ended)
    assert watcher is not None
    watcher.message("request", HEAD)
    watcher.piece("request", b"hello")
    watcher.message("response", ANSWER)
    for piece in pieces or (b"first", b"second"):
        watcher.piece("response", piece)
    watcher.ended(ended)


@pytest_twisted.ensureDeferred
async def test_messages_are_on_the_servers_disk_while_they_flow(sending: Sending, server: LogServerProcess) -> None:
    sink, ended = sending.sink(server.url), sending.record()
    watcher = sink.watch(ended)
    assert watcher is not None
    watcher.message("request", HEAD)
    watcher.piece("request", b"hello")
    await sending.until(lambda: server.files("request") == [RAW_REQUEST])
    watcher.message("response", ANSWER)
    watcher.piece("response", b"first")
    await sending.until(lambda: server.files("response") == [RAW_ANSWER.partition(b"6\r\n")[0]])
    assert [one["completed"] for one in server.metadata("response")] == [False]
    await sending.until(lambda: server.metadata("request")[0]["completed"])
    watcher.piece("response", b"second")
    watcher.ended(ended)
    await sink.write([ended])
    assert server.files("response") == [RAW_ANSWER]
    assert server.metadata("response")[0]["completed"] is True


@pytest_twisted.ensureDeferred
async def test_what_was_confirmed_live_is_not_sent_again(sending: Sending, server: LogServerProcess) -> None:
    sink, ended = sending.sink(server.url), sending.record()
    flow(sink, ended)
    await sink.write([ended])
    server.kill()
    await sink.write([ended])
    assert sending.copies.given == 0


@pytest_twisted.ensureDeferred
async def test_what_was_not_seen_live_is_sent_afterwards(sending: Sending, server: LogServerProcess) -> None:
    sink = sending.sink(server.url, max_live=0)
    assert sink.watch(sending.record()) is None
    await sink.write([sending.record(), sending.record(OTHER)])
    assert server.files("request") == [RAW_REQUEST] * 2
    assert server.files("response") == [RAW_COPY] * 2


@pytest_twisted.ensureDeferred
async def test_what_is_sent_by_a_sink_that_forgot_is_stored_once(sending: Sending, server: LogServerProcess) -> None:
    for _ in range(2):
        await sending.sink(server.url).write([sending.record()])
    assert (server.files("request"), server.files("response")) == ([RAW_REQUEST], [RAW_COPY])


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_away_costs_nothing_and_gets_everything_when_it_comes(
    sending: Sending, tmp_path: Path
) -> None:
    server = LogServerProcess(tmp_path)
    sink, ended = sending.sink(server.url), sending.record()
    flow(sink, ended)
    for _ in range(2):
        with pytest.raises(NotTaken, match="ConnectionRefused"):
            await sink.write([ended])
    assert sink.watch(sending.record(OTHER)) is None
    with server:
        await sink.write([ended])
        assert (server.files("request"), server.files("response")) == ([RAW_REQUEST], [RAW_COPY])
        assert sink.watch(sending.record(OTHER)) is not None


@pytest_twisted.ensureDeferred
async def test_a_server_that_never_accepts_is_given_up_after_its_time(sending: Sending) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as hung:
        sink, ended = sending.sink(f"http://127.0.0.1:{hung.getsockname()[1]}", timeout_s=0.2), sending.record()
        flow(sink, ended)
        with pytest.raises(NotTaken, match=r"nothing was heard of it for 0\.2 s"):
            await sink.write([ended])


@pytest_twisted.ensureDeferred
async def test_a_server_that_reads_and_never_answers_is_given_up_after_its_time(
    sending: Sending, peer: Callable[[bytes], str]
) -> None:
    sink, ended = sending.sink(peer(b""), timeout_s=0.2), sending.record()
    flow(sink, ended)
    with pytest.raises(NotTaken, match="nothing was heard"):
        await sink.write([ended])


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_read_is_sent_no_more_than_it_takes(sending: Sending) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        hung.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sink = sending.sink(f"http://127.0.0.1:{hung.getsockname()[1]}", timeout_s=0.3)
        with pytest.raises(NotTaken, match="nothing was heard"):
            await sink.write([sending.record(body=bytes(64 << 20))])
    assert sending.copies.given < 256


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOops", "answered with 500"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "answered with 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "answered with 302"),
        (b"HTTP/1.1 429 Slow down\r\n\r\n" + b"x" * 100_000, "answered with 429"),
        (b"SSH-2.0-OpenSSH\r\n", "Response|connection"),
        (b"HTTP/1.1 2", "Response|connection"),
    ],
    ids=["500", "503", "redirect", "endless", "no HTTP", "cut short"],
)
@pytest_twisted.ensureDeferred
async def test_a_server_that_answers_anything_but_2xx_is_asked_again_later(
    sending: Sending, peer: Callable[[bytes], str], answer: bytes, reason: str
) -> None:
    sink, ended = sending.sink(peer(answer)), sending.record()
    flow(sink, ended)
    with pytest.raises(NotTaken, match=reason):
        await sink.write([ended])


@pytest_twisted.ensureDeferred
async def test_a_server_that_refuses_while_a_message_flows_is_given_it_later(
    sending: Sending, peer: Callable[[bytes], str]
) -> None:
    sink, ended = sending.sink(peer(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")), sending.record()
    watcher = sink.watch(ended)
    assert watcher is not None
    watcher.message("request", HEAD)
    await sending.until(lambda: sink.watch(sending.record(OTHER)) is None)
    watcher.piece("request", b"hello")
    watcher.message("response", ANSWER)
    watcher.ended(ended)
    with pytest.raises(NotTaken, match="500"):
        await sink.write([ended])


@pytest_twisted.ensureDeferred
async def test_a_server_killed_in_the_middle_gets_the_message_again(sending: Sending, tmp_path: Path) -> None:
    with LogServerProcess(tmp_path) as server:
        sink, ended = sending.sink(server.url), sending.record()
        watcher = sink.watch(ended)
        assert watcher is not None
        watcher.message("request", HEAD)
        watcher.message("response", ANSWER)
        watcher.piece("response", b"first")
        await sending.until(lambda: any(server.files("response")) and any(server.files("request")))
        server.kill()
        watcher.piece("request", b"hello")
        watcher.piece("response", b"second")
        watcher.ended(ended)
        with pytest.raises(NotTaken):
            await sink.write([ended])
        server.start()
        await sending.until(lambda: b'"indexed":true' in server.request("GET", "/health")[1])
        assert ["ended while" in one["error"] for one in server.metadata("response")] == [True]
        await sink.write([ended])
        assert sorted(server.files("request")) == [RAW_REQUEST.removesuffix(b"hello"), RAW_REQUEST]
        assert sorted(server.files("response")) == [RAW_ANSWER.partition(b"6\r\n")[0], RAW_COPY]
        assert sorted(one["completed"] for one in server.metadata("response")) == [False, True]


@pytest_twisted.ensureDeferred
async def test_a_message_too_large_for_the_server_does_not_hold_up_the_others(sending: Sending, tmp_path: Path) -> None:
    with LogServerProcess(tmp_path, arguments=["--max-bytes", "1000"]) as server:
        sink = sending.sink(server.url)
        await sink.write([sending.record(body=bytes(5 << 20)), sending.record(OTHER)])
        assert server.files("request") == [RAW_REQUEST]
        assert server.files("response") == [RAW_COPY] * 2


@pytest_twisted.ensureDeferred
async def test_a_large_message_is_stored_whole(sending: Sending, server: LogServerProcess) -> None:
    body = random.Random(1).randbytes(8 << 20)
    await sending.sink(server.url, max_live=0).write([sending.record(body=body)])
    assert server.files("request")[0].endswith(b"\r\n\r\n" + body)


@pytest_twisted.ensureDeferred
async def test_many_exchanges_at_once_are_all_stored(sending: Sending, server: LogServerProcess) -> None:
    sink = sending.sink(server.url, max_live=20)
    ended = [sending.record(f"01939999-0000-7000-8000-{number:012x}") for number in range(60)]
    for one in ended[:20]:
        flow(sink, one)
    assert sink.watch(ended[20]) is None
    await sink.write(ended)
    assert server.files("request") == [RAW_REQUEST] * 60
    assert len(server.files("response")) == 60
    assert all(one["completed"] for one in server.metadata("response"))


@pytest_twisted.ensureDeferred
async def test_a_sink_that_is_stopped_leaves_its_messages_to_the_next_start(
    sending: Sending, peer: Callable[[bytes], str]
) -> None:
    sink, ended = sending.sink(peer(b"")), sending.record()
    flow(sink, ended)
    writing = Deferred.fromCoroutine(sink.write([ended]))
    sink.stop()
    with pytest.raises(NotTaken):
        await writing
