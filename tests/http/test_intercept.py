"""The inside of a CONNECT, in memory: TLS with a client of OpenSSL's own, back-pressure, and every way to end."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.address import IPv4Address
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from netrunner.authority import Authority, create
from netrunner.http.intercept import Inside, Interceptor
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.testing.fakes import FakeClock
from netrunner.values import Origin, UpstreamRequest

ORIGIN = Origin("https", "api.example", 443)
REQUEST = UpstreamRequest(ORIGIN, b"CONNECT", b"api.example:443", [])


class Page(Resource):
    """Says who asks, or waits to be told what to say."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        if request.path == b"/later":
            self.waiting.append(request)
            return NOT_DONE_YET
        client = request.client
        return f"{client.host} {client.user} {client.origin.url}".encode()


class Intake:
    """What comes from the client."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    stopProducing = pauseProducing


class Tunnel:
    """One tunnel, with a client that trusts the authority at one end."""

    def __init__(self) -> None:
        certificate, key = create("authority of a test", 30, FakeClock().wall())
        own = x509.load_pem_x509_certificate(certificate)
        private: Any = load_pem_private_key(key, None)
        self.clock = FakeClock()
        self.authority = Authority(own, private)
        self.interceptor = Interceptor(self.authority, self.clock, self.clock)
        self.page = Page()
        self.site = Site(self.page, Sweep(self.clock), Limits(forward=True))
        self.heard: list[str] = []
        self.intake = Intake()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(own))
        store.set_time(datetime.datetime.fromtimestamp(self.clock.wall()))
        context.set_verify(SSL.VERIFY_PEER)
        context.set_alpn_protos([b"h2", b"http/1.1"])
        self.client = SSL.Connection(context, None)
        self.client.set_connect_state()
        inside = Inside(IPv4Address("TCP", "192.0.2.7", 4711), ORIGIN, "me")
        self.call = self.interceptor.tunnel(self.site, None, inside).send(REQUEST, self)

    # What the tunnel's receiver hears.

    def sent(self, reused: bool) -> None:
        self.heard.append("sent")

    def head_received(self, head: Any) -> None:
        self.heard.append(f"head {head.status}")
        self.call.register_producer(self.intake)

    def body_received(self, data: bytes, last: bool) -> None:
        if data:
            self.client.bio_write(data)
        if last:
            self.heard.append("last")
            self.call.end()

    def failed(self, error: Any) -> None:
        self.heard.append(error.code)

    # What the client does.

    def turn(self) -> None:
        """Bring what the client has written to the other end, and what comes of it back."""
        for _ in range(6):
            try:
                self.call.write(self.client.bio_read(65536))
            except SSL.WantReadError:
                pass
            self.clock.advance(0)

    def open(self) -> Tunnel:
        """Shake hands."""
        self.clock.advance(0)
        for _ in range(3):
            try:
                self.client.do_handshake()
            except SSL.WantReadError:
                self.turn()
        return self

    def ask(self, path: str) -> bytes:
        """Ask for a path; return what is answered at once."""
        self.client.send(f"GET {path} HTTP/1.1\r\nHost: api.example\r\n\r\n".encode())
        self.turn()
        return self.read()

    def read(self) -> bytes:
        """Return what has come."""
        data = b""
        while True:
            try:
                data += self.client.recv(65536)
            except SSL.WantReadError:
                return data


def test_a_request_inside_is_one_of_the_clients_to_the_host_it_asked_for() -> None:
    tunnel = Tunnel().open()
    assert tunnel.heard == ["sent", "head 200"]
    assert tunnel.client.get_alpn_proto_negotiated() == b"http/1.1"
    answer = tunnel.ask("/")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"192.0.2.7 me https://api.example:443")
    assert tunnel.ask("/").startswith(b"HTTP/1.1 200 OK\r\n")


def test_whoever_answers_inside_waits_while_the_client_does_not_read() -> None:
    tunnel = Tunnel().open()
    tunnel.ask("/later")
    producer = Intake()
    (request,) = tunnel.page.waiting
    request.registerProducer(producer, True)
    tunnel.call.pause()
    tunnel.call.resume()
    assert producer.told == ["pause", "resume"]
    request.unregisterProducer()
    request.finish()


def test_a_client_that_ends_or_is_gone_ends_what_is_under_way() -> None:
    for leave in ("end", "abort"):
        tunnel = Tunnel().open()
        tunnel.ask("/later")
        gone: list[object] = []
        tunnel.page.waiting[0].notifyFinish().addErrback(gone.append)
        getattr(tunnel.call, leave)()
        tunnel.clock.advance(0)
        assert len(gone) == 1
        assert tunnel.site.channels == set()
        assert tunnel.heard[2:] == (["last"] if leave == "end" else [])


def test_what_breaks_off_inside_breaks_the_tunnel_off() -> None:
    tunnel = Tunnel().open()
    tunnel.ask("/later")
    tunnel.page.waiting[0].channel.abort()
    tunnel.clock.advance(0)
    assert tunnel.heard[2:] == ["upstream_truncated"]
    assert tunnel.site.channels == set()


def test_what_is_no_tls_ends_the_tunnel() -> None:
    tunnel = Tunnel()
    tunnel.clock.advance(0)
    tunnel.call.write(b"GET / HTTP/1.1\r\n\r\n")
    tunnel.clock.advance(0)
    assert len(tunnel.heard) == 3
    assert tunnel.site.channels == set()


def test_a_call_that_is_given_up_before_it_begins_tells_nothing() -> None:
    tunnel = Tunnel()
    tunnel.call.abort()
    tunnel.clock.advance(0)
    assert tunnel.heard == []


def test_certificates_are_kept_for_a_day_and_for_so_many_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    tunnel = Tunnel()
    asked: list[str] = []
    certify = tunnel.authority.certify

    def counted(host: str, at: float) -> Any:
        asked.append(host)
        return certify(host, at)

    monkeypatch.setattr(tunnel.authority, "certify", counted)

    def visit(host: str) -> None:
        tunnel.interceptor.tunnel(tunnel.site, None, Inside(None, Origin("https", host, 443), None))

    visit("api.example")
    assert asked == []
    tunnel.clock.advance(86401)
    visit("api.example")
    assert asked == ["api.example"]
    for number in range(256):
        visit(f"{number}.example")
    visit("api.example")
    assert asked.count("api.example") == 2
