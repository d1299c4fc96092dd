"""A WebSocket to one who looks on (RFC 6455), by wsproto over a connection that changed its protocol.

Events are text frames, ``{"type": NAME, "data": ...}``. This module must not know where they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token
from zope.interface import implementer

from netrunner.errors import BadRequest, Forbidden
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.web.outbox import KEEPALIVE_S, MAX_WAITING_BYTES

MAX_MESSAGE_BYTES = 4096
"""Of what a browser says; it has little to say."""
GOING_AWAY = 1001
_encode = msgspec.json.Encoder().encode


def check(request: Request) -> bytes:
    """Return the key of a handshake that may be answered.

    Raises:
        BadRequest: when it is none.
        Forbidden: ``cross_origin`` when a page of another host opens it.
    """
    key = request.header(b"sec-websocket-key")
    if request.facts.upgrade is None or request.header(b"sec-websocket-version") != b"13" or not key:
        raise BadRequest("A WebSocket's handshake is expected here.", code="upgrade_required", status=426)
    origin = request.header(b"origin")
    if origin is not None and not is_same_host(origin, request):
        raise Forbidden("A page of another host may not look here.", code="cross_origin")
    return key


def is_same_host(origin: bytes, request: Request) -> bool:
    """Return whether a browser's ``Origin`` names the host that the request was sent to."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") == request.facts.host
    except ValueError:
        return False


@implementer(IPushProducer)
class WebSocket:
    """One WebSocket.

    Args:
        request: Its handshake, checked.
        clock: For pings.
        closed: Called once, when it is over.
        asked: Called with the ``type`` of what the browser says.
        key: Of the handshake.
    """

    def __init__(
        self, request: Request, clock: IClock, closed: Callable[[], None], asked: Callable[[str], None], key: bytes
    ) -> None:
        self._key = key
        self._request = request
        self._clock = clock
        self._closed: Callable[[], None] | None = closed
        self._asked = asked
        self._wire = Connection(ConnectionType.SERVER)
        self._said = ""
        self._paused = False
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._skipped = 0
        self.missed = 0
        self._ping: IDelayedCall | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything more can be told."""
        return self._closed is not None

    def begin(self) -> None:
        """Answer the handshake."""
        accept = generate_accept_token(self._key)
        fields = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", accept)]
        self._request.on_disconnect = self._over
        self._request.registerProducer(self, True)
        self._request.switch(fields, self._received, self._over)
        if self.is_open:
            self._keep_alive()

    def put(self, name: str, data: Any) -> None:
        """Send an event, or count it as skipped."""
        if self._closed is None:
            return
        if self._skipped:
            self._skipped += 1
            self.missed += 1
            return
        self._write(self._wire.send(TextMessage(_encode({"type": name, "data": data}).decode())))

    def end(self) -> None:
        """Say goodbye, and close."""
        if self._closed is not None:
            if self._wire.state is ConnectionState.OPEN:
                self._waiting.append(self._wire.send(CloseConnection(GOING_AWAY)))
            self._request.channel.write(b"".join(self._waiting))
            self._hang_up()

    def _write(self, frame: bytes) -> None:
        if not self._paused:
            self._request.channel.write_now(frame)
        elif self._waiting_bytes + len(frame) > MAX_WAITING_BYTES:
            self._skipped = 1
            self.missed += 1
        else:
            self._waiting.append(frame)
            self._waiting_bytes += len(frame)

    def _received(self, data: bytes) -> None:
        if self._closed is None:
            return
        try:
            self._wire.receive_data(data)
            for event in self._wire.events():
                self._react(event)
        except (RemoteProtocolError, LocalProtocolError):
            self._hang_up()

    def _react(self, event: Any) -> None:
        match event:
            case TextMessage():
                self._said += event.data
                if len(self._said) > MAX_MESSAGE_BYTES:
                    self._hang_up()
                elif event.message_finished:
                    said, self._said = self._said, ""
                    self._asked(_type_of(said))
            case Message():
                self._hang_up()
            case Ping():
                self._write(self._wire.send(event.response()))
            case CloseConnection():
                if self._wire.state is ConnectionState.REMOTE_CLOSING:
                    self._request.channel.write(self._wire.send(event.response()))
                self._hang_up()
            case Pong():
                pass

    def pauseProducing(self) -> None:
        """The browser does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has caught up: send what waits, and say how much it missed."""
        self._paused = False
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._request.channel.write_now(b"".join(waiting))
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            self.put("skipped", {"events": skipped})

    def stopProducing(self) -> None:
        """The transport is lost; ``on_disconnect`` tells the rest."""

    def _keep_alive(self) -> None:
        self._ping = self._clock.callLater(KEEPALIVE_S, self._keep_alive)
        if not self._paused and self._wire.state is ConnectionState.OPEN:
            self._request.channel.write_now(self._wire.send(Ping()))

    def _hang_up(self) -> None:
        if self._closed is not None:
            self._over()
            self._request.unregisterProducer()
            self._request.channel.cut()

    def _over(self) -> None:
        closed, self._closed = self._closed, None
        if self._ping is not None and self._ping.active():
            self._ping.cancel()
        if closed is not None:
            closed()


def _type_of(said: str) -> str:
    """Return the ``type`` of a message: of an object, or the whole of a bare word."""
    try:
        return msgspec.json.decode(said, type=_Said).type
    except msgspec.MsgspecError:
        return said.strip()[:32]


class _Said(msgspec.Struct):
    type: str
