"""The pool behind proxies, in memory: what they are told, and how it ends when they will not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, DNSLookupError
from twisted.python.failure import Failure

from netrunner.http.proxied import ProxiedPool
from netrunner.http.tls import TlsContexts
from netrunner.routing.proxies import Bypass, Proxies, Proxy
from netrunner.settings import Timeouts
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin
from tests.http.upstreams import Peer, Rebinding, Upstreams, answer, request

UP = Origin("http", "up.example", 8000)
SECURE = Origin("https", "up.example", 443)
TUNNEL = b"CONNECT up.example:443 HTTP/1.1\r\nhost: up.example:443\r\n\r\n"
MADE = b"HTTP/1.1 200 OK\r\n\r\n"


def behind(url: str, **kw: Any) -> Upstreams:
    """Return a pool in memory behind one proxy."""
    proxies = Proxies.always(Proxy.of(url))
    return Upstreams(make=partial(ProxiedPool, proxies), tls=TlsContexts(), **kw)


def failure(receiver: FakeReceiver) -> tuple[str, bool, bool]:
    """Return the code of a failure, whether the request may have been sent, and whether to try it again."""
    assert receiver.error is not None
    assert receiver.violations == []
    return receiver.error.code, receiver.error.sent, receiver.error.retryable


FAILED = ("proxy_connection_failed", False, True)
UNAUTHORIZED = ("proxy_auth_required", False, True)


def target(upstreams: Upstreams) -> tuple[str, int]:
    """Return where the latest attempt connects to."""
    host, port = upstreams.reactor.tcpClients[-1][:2]
    return host, port


def greeted(url: str, origin: Origin) -> tuple[Upstreams, Peer, FakeReceiver]:
    """Return a pool whose proxy has been connected to for a request."""
    upstreams = behind(url)
    _, receiver = upstreams.send(request(origin=origin))
    return upstreams, upstreams.accept(), receiver


# Plain HTTP through an HTTP proxy.


def test_plain_http_tells_an_http_proxy_the_whole_url_and_keeps_the_connection() -> None:
    upstreams = behind("http://me:secret@192.0.2.9:3128")
    given = request(b"POST", b"{}", origin=UP)
    _, receiver = upstreams.send(given)
    assert target(upstreams) == ("192.0.2.9", 3128)
    peer = upstreams.accept()
    assert peer.heard() == (
        b"POST http://up.example:8000/ HTTP/1.1\r\nhost: up.example:8000\r\naccept: */*\r\n"
        b"proxy-authorization: Basic bWU6c2VjcmV0\r\ncontent-length: 2\r\n\r\n{}"
    )
    peer.says(answer())
    assert receiver.body == b"hello"
    _, again = upstreams.send(given)
    assert peer.heard().count(b"proxy-authorization") == 1
    peer.says(answer(b"again"))
    assert (again.body, upstreams.attempts) == (b"again", 1)
    assert (given.target, given.headers) == (b"/", [(b"accept", b"*/*")])


def test_a_proxy_that_asks_for_a_credential_is_no_upstream_that_answers() -> None:
    upstreams, peer, receiver = greeted("http://192.0.2.9:3128", UP)
    peer.says(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwho")
    assert failure(receiver) == UNAUTHORIZED
    assert receiver.body == b""
    assert upstreams.pool.stats()["active"] == 0


def test_other_answers_of_a_proxy_are_passed_on() -> None:
    _, peer, receiver = greeted("http://192.0.2.9:3128", UP)
    peer.says(b"HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad")
    assert receiver.body == b"bad"
    assert receiver.violations == []


def test_a_call_through_a_proxy_can_be_given_up_at_any_time() -> None:
    for url, origin in (("http://192.0.2.9", UP), ("http://192.0.2.9", SECURE), ("socks5h://192.0.2.9", UP)):
        for connected in (False, True):
            upstreams = behind(url)
            call, receiver = upstreams.send(request(origin=origin))
            peer = upstreams.accept() if connected else None
            call.abort()
            late = peer or upstreams.accept()
            assert late.aborted
            late.says(b"HTTP/1.1 200 OK\r\n\r\n")
            late.is_gone()
            assert [each for each in receiver.dialogue if each[0] != "sent"] == []
            assert upstreams.pool.stats() == {"active": 0, "idle": 0, "waiting": 0}


# Tunnels.


def test_tls_goes_through_a_tunnel() -> None:
    _, peer, receiver = greeted("http://192.0.2.9:3128", SECURE)
    assert peer.heard() == TUNNEL
    peer.says(MADE[:9])
    assert peer.heard() == b""
    peer.says(MADE[9:])
    assert peer.heard()[:3] == b"\x16\x03\x01"
    assert receiver.dialogue == []


def test_an_address_in_a_tunnel_has_its_brackets() -> None:
    _, peer, _ = greeted("http://me:secret@192.0.2.9", Origin("https", "2001:db8::1", 8443))
    assert peer.heard() == (
        b"CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nhost: [2001:db8::1]:8443\r\n"
        b"proxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    )


@pytest.mark.parametrize(("status", "expected"), [(407, UNAUTHORIZED), (403, FAILED), (502, FAILED)])
def test_a_tunnel_that_is_refused_is_named_and_nothing_was_sent(status: int, expected: object) -> None:
    upstreams, peer, receiver = greeted("http://192.0.2.9:3128", SECURE)
    peer.says(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)
    assert failure(receiver) == expected
    assert peer.aborted
    peer.is_gone()
    assert upstreams.pool.stats()["active"] == 0


# SOCKS.


def test_socks5h_is_told_the_name_and_carries_requests_as_they_are() -> None:
    upstreams, peer, receiver = greeted("socks5h://me:secret@192.0.2.9", UP)
    assert target(upstreams) == ("192.0.2.9", 1080)
    assert peer.heard() == b"\x05\x02\x00\x02"
    peer.says(b"\x05\x02")
    assert peer.heard() == b"\x01\x02me\x06secret"
    peer.says(b"\x01\x00")
    assert peer.heard() == b"\x05\x01\x00\x03\x0aup.example\x1f\x40"
    assert receiver.dialogue == []
    peer.says(b"\x05\x00\x00\x01" + bytes(6))
    assert peer.heard() == b"GET / HTTP/1.1\r\nhost: up.example:8000\r\naccept: */*\r\n\r\n"
    peer.says(answer())
    assert receiver.body == b"hello"
    upstreams.send(request(origin=UP))
    assert peer.heard()[:5] == b"GET /"
    assert upstreams.attempts == 1


def test_socks5_is_told_the_address_that_the_name_has_here() -> None:
    upstreams = behind("socks5://192.0.2.9")
    upstreams.reactor.nameResolver = Rebinding(["198.51.100.7", "198.51.100.8"])
    upstreams.send(request(origin=UP))
    peer = upstreams.accept()
    peer.heard()
    peer.says(b"\x05\x00")
    assert peer.heard() == b"\x05\x01\x00\x01\xc6\x33\x64\x07\x1f\x40"


def test_socks5_needs_the_name_to_have_an_address() -> None:
    upstreams = behind("socks5://192.0.2.9")
    upstreams.reactor.nameResolver = Rebinding([])
    _, receiver = upstreams.send(request(origin=UP))
    assert receiver.dialogue == []
    upstreams.reactor.advance(0)
    assert failure(receiver) == ("upstream_connection_failed", False, True)
    assert upstreams.attempts == 0


def test_a_name_too_long_for_socks_is_told_in_a_later_turn() -> None:
    upstreams = behind("socks5h://192.0.2.9")
    _, receiver = upstreams.send(request(origin=Origin("http", f"{'a' * 60}." * 5 + "example", 80)))
    assert receiver.dialogue == []
    upstreams.reactor.advance(0)
    assert failure(receiver) == FAILED


@pytest.mark.parametrize(
    ("said", "expected"),
    [(b"\x05\xff", UNAUTHORIZED), (b"\x05\x00\x05\x05\x00\x01" + bytes(6), FAILED), (b"HTTP/1.1 400 Bad", FAILED)],
)
def test_a_socks_proxy_that_refuses_is_named_and_nothing_was_sent(said: bytes, expected: object) -> None:
    upstreams, peer, receiver = greeted("socks5h://192.0.2.9", UP)
    peer.says(said)
    assert failure(receiver) == expected
    assert peer.aborted
    assert upstreams.pool.stats()["active"] == 0


# A proxy that is not there.


@pytest.mark.parametrize(
    ("url", "origin"), [("http://192.0.2.9", UP), ("http://192.0.2.9", SECURE), ("socks5h://192.0.2.9", UP)]
)
@pytest.mark.parametrize("error", [ConnectionRefusedError(), DNSLookupError()])
def test_a_proxy_that_cannot_be_connected_to_is_named(url: str, origin: Origin, error: Exception) -> None:
    upstreams = behind(url)
    _, receiver = upstreams.send(request(origin=origin))
    upstreams.refuse(error)
    assert failure(receiver) == FAILED


@pytest.mark.parametrize("url", ["http://192.0.2.9", "socks5h://192.0.2.9"])
def test_a_proxy_that_closes_in_its_handshake_is_named(url: str) -> None:
    upstreams, peer, receiver = greeted(url, SECURE)
    peer.protocol.connectionLost(Failure(ConnectionLost()))
    assert failure(receiver) == FAILED
    assert upstreams.pool.stats()["active"] == 0


@pytest.mark.parametrize("url", ["http://192.0.2.9", "socks5h://192.0.2.9"])
def test_the_time_to_connect_includes_the_proxys_handshake(url: str) -> None:
    upstreams = behind(url, timeouts=Timeouts(connect_s=2))
    _, receiver = upstreams.send(request(origin=SECURE))
    peer = upstreams.accept()
    upstreams.pass_time(2.5)
    assert failure(receiver) == ("upstream_timeout", False, True)
    assert peer.aborted


def test_what_needs_no_proxy_is_reached_directly() -> None:
    proxies = Proxies({"http": Proxy.of("http://192.0.2.9:3128")}, Bypass("192.0.2.0/24"))
    upstreams = Upstreams(make=partial(ProxiedPool, proxies))
    upstreams.send(request(origin=Origin("http", "192.0.2.1", 80)))
    assert target(upstreams) == ("192.0.2.1", 80)
    assert upstreams.accept().heard()[:6] == b"GET / "
    upstreams.send(request(origin=UP))
    assert target(upstreams) == ("192.0.2.9", 3128)


def test_tls_to_the_proxy_comes_before_anything_else() -> None:
    for origin in (UP, SECURE):
        _, peer, receiver = greeted("https://192.0.2.9", origin)
        assert peer.heard()[:3] == b"\x16\x03\x01"
        peer.says(b"HTTP/1.1 400 This is no TLS\r\n\r\n")
        peer.is_gone()
        assert failure(receiver) == FAILED
