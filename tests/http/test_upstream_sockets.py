"""The pool over real sockets: back-pressure, stale connections, evil upstreams, TLS."""

from __future__ import annotations

import ipaddress
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.errors import ConfigurationError
from netrunner.http.pool import Pool
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.settings import PoolLimits, Timeouts
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin
from tests.http.upstreams import answer, request
from tests.support.authority import Authority

pytestmark = pytest.mark.integration


class Upstream(Protocol):
    """Hands each read to a function of the test, with itself."""

    def __init__(self, said: Callable[[Upstream, bytes], None], all_made: list[Upstream]) -> None:
        self.said = said
        self.lost: Deferred[None] = Deferred()
        self.transport: Any
        all_made.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.said(self, data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class Net:
    """A pool and upstreams on loopback, closed when the test is over."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.sweep = Sweep(SystemClock(reactor))
        self.sweep.start()
        self.ports: list[IListeningPort] = []
        self.pools: list[Pool] = []
        self.made: list[Upstream] = []

    def pool(self, *, limits: PoolLimits = PoolLimits(), timeouts: Timeouts = Timeouts(), **kw: Any) -> Pool:
        """Return a pool."""
        self.pools.append(Pool(self.reactor, self.sweep, timeouts, limits, **kw))
        return self.pools[-1]

    def listen(
        self, said: Callable[[Upstream, bytes], None], certificate: Any = None, host: str = "127.0.0.1"
    ) -> Origin:
        """Start an upstream; return its origin."""
        factory = Factory.forProtocol(lambda: Upstream(said, self.made))
        factory.noisy = False
        if certificate is None:
            port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = self.reactor.listenSSL(0, factory, certificate, interface="127.0.0.1")
        self.ports.append(port)
        return Origin("http" if certificate is None else "https", host, port.getHost().port)

    async def close(self) -> None:
        """Close everything and wait for it."""
        for pool in self.pools:
            pool.close()
        self.sweep.stop()
        for one in self.made:
            if not one.lost.called:
                one.transport.abortConnection()
                await one.lost
        for port in self.ports:
            await port.stopListening()  # type: ignore[misc]  # a Deferred, for a TCP port


@pytest.fixture
def net() -> Iterator[Net]:
    """A net that is closed."""
    from twisted.internet import reactor  # noqa: TID251 - the one that pytest-twisted runs

    one = Net(reactor)
    yield one
    pytest_twisted.blockon(Deferred.fromCoroutine(one.close()))


async def fetch(pool: Pool, one: Any) -> FakeReceiver:
    """Send a request and wait for its end."""
    receiver = FakeReceiver()
    pool.send(one, receiver)
    await receiver.wait_for_end()
    return receiver


def replies(data: bytes) -> Callable[[Upstream, bytes], None]:
    """Say ``data`` to whatever is read."""
    return lambda upstream, _: upstream.transport.write(data)


@pytest_twisted.ensureDeferred
async def test_a_conversation_uses_one_connection(net: Net) -> None:
    pool, origin = net.pool(), net.listen(replies(answer()))
    for turn in range(20):
        receiver = await fetch(pool, request(b"POST", b"{}", origin=origin))
        assert receiver.body == b"hello"
        assert receiver.dialogue[0] == ("sent", turn > 0)
        assert receiver.violations == []
    assert len(net.made) == 1


@pytest_twisted.ensureDeferred
async def test_a_name_is_resolved(net: Net) -> None:
    pool = net.pool()
    port = net.listen(replies(answer())).port
    for _ in range(2):
        assert (await fetch(pool, request(origin=Origin("http", "localhost", port)))).body == b"hello"
    assert len(net.made) == 1


@pytest_twisted.ensureDeferred
async def test_a_refused_connection_is_told_as_unsent(net: Net) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        receiver = await fetch(net.pool(), request(origin=Origin("http", "127.0.0.1", taken.getsockname()[1])))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_connection_failed", False)


@pytest_twisted.ensureDeferred
async def test_a_large_body_arrives_whole(net: Net) -> None:
    heard = bytearray()

    def said(upstream: Upstream, data: bytes) -> None:
        heard.extend(data)
        if len(heard) >= 8_000_000:
            upstream.transport.write(answer())

    body = bytes(range(250)) * 32_000
    receiver = await fetch(net.pool(), request(b"POST", body, origin=net.listen(said)))
    assert receiver.body == b"hello"
    assert heard.endswith(body)
    assert heard.count(b"\r\n\r\n", 0, 200) == 1


@pytest_twisted.ensureDeferred
async def test_a_paused_answer_stops_the_upstream_and_resuming_brings_all_of_it(net: Net) -> None:
    size = 32 * 1024 * 1024
    written = 0
    stalled: Deferred[None] = Deferred()

    class Source:
        """Writes as long as the socket takes it."""

        def __init__(self, transport: Any) -> None:
            self.transport = transport

        def resumeProducing(self) -> None:
            nonlocal written
            self.transport.write(b"x" * 65536)
            written += 65536
            if written == size:
                self.transport.unregisterProducer()

        def stopProducing(self) -> None:
            """The connection is gone."""

    def said(upstream: Upstream, _: bytes) -> None:
        upstream.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        upstream.transport.registerProducer(Source(upstream.transport), False)
        watch(-1)

    def watch(before: int) -> None:
        if written == before:
            stalled.callback(None)
        else:
            net.reactor.callLater(0.05, watch, written)

    class Paused(FakeReceiver):
        heard = 0

        def head_received(self, head: Any) -> None:
            super().head_received(head)
            call.pause()

        def body_received(self, data: bytes, last: bool) -> None:
            self.heard += len(data)
            if last:
                super().body_received(b"", last)

    receiver = Paused()
    call = net.pool().send(request(origin=net.listen(said)), receiver)
    await stalled
    assert written < size
    assert receiver.heard <= 65536
    call.resume()
    await receiver.wait_for_end()
    assert receiver.heard == size
    assert receiver.violations == []


@pytest_twisted.ensureDeferred
async def test_an_abort_reaches_the_upstream(net: Net) -> None:
    pool = net.pool()

    class Fickle(FakeReceiver):
        def body_received(self, data: bytes, last: bool) -> None:
            super().body_received(data, last)
            call.abort()

    receiver = Fickle()
    call = pool.send(request(origin=net.listen(replies(answer()[:-1]))), receiver)
    while not net.made:
        await turn(net.reactor)
    await net.made[0].lost
    assert receiver.dialogue[-1] == ("body", b"hell", False)
    assert pool.stats() == {"active": 0, "idle": 0, "waiting": 0}


def turn(reactor: Any) -> Deferred[None]:
    """Let the reactor run once."""
    done: Deferred[None] = Deferred()
    reactor.callLater(0, done.callback, None)
    return done


@pytest_twisted.ensureDeferred
async def test_a_connection_closed_just_before_it_is_used_is_never_written_to(net: Net) -> None:
    """The upstream closes in the very turn of each request: 500 POSTs, none fails, none is sent twice."""
    pool = net.pool()
    posts = 0

    def said(upstream: Upstream, data: bytes) -> None:
        nonlocal posts
        posts += data.count(b"POST / ")
        upstream.transport.write(answer())

    origin = net.listen(said)
    for _ in range(500):
        receiver = await fetch(pool, request(b"POST", b"{}", origin=origin))
        assert receiver.error is None
        # The socket's own end is closed at once, while our reactor has had no turn to read that.
        net.made[-1].transport.getHandle().shutdown(socket.SHUT_RDWR)
    assert posts == 500
    assert len(net.made) == 500


@pytest_twisted.ensureDeferred
async def test_a_connection_found_dead_fails_under_never(net: Net) -> None:
    pool, origin = net.pool(resend="never"), net.listen(replies(answer()))
    await fetch(pool, request(origin=origin))
    net.made[-1].transport.getHandle().shutdown(socket.SHUT_RDWR)
    receiver = await fetch(pool, request(origin=origin))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_connection_failed", False)


@pytest_twisted.ensureDeferred
async def test_no_response_hides_every_connection_that_dies_unanswered(net: Net) -> None:
    pool = net.pool(resend="no_response")
    posts = 0

    def said(upstream: Upstream, data: bytes) -> None:
        nonlocal posts
        posts += 1
        if getattr(upstream, "served", False):
            upstream.transport.abortConnection()
        else:
            upstream.served = True  # type: ignore[attr-defined]  # a mark of this test
            upstream.transport.write(answer())

    origin = net.listen(said)
    for _ in range(200):
        receiver = await fetch(pool, request(b"POST", b"{}", origin=origin))
        assert receiver.error is None
    # The first is answered; each other one meets a warm connection that dies, and is sent once more.
    assert posts == 399


class Flood:
    """Writes one thing over and over while it is taken, up to a bound that no reader should reach."""

    def __init__(self, transport: Any, piece: bytes) -> None:
        self.transport = transport
        self.piece = piece
        self.left = 400

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self.transport.write(self.piece)
        else:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """The connection is gone."""


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 4000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: value\r\n" * 4000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"x" * 65536),
    ],
    ids=["headers", "one header", "interim", "chunk extension", "trailers", "digits", "both framings"],
)
@pytest_twisted.ensureDeferred
async def test_a_flood_is_cut_off_in_bounded_memory(net: Net, start: bytes, piece: bytes) -> None:
    def said(upstream: Upstream, _: bytes) -> None:
        upstream.transport.write(start)
        upstream.transport.registerProducer(Flood(upstream.transport, piece), False)

    origin = net.listen(said)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    receiver = await fetch(net.pool(), request(origin=origin))
    assert receiver.error is not None
    assert receiver.error.code == "upstream_invalid_response"
    assert receiver.body == b""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 8 * 1024
    await net.made[0].lost


@pytest_twisted.ensureDeferred
async def test_a_switched_protocol_runs_over_a_real_socket_until_both_ends_have_ended(net: Net) -> None:
    def said(upstream: Upstream, data: bytes) -> None:
        if data.startswith(b"GET "):
            upstream.transport.write(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        else:
            upstream.transport.write(data.upper())
            upstream.transport.loseConnection()

    class Talker(FakeReceiver):
        def head_received(self, head: Any) -> None:
            super().head_received(head)
            call.write(b"some bytes")
            call.end()

    receiver = Talker()
    call = net.pool().send(request(origin=net.listen(said), upgrade=b"echo"), receiver)
    await receiver.wait_for_end()
    assert receiver.body == b"SOME BYTES"
    assert receiver.error is None


# TLS.


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new authority."""
    return Authority(tmp_path)


LOCALHOST = x509.DNSName("localhost")
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize(("host", "name"), [("localhost", LOCALHOST), ("127.0.0.1", LOOPBACK)])
@pytest_twisted.ensureDeferred
async def test_tls_verifies_names_and_addresses_and_stays_warm(
    net: Net, authority: Authority, host: str, name: x509.GeneralName
) -> None:
    pool = net.pool(tls=TlsContexts(str(authority.file)))
    origin = net.listen(replies(answer()), authority.certify(name), host)
    for turn in range(5):
        receiver = await fetch(pool, request(b"POST", b"{}", origin=origin))
        assert receiver.error is None
        assert receiver.dialogue[0] == ("sent", turn > 0)
    assert len(net.made) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_name_is_refused_unsent(net: Net, authority: Authority, host: str) -> None:
    heard: list[bytes] = []
    certificate = authority.certify(x509.DNSName("elsewhere.example"))
    origin = net.listen(lambda _, data: heard.append(data), certificate, host)
    receiver = await fetch(net.pool(tls=TlsContexts(str(authority.file))), request(origin=origin))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_tls_failed", False)
    assert heard == []


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_an_unknown_authority_is_refused(net: Net, authority: Authority) -> None:
    origin = net.listen(replies(answer()), authority.certify(LOOPBACK))
    receiver = await fetch(net.pool(tls=TlsContexts()), request(origin=origin))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_tls_failed", False)


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_speaks_no_tls_is_told_as_such(net: Net, authority: Authority) -> None:
    plain = net.listen(replies(answer()))
    receiver = await fetch(
        net.pool(tls=TlsContexts(str(authority.file))), request(origin=Origin("https", "127.0.0.1", plain.port))
    )
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_tls_failed", False)


@pytest_twisted.ensureDeferred
async def test_a_handshake_that_hangs_is_bounded_by_the_time_to_connect(net: Net, authority: Authority) -> None:
    silent = net.listen(lambda _, data: None)
    pool = net.pool(tls=TlsContexts(str(authority.file)), timeouts=Timeouts(connect_s=0.01))
    receiver = await fetch(pool, request(origin=Origin("https", "127.0.0.1", silent.port)))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_timeout", False)


@pytest_twisted.ensureDeferred
async def test_over_tls_an_end_without_notice_is_no_end(net: Net, authority: Authority) -> None:
    """Only close_notify tells an end from a cut (RFC 8446, 6.1)."""

    def said(upstream: Upstream, data: bytes) -> None:
        upstream.transport.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if data.startswith(b"GET "):
            upstream.transport.loseConnection()
        else:
            net.reactor.callLater(0, upstream.transport.transport.loseConnection)

    origin = net.listen(said, authority.certify(LOOPBACK))
    pool = net.pool(tls=TlsContexts(str(authority.file)))
    ended = await fetch(pool, request(origin=origin))
    assert (ended.body, ended.error) == (b"hello", None)
    cut = await fetch(pool, request(b"POST", origin=origin))
    assert cut.body == b"hello"
    assert cut.error is not None
    assert cut.error.code == "upstream_truncated"


def test_one_context_serves_every_connection_to_a_host(authority: Authority) -> None:
    contexts = TlsContexts(str(authority.file))
    creator: Any = contexts.creator("api.example")
    assert contexts.creator("api.example") is creator
    assert contexts.creator("other.example") is not creator
    wrapper = TLSMemoryBIOProtocol(TLSMemoryBIOFactory(creator, True, Factory()), Protocol())
    first, second = (creator.clientConnectionForTLS(wrapper).get_context() for _ in range(2))
    assert first is second


@pytest.mark.parametrize(
    "text", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_certificates_is_a_configuration_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"ca\.pem: "):
        TlsContexts(str(path))
