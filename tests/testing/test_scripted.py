"""The scripted provider does what its script says, byte for byte, on real sockets."""

import socket

import pytest
from twisted.internet import reactor  # noqa: TID251 - these tests are of a server on it
from twisted.internet.threads import deferToThread

import pytest_twisted
from netrunner.testing.fakes import FakeClock
from netrunner.testing.script import (
    Cut,
    Delay,
    ReadBody,
    ReadRaw,
    Reset,
    Send,
    Stall,
    StopReading,
    chunk,
    json_answer,
    sse_answer,
)
from netrunner.testing.scripted import ScriptedProvider

GET = b"GET /v1/models?x=1 HTTP/1.1\r\nHost: h\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Client:
    """A blocking socket whose calls run in a thread."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        """Return exactly ``size`` bytes, or fewer if the connection ends before."""
        return deferToThread(self._receive, size)

    def _receive(self, size):
        data = b""
        while len(data) < size and (more := self.socket.recv(size - len(data))):
            data += more
        return data

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


@pytest.fixture
def serve():
    """Start a provider; it and its clients end with the test."""
    providers, clients = [], []

    async def serve(answers, **options):
        provider = ScriptedProvider(reactor, answers, **options)
        providers.append(provider)
        await provider.start()

        def connect():
            clients.append(Client(provider.port))
            return clients[-1]

        return provider, connect

    yield serve
    for client in clients:
        client.socket.close()
    for provider in providers:
        pytest_twisted.blockon(provider.stop())


@pytest_twisted.ensureDeferred
async def test_bytes_go_out_as_they_are(serve):
    nonsense = b"HTTP/9.9 banana\r\n\x00\xff\r\n\r\n"
    _, connect = await serve([Send(nonsense), Cut()])
    client = connect()
    client.send(GET)
    assert await client.receive(1000) == nonsense


@pytest_twisted.ensureDeferred
async def test_a_request_is_recorded_exactly(serve):
    provider, connect = await serve(json_answer({}))
    connect().send(GET)
    request = await provider.wait_for_request()
    assert (request.method, request.target, request.body) == (b"GET", b"/v1/models?x=1", b"")
    assert request.headers == [(b"host", b"h"), (b"x-twice", b"1"), (b"x-twice", b"2")]
    assert request.header(b"x-twice") == b"1"
    assert request.header(b"absent") is None
    assert request.head == GET


@pytest_twisted.ensureDeferred
async def test_read_body_waits_for_the_whole_request_and_without_it_the_answer_comes_at_its_head(serve):
    provider, connect = await serve([[Send(OK), ReadBody(), Send(b"-")], [ReadBody(), Send(OK)]])
    client = connect()
    client.send(POST)
    assert await client.receive(len(OK)) == OK
    assert provider.requests == []
    client.send(b'{"1":')
    assert await client.receive(1) == b"-"
    client.send(POST)
    client.send(b"[2]  ")
    assert await client.receive(len(OK)) == OK
    assert [request.body for request in provider.requests] == [b'{"1":', b"[2]  "]
    assert provider.requests[1].json() == [2]


@pytest_twisted.ensureDeferred
async def test_a_chunked_body_is_put_together(serve):
    provider, connect = await serve(json_answer({}))
    connect().send(
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"ab") + chunk(b"c") + chunk(b"")
    )
    assert (await provider.wait_for_request()).body == b"abc"


@pytest_twisted.ensureDeferred
async def test_a_delay_lasts_as_long_as_its_clock_says(serve):
    clock = FakeClock()
    provider, connect = await serve([Send(b"a"), Delay(30), Send(b"b")], clock=clock)
    client = connect()
    client.send(GET)
    assert await client.receive(1) == b"a"
    await provider.wait_for_request()
    clock.advance(29)
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.socket.recv(1)
    client.socket.settimeout(20)
    clock.advance(1)
    assert await client.receive(1) == b"b"


@pytest_twisted.ensureDeferred
async def test_a_cut_is_an_orderly_end_after_everything_was_sent(serve):
    data = b"x" * 3_000_000
    _, connect = await serve([Send(data), Cut()])
    client = connect()
    client.send(GET)
    assert await client.receive(len(data) + 1) == data


@pytest_twisted.ensureDeferred
async def test_a_reset_breaks_the_connection_after_everything_was_sent(serve):
    _, connect = await serve([Send(b"abc"), Reset()])
    client = connect()
    client.send(GET)
    assert await client.receive(3) == b"abc"
    with pytest.raises(ConnectionResetError):
        await client.receive(1)


@pytest_twisted.ensureDeferred
async def test_a_stall_keeps_the_connection_open_and_sees_the_client_go(serve):
    provider, connect = await serve([Send(b"a"), Stall(), Send(b"never")])
    client = connect()
    client.send(GET)
    assert await client.receive(1) == b"a"
    assert provider.open_connections == 1
    client.socket.close()
    assert await provider.wait_for_disconnect() == "closed"
    assert provider.open_connections == 0


@pytest_twisted.ensureDeferred
async def test_how_clients_leave_is_told(serve):
    provider, connect = await serve([Stall()])
    first, second = connect(), connect()
    first.send(GET)
    await provider.wait_for_request()
    first.reset()
    assert await provider.wait_for_disconnect() == "aborted"
    second.send(GET)
    await provider.wait_for_request(2)
    second.socket.close()
    assert await provider.wait_for_disconnect(2) == "closed"
    assert provider.disconnects == ["aborted", "closed"]
    assert provider.connections == 2


@pytest_twisted.ensureDeferred
async def test_stop_reading_fills_the_socket_of_the_client(serve):
    provider, connect = await serve([StopReading(), Send(b"a"), Stall()])
    client = connect()
    client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000000\r\n\r\n")
    assert await client.receive(1) == b"a"
    client.socket.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):  # noqa: PT012 - until the kernel takes no more
        while sent < 100_000_000:
            sent += client.socket.send(b"x" * 65536)
    assert provider.requests == []


@pytest_twisted.ensureDeferred
async def test_raw_bytes_after_a_switch_of_protocols_are_waited_for(serve):
    switch = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    provider, connect = await serve([Send(switch), ReadRaw(6), Send(b"pong")])
    client = connect()
    client.send(b"GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nab")
    assert await client.receive(len(switch)) == switch
    client.send(b"cdef")
    assert await client.receive(4) == b"pong"
    assert provider.requests[0].raw == b"abcdef"


@pytest_twisted.ensureDeferred
async def test_scripts_go_to_requests_in_turn_and_the_last_one_stays(serve):
    _, connect = await serve([[Send(b"1")], [Send(b"2")]])
    client, other = connect(), connect()
    client.send(GET)
    assert await client.receive(1) == b"1"
    other.send(GET)
    assert await other.receive(1) == b"2"
    client.send(GET + GET)
    assert await client.receive(2) == b"22"


@pytest_twisted.ensureDeferred
async def test_a_callable_chooses_by_the_request(serve):
    _, connect = await serve(lambda request: json_answer({"got": request.target.decode()}))
    client = connect()
    client.send(GET)
    body = b'{"got":"/v1/models?x=1"}'
    expected = b"HTTP/1.1 200 Scripted\r\ncontent-type: application/json\r\ncontent-length: 24\r\n\r\n" + body
    assert await client.receive(len(expected)) == expected


@pytest_twisted.ensureDeferred
async def test_events_are_streamed_in_chunks_or_up_to_the_end_of_the_connection(serve):
    events = [{"n": 1}, b"data: [DONE]\n\n"]
    _, connect = await serve([sse_answer(events), sse_answer(events, chunked=False, status=503)])
    client = connect()
    client.send(GET + GET)
    assert await client.receive(10_000) == (
        b"HTTP/1.1 200 Scripted\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        b'f\r\ndata: {"n":1}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n'
        b"HTTP/1.1 503 Scripted\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        b'data: {"n":1}\n\ndata: [DONE]\n\n'
    )


def test_a_gap_stands_between_events_only():
    steps = sse_answer([1, 2, 3], gap_s=0.5)
    assert [isinstance(step, Delay) for step in steps] == [False, False, False, True, False, True, False, False]


@pytest_twisted.ensureDeferred
async def test_what_is_no_http_breaks_the_connection(serve):
    provider, connect = await serve(json_answer({}))
    client = connect()
    client.send(b"\x16\x03\x01 hello\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await client.receive(1)
    assert provider.requests == []


@pytest_twisted.ensureDeferred
async def test_stop_leaves_nothing_open(serve):
    provider, connect = await serve([Stall()])
    client = connect()
    client.send(GET)
    await provider.wait_for_request()
    await provider.stop()
    assert provider.open_connections == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", provider.port), timeout=20)
