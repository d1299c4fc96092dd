"""The pool behind real proxies: tinyproxy, tinyproxy inside TLS, and microsocks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.defer import Deferred

import pytest_twisted
from netrunner.http.pool import Pool
from netrunner.http.proxied import ProxiedPool
from netrunner.http.tls import TlsContexts
from netrunner.routing.proxies import Proxies, Proxy
from netrunner.settings import PoolLimits, Timeouts
from tests.http.test_upstream_sockets import Net, Upstream, fetch, replies, turn
from tests.http.upstreams import answer, request
from tests.support.authority import Authority
from tests.support.proxies import ESCAPED, Microsocks, Tinyproxy, Tls

pytestmark = pytest.mark.integration


class Neighbourhood:
    """All proxies, each asking for a credential, and what is certified for TLS."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        authority = Authority(folder)
        self.tls = TlsContexts(str(authority.file))
        names = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        self.certificate = authority.certify(*names)
        bundle = folder / "bundle.pem"
        bundle.write_bytes((folder / "server.pem").read_bytes() + (folder / "key.pem").read_bytes())
        self.http = stack.enter_context(Tinyproxy(folder, credential=True))
        self.https = stack.enter_context(Tls(folder, bundle, self.http.port))
        self.socks = stack.enter_context(Microsocks(folder, credential=True))

    def proxy(self, scheme: str, credential: str = ESCAPED) -> Proxy:
        """Return how a proxy is spoken to."""
        port = {"http": self.http, "https": self.https}.get(scheme, self.socks).port
        return Proxy.of(f"{scheme}://{credential}@localhost:{port}".replace("://@", "://"))


@pytest.fixture(scope="module")
def neighbourhood(tmp_path_factory: Any) -> Iterator[Neighbourhood]:
    """The proxies, shared by all tests here."""
    with ExitStack() as stack:
        yield Neighbourhood(tmp_path_factory.mktemp("proxies"), stack)


@pytest.fixture
def net() -> Iterator[Net]:
    """A net that is closed."""
    from twisted.internet import reactor  # noqa: TID251 - the one that pytest-twisted runs

    one = Net(reactor)
    yield one
    pytest_twisted.blockon(Deferred.fromCoroutine(one.close()))


def pool(net: Net, proxy: Proxy, tls: TlsContexts) -> Pool:
    """Return a pool behind ``proxy``."""
    one = ProxiedPool(Proxies.always(proxy), net.reactor, net.sweep, Timeouts(), PoolLimits(), tls=tls)
    net.pools.append(one)
    return one


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest_twisted.ensureDeferred
async def test_an_upstream_is_reached_through_a_real_proxy(
    net: Net, neighbourhood: Neighbourhood, scheme: str, secure: bool, host: str
) -> None:
    heard = bytearray()

    def said(upstream: Upstream, data: bytes) -> None:
        heard.extend(data)
        if heard.endswith(b"!" * 9):
            heard.clear()
            upstream.transport.write(answer(b"hello" * 50_000))

    origin = net.listen(said, neighbourhood.certificate if secure else None, host)
    one = pool(net, neighbourhood.proxy(scheme), neighbourhood.tls)
    over_http = scheme in ("http", "https")
    # A tunnel is kept as any other connection; of plain HTTP tinyproxy closes after each request.
    closes = over_http and not secure
    for _ in range(2):
        receiver = await fetch(one, request(b"POST", b"x" * 300_000 + b"!" * 9, origin=origin))
        assert receiver.error is None
        assert receiver.body == b"hello" * 50_000
        while closes and one.stats()["idle"]:
            await turn(net.reactor)
    named = "127.0.0.1" if scheme == "socks5" else host
    assert f"{named}:{origin.port}" in (neighbourhood.http if over_http else neighbourhood.socks).told()
    assert len(net.made) == (2 if closes else 1)


@pytest.mark.parametrize(
    ("scheme", "secure", "credential"),
    [
        ("http", False, ""), ("http", True, ""), ("http", True, "me:wrong"), ("socks5h", False, ""),
        ("socks5h", True, "me:wrong"),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_a_real_proxy_that_does_not_know_us_is_named(
    net: Net, neighbourhood: Neighbourhood, scheme: str, secure: bool, credential: str
) -> None:
    origin = net.listen(replies(answer()), neighbourhood.certificate if secure else None)
    receiver = await fetch(
        pool(net, neighbourhood.proxy(scheme, credential), neighbourhood.tls), request(origin=origin)
    )
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("proxy_auth_required", False)
    assert net.made == []


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest_twisted.ensureDeferred
async def test_an_upstream_that_is_not_there_is_told_by_a_real_proxy(
    net: Net, neighbourhood: Neighbourhood, scheme: str
) -> None:
    origin = net.listen(replies(answer()), neighbourhood.certificate)
    await net.ports.pop().stopListening()  # type: ignore[misc]  # a Deferred, for a TCP port
    receiver = await fetch(pool(net, neighbourhood.proxy(scheme), neighbourhood.tls), request(origin=origin))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("proxy_connection_failed", False)


@pytest_twisted.ensureDeferred
async def test_a_proxy_whose_certificate_is_not_trusted_is_not_used(net: Net, neighbourhood: Neighbourhood) -> None:
    one = pool(net, neighbourhood.proxy("https"), TlsContexts())
    receiver = await fetch(one, request(origin=net.listen(replies(answer()))))
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("proxy_connection_failed", False)
    assert "TLS" in receiver.error.message
