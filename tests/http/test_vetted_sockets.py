"""Connecting to vetted addresses only, on real sockets: listeners that nobody reaches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.http.dial import Dial, dial
from netrunner.http.pool import Pool
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.http.vetted import vetted
from netrunner.routing.addresses import AddressPolicy
from netrunner.settings import PoolLimits, Timeouts
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin
from tests.http.upstreams import Rebinding, answer, request
from tests.support.authority import Authority

pytestmark = pytest.mark.integration

PUBLIC = "198.41.0.4"
PRIVATE = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1")


class Answering(Protocol):
    """Answers once."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(answer(b"hello", b"Connection: close"))


class Counting(Factory):
    """Counts who comes."""

    noisy = False
    protocol = Answering
    count = 0

    def buildProtocol(self, addr: Any) -> Any:
        """Count."""
        self.count += 1
        return super().buildProtocol(addr)


@implementer(IReactorPluggableNameResolver)
class World:  # type: ignore[misc]  # nothing is installed in it
    """The real reactor in a world of its own: one public server, and listeners on private addresses.

    Args:
        reactor: The real one.
        authority: Certifies the public server for ``rebinding.example``.
    """

    def __init__(self, reactor: Any, authority: Authority) -> None:
        self._reactor = reactor
        self.nameResolver = Rebinding()
        self.callLater, self.seconds = reactor.callLater, reactor.seconds
        self.public, self.private = Counting(), Counting()
        certificate = authority.certify(x509.DNSName("rebinding.example"))
        self._server = reactor.listenSSL(0, self.public, certificate, interface="127.0.0.1")
        first = reactor.listenTCP(0, self.private, interface=PRIVATE[0])
        self.port: int = first.getHost().port
        rest = [reactor.listenTCP(self.port, self.private, interface=one) for one in PRIVATE[1:]]
        self._ports = [self._server, first, *rest]
        self._tls = TlsContexts(str(authority.file))
        self._sweep = Sweep(SystemClock(reactor))
        self._sweep.start()

    def connectTCP(self, host: str, port: int, *rest: Any, **named: Any) -> Any:
        """Connect, on loopback only."""
        if host == PUBLIC:
            return self._reactor.connectTCP("127.0.0.1", self._server.getHost().port, *rest, **named)
        assert host in PRIVATE
        return self._reactor.connectTCP(host, port, *rest, **named)

    async def ask(self, origin: Origin, dial: Dial) -> FakeReceiver:
        """Send one request over a pool of its own, and wait for its end."""
        pool = Pool(self, self._sweep, Timeouts(), PoolLimits(), tls=self._tls, dial=dial)
        receiver = FakeReceiver()
        pool.send(request(origin=origin), receiver)
        await receiver.wait_for_end()
        pool.close()
        return receiver

    async def close(self) -> None:
        """Listen no more."""
        self._sweep.stop()
        for port in self._ports:
            await port.stopListening()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world, and its end."""
    from twisted.internet import reactor  # noqa: TID251 - the one that pytest-twisted runs

    one = World(reactor, Authority(tmp_path))
    yield one
    pytest_twisted.blockon(Deferred.fromCoroutine(one.close()))


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_rebound_reaches_its_public_address_and_nothing_else(world: World) -> None:
    policy = AddressPolicy()
    origin = Origin("https", "rebinding.example", world.port)
    for address in PRIVATE:
        world.nameResolver = Rebinding([PUBLIC], [address], [PUBLIC, address])
        receiver = await world.ask(origin, vetted(policy.permits))
        assert (receiver.error, receiver.body) == (None, b"hello")
        for _ in range(2):
            receiver = await world.ask(origin, vetted(policy.permits))
            assert receiver.error is not None
            assert (receiver.error.code, receiver.error.sent) == ("upstream_address_denied", False)
    for host in PRIVATE:
        receiver = await world.ask(Origin("http", host, world.port), vetted(policy.permits))
        assert receiver.error is not None
    assert (world.public.count, world.private.count) == (len(PRIVATE), 0)


@pytest_twisted.ensureDeferred
async def test_what_is_not_vetted_gets_there(world: World) -> None:
    for address in PRIVATE:
        world.nameResolver = Rebinding([address])
        assert (await world.ask(Origin("http", "rebinding.example", world.port), dial)).body == b"hello"
    assert world.private.count == len(PRIVATE)


@pytest_twisted.ensureDeferred
async def test_an_allowed_host_is_reached_wherever_it_is(world: World) -> None:
    policy = AddressPolicy(["llm.internal"])
    world.nameResolver = Rebinding(["::1"])
    assert (await world.ask(Origin("http", "llm.internal", world.port), vetted(policy.permits))).body == b"hello"
