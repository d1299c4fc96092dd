"""The inside of a CONNECT: TLS ends here, and the client's requests to that host are read as any others.

A tunnel that is looked into is still a tunnel: its bytes come from the client's connection and go there. What speaks
TLS at its other end is no upstream but this process, which for the client is the host, by a certificate of an authority
of our own.

This module must not decide which hosts are looked into, nor what becomes of requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, IPushProducer, ITransport
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.authority import Authority
from netrunner.errors import UpstreamError
from netrunner.http.channel import Channel
from netrunner.http.straight import ESTABLISHED
from netrunner.interfaces import IClock, IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.values import Origin, UpstreamRequest

_MOST_HOSTS = 256
_RENEW_S = 24 * 3600.0


@implementer(IAddress)
class Inside:
    """Whose requests come out of a tunnel: the client's address, whom it asked for, and as whom.

    Args:
        peer: The address of the client's connection.
        origin: The host that it asked for.
        user: As of ``exchange.caller``.
    """

    def __init__(self, peer: Any, origin: Origin, user: str | None) -> None:
        self.type = "TCP"
        self.host: str = getattr(peer, "host", "unix")
        self.port: int = getattr(peer, "port", 0)
        self.origin = origin
        self.user = user


class Interceptor:
    """Ends TLS for hosts.

    Args:
        authority: Signs their certificates.
        reactor: What connections run on.
        clock: Time.
    """

    def __init__(self, authority: Authority, reactor: Any, clock: IClock) -> None:
        self._authority = authority
        self._reactor = reactor
        self._clock = clock
        self._contexts: OrderedDict[str, tuple[float, CertificateOptions]] = OrderedDict()

    def tunnel(self, site: Any, host: Any, inside: Inside) -> IUpstream:
        """Return what the tunnel of a CONNECT leads to.

        Args:
            site: Serves what comes out of it.
            host: Our address.
            inside: Who asks.
        """
        factory = TLSMemoryBIOFactory(self._context(inside.origin.host), False, _Channels(site), self._reactor)
        # A response is written as a whole: the buffering default would only add a delayed call to each write.
        factory.protocol = TLSMemoryBIOProtocol
        return _Inward(factory, self._reactor, host, inside)

    def _context(self, host: str) -> CertificateOptions:
        """Return what ends TLS for a host; kept for a day, for as many hosts as are remembered."""
        now = self._clock.wall()
        made_at, context = self._contexts.pop(host, (float("-inf"), None))
        if context is None or now - made_at > _RENEW_S:
            authority = self._authority
            certificate: Any = authority.certify(host, now)
            key: Any = authority.leaf_key
            # Twisted hands both to OpenSSL as they are, which wants them of this kind.
            made_at, context = now, CertificateOptions(key, certificate, acceptableProtocols=[b"http/1.1"])
        self._contexts[host] = (made_at, context)
        if len(self._contexts) > _MOST_HOSTS:
            self._contexts.popitem(last=False)
        return context


class _Inner(Channel):
    """A client's connection inside a tunnel: requests are for a path, as at any server."""

    inside = True


class _Channels(Factory):
    """Makes them."""

    noisy = False

    def __init__(self, site: Any) -> None:
        self._site = site

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        return _Inner(self._site)


@implementer(IUpstream)
class _Inward:
    """Where one tunnel leads."""

    def __init__(self, factory: TLSMemoryBIOFactory, reactor: Any, host: Any, inside: Inside) -> None:
        self._factory, self._reactor, self._host, self._inside = factory, reactor, host, inside

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """Open it, in the next turn of the reactor; nothing of ``request`` is sent."""
        tls = self._factory.buildProtocol(self._inside)
        wire = _Wire(receiver, tls, self._reactor, (self._host, self._inside))
        self._reactor.callLater(0, wire.begin)
        return _Call(wire)


@implementer(ITransport, IPushProducer)
class _Wire:
    """The transport of what speaks TLS: its bytes go to the tunnel's client.

    Args:
        receiver: Hears them.
        tls: Speaks TLS.
        reactor: What it runs on.
        addresses: Ours, and the client's.
    """

    disconnecting = False
    """As of every transport."""

    def __init__(self, receiver: IResponseReceiver, tls: Any, reactor: Any, addresses: tuple[Any, Inside]) -> None:
        self.producer: IPushProducer | None = None
        """Is paused while the client does not read."""
        self.intake: IPushProducer | None = None
        """Is paused while requests are not read on."""
        self._receiver: IResponseReceiver | None = receiver
        self._tls = tls
        self._reactor = reactor
        self._host, self._peer = addresses
        self._begun = self._lost = False

    def begin(self) -> None:
        """Tell the client to go on, and listen."""
        receiver = self._receiver
        if receiver is not None:
            self._begun = True
            receiver.sent(False)
            self._tls.makeConnection(self)
            receiver.head_received(ESTABLISHED)

    def take(self, data: bytes) -> None:
        """Hand on what came from the client."""
        if not self._lost:
            self._tls.dataReceived(data)

    def lose(self, reason: Exception) -> IResponseReceiver | None:
        """Tell what speaks TLS that it is over; return who has to be told of the end, if it is not yet.

        It hears of that in a turn of its own, as from any transport: it may be at work on what ended it.
        """
        receiver, self._receiver = self._receiver, None
        if self._begun and not self._lost:
            self._lost = self.disconnecting = True
            self._reactor.callLater(0, self._tls.connectionLost, Failure(reason))
        return receiver

    # Where TLS calls in.

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        if self._receiver is not None:
            self._receiver.body_received(data, False)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send them as one."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close the tunnel when what was written is out."""
        receiver = self.lose(ConnectionDone())
        if receiver is not None:
            receiver.body_received(b"", True)

    def abortConnection(self) -> None:
        """Break the tunnel off: what was under way inside has no end."""
        receiver = self.lose(ConnectionAborted())
        if receiver is not None:
            receiver.failed(UpstreamError("the connection inside the tunnel was dropped", code="upstream_truncated"))

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Let what is written be paused."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Pause nobody."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no more from the client for now."""
        if self.intake is not None:
            self.intake.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        if self.intake is not None:
            self.intake.resumeProducing()

    def stopProducing(self) -> None:
        """As of every producer."""
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to set: there is no socket here."""

    def getPeer(self) -> Inside:
        """Return whose requests these are."""
        return self._peer

    def getHost(self) -> Any:
        """Return our address."""
        return self._host


@implementer(IUpstreamCall)
class _Call:
    """The far end of one tunnel, for what carries its bytes."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def pause(self) -> None:
        """The client does not read."""
        if self._wire.producer is not None:
            self._wire.producer.pauseProducing()

    def resume(self) -> None:
        """It reads again."""
        if self._wire.producer is not None:
            self._wire.producer.resumeProducing()

    def abort(self) -> None:
        """The client is gone."""
        self._wire.lose(ConnectionAborted())

    def write(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._wire.take(data)

    def end(self) -> None:
        """The client sends no more; in TLS that is its end."""
        receiver = self._wire.lose(ConnectionDone())
        if receiver is not None:
            receiver.body_received(b"", True)

    def register_producer(self, producer: IPushProducer) -> None:
        """Remember what to pause while requests are not read on."""
        self._wire.intake = producer
