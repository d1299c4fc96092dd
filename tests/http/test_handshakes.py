"""What is said to proxies: SOCKS 5 and HTTP tunnels, whole, byte by byte and split at every position."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netrunner.errors import ProxyFailed, ProxyUnauthorized
from netrunner.http.connect import Connect
from netrunner.http.passage import Handshake
from netrunner.http.socks import Socks5

Make = Callable[[], Handshake]
REQUEST = b"\x05\x01\x00\x03\x0aup.example\x01\xbb"
SHOWN = b"\x01\x02me\x06secret"


def open_socks() -> Socks5:
    """Return a handshake without a credential."""
    return Socks5("up.example", 443)


def socks() -> Socks5:
    """Return a handshake with one."""
    return Socks5("up.example", 443, b"me", b"secret")


def connect() -> Connect:
    """Return a handshake for a tunnel."""
    return Connect(b"up.example:443", b"Basic bWU6c2VjcmV0")


DIALOGUES: list[tuple[Make, bytes, list[tuple[bytes, bytes]]]] = [
    (open_socks, b"\x05\x01\x00", [(b"\x05\x00", REQUEST), (b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", b"")]),
    (socks, b"\x05\x02\x00\x02", [(b"\x05\x00", REQUEST), (b"\x05\x00\x00\x04" + bytes(18), b"")]),
    (
        socks,
        b"\x05\x02\x00\x02",
        [(b"\x05\x02", SHOWN), (b"\x01\x00", REQUEST), (b"\x05\x00\x00\x03\x05local\x00\x50", b"")],
    ),
    (
        connect,
        b"CONNECT up.example:443 HTTP/1.1\r\nhost: up.example:443\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n",
        [(b"HTTP/1.1 200 Connection established\r\nVia: a\r\nContent-Length: 5\r\n\r\n", b"")],
    ),
    (
        lambda: Connect(b"up.example:443", None),
        b"CONNECT up.example:443 HTTP/1.1\r\nhost: up.example:443\r\n\r\n",
        [(b"HTTP/1.0 204\r\n\r\n", b"")],
    ),
]


@pytest.mark.parametrize(("make", "first", "turns"), DIALOGUES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_handshake_succeeds_however_it_is_cut(
    make: Make, first: bytes, turns: list[tuple[bytes, bytes]], size: int
) -> None:
    one = make()
    assert one.begin() == first
    for heard, said in turns:
        assert not one.done
        pieces = [heard[at : at + size] for at in range(0, len(heard), size)]
        assert b"".join(map(one.feed, pieces)) == said
    assert (one.done, one.rest) == (True, b"")


@pytest.mark.parametrize(("make", "first", "turns"), DIALOGUES)
def test_what_follows_at_once_is_the_upstreams(make: Make, first: bytes, turns: list[tuple[bytes, bytes]]) -> None:
    one = make()
    assert one.feed(b"".join(heard for heard, _ in turns) + b"220 hello") == b"".join(said for _, said in turns)
    assert (one.done, one.rest) == (True, b"220 hello")


def fails(one: Handshake, *heard: bytes) -> ProxyFailed:
    """Return what a handshake fails with."""
    one.begin()
    with pytest.raises(ProxyFailed) as failed:
        list(map(one.feed, heard))
    assert (failed.value.sent, failed.value.retryable, one.done) == (False, True, False)
    return failed.value


@pytest.mark.parametrize("make", [open_socks, socks])
def test_a_method_we_have_not_is_told_as_a_missing_credential(make: Make) -> None:
    for method in (b"\x05\xff", b"\x05\x01", *([b"\x05\x02"] if make is open_socks else [])):
        assert isinstance(fails(make(), method), ProxyUnauthorized)


def test_a_refused_password_is_told_as_such() -> None:
    assert isinstance(fails(socks(), b"\x05\x02", b"\x01\x01"), ProxyUnauthorized)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1, "general failure"), (2, "rules"), (3, "network"), (4, "host"), (5, "refused"), (6, "time"), (7, "command"),
     (8, "kind"), (9, "reply 9"), (255, "reply 255")],
)  # fmt: skip
def test_a_proxy_that_cannot_connect_says_why(code: int, reason: str) -> None:
    error = fails(open_socks(), b"\x05\x00", bytes([5, code, 0, 1]) + bytes(6))
    assert error.code == "proxy_connection_failed"
    assert reason in error.message


@pytest.mark.parametrize(
    "heard",
    [(b"\x04\x00",), (b"HTTP/1.1 400 Bad\r\n",), (b"\x05\x00", b"\x04\x00\x00\x01" + bytes(6)),
     (b"\x05\x00", b"\x05\x00\x00\x02" + bytes(20))],
)  # fmt: skip
def test_what_does_not_speak_socks_is_told(heard: tuple[bytes, ...]) -> None:
    assert "does not speak SOCKS 5" in fails(open_socks(), *heard).message


def test_addresses_are_told_as_addresses_and_a_name_has_its_bound() -> None:
    for host, target in (
        ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ):
        assert Socks5(host, 80).feed(b"\x05\x00") == b"\x05\x01\x00" + target + b"\x00\x50"
    assert Socks5("пример.example", 80).feed(b"\x05\x00")[3:5] == b"\x03\x14"
    with pytest.raises(ProxyFailed, match="too long"):
        Socks5(f"{'a' * 60}." * 5 + "example", 80)


@pytest.mark.parametrize("status", [100, 101, 300, 302, 403, 404, 502, 503])
def test_a_tunnel_that_is_not_made_names_the_status(status: int) -> None:
    error = fails(connect(), b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)
    assert error.code == "proxy_connection_failed"
    assert str(status) in error.message


@pytest.mark.parametrize("status", [401, 407])
def test_a_tunnel_for_which_a_credential_is_missing_or_wrong_is_told_as_such(status: int) -> None:
    error = fails(connect(), b'HTTP/1.1 %d Who\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n' % status)
    assert isinstance(error, ProxyUnauthorized)
    assert error.code == "proxy_auth_required"


@pytest.mark.parametrize(
    "heard", [b"SSH-2.0-x\r\n", b"\x05\x00", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 2000 x\r\n\r\n", b"\r\n\r\n"]
)
def test_what_does_not_speak_http_is_told(heard: bytes) -> None:
    assert "does not speak HTTP" in fails(connect(), heard).message


def test_a_head_without_end_is_given_up() -> None:
    assert "does not speak HTTP" in fails(connect(), b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n" * 100] * 30).message
