"""A WebSocket to one who looks on (RFC 6455), by wsproto over a connection that changed its protocol.

Events are text frames, ``{"type": NAME, "data": ...}``. This module must not know where they come from.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from netrunner.errors import BadRequest, Forbidden
from netrunner.http.outbox import KEEPALIVE_S, Outbox
from netrunner.http.request import Request
from netrunner.interfaces import IClock

MAX_MESSAGE_BYTES = 4096
"""Of what a browser says; it has little to say."""
KEY_BYTES = 16
GOING_AWAY = 1001
_WHAT_IS_SPOKEN = ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))
"""Fields of a 426: what would be understood (RFC 9110, 15.5.22; RFC 6455, 4.4)."""
_encode = msgspec.json.Encoder().encode


def check(request: Request) -> bytes:
    """Return the key of a handshake that may be answered.

    Raises:
        BadRequest: when it is none.
        Forbidden: ``cross_origin`` when a page of another host opens it.
    """
    if request.facts.upgrade is None or request.header(b"sec-websocket-version") != b"13":
        message = "A WebSocket's handshake of version 13 is expected here."
        raise BadRequest(message, code="upgrade_required", status=426, headers=_WHAT_IS_SPOKEN)
    key = request.header(b"sec-websocket-key") or b""
    if not _is_key(key):
        raise BadRequest("Sec-WebSocket-Key: is 16 bytes in base64.", code="invalid_handshake")
    origin = request.header(b"origin")
    if origin is not None and not is_same_host(origin, request):
        raise Forbidden("A page of another host may not look here.", code="cross_origin")
    return key


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except binascii.Error:
        return False


def is_same_host(origin: bytes, request: Request) -> bool:
    """Return whether a browser's ``Origin`` names the host that the request was sent to."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") == request.facts.host
    except ValueError:
        return False


class WebSocket(Outbox):
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
        super().__init__(clock, closed)
        self._request = request
        self._key = key
        self._asked = asked
        self._wire = Connection(ConnectionType.SERVER)
        self._said = ""
        self._pong = b""
        """The answer to the last ping of a browser that does not read; the ones before need none (RFC 6455, 5.5.3)."""

    def begin(self) -> None:
        """Answer the handshake."""
        accept = generate_accept_token(self._key)
        fields = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", accept)]
        self._request.on_disconnect = self._over
        self._request.registerProducer(self, True)
        self._request.switch(fields, self._received, self._over)
        if self.is_open:
            self._keep_alive()

    def resumeProducing(self) -> None:
        """It has caught up: answer its last ping, then send the rest."""
        pong, self._pong = self._pong, b""
        if pong and self._closed is not None:
            self._send(pong)
        super().resumeProducing()

    def _event(self, name: str, data: Any) -> bytes:
        return self._wire.send(TextMessage(_encode({"type": name, "data": data}).decode()))

    def _send(self, data: bytes) -> None:
        self._request.channel.write_now(data)

    def _send_last(self, data: bytes) -> None:
        if self._wire.state is ConnectionState.OPEN:
            data += self._wire.send(CloseConnection(GOING_AWAY))
        self._request.channel.write(data)
        self._cut()

    def _received(self, data: bytes) -> None:
        if self._closed is None:
            return
        try:
            self._wire.receive_data(data)
            for event in self._wire.events():
                if self._closed is not None:
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
                pong = self._wire.send(event.response())
                if self._paused:
                    self._pong = pong
                else:
                    self._send(pong)
            case CloseConnection():
                if self._wire.state is ConnectionState.REMOTE_CLOSING:
                    self._request.channel.write(self._wire.send(event.response()))
                self._hang_up()
            case Pong():
                pass

    def _keep_alive(self) -> None:
        self._keepalive = self._clock.callLater(KEEPALIVE_S, self._keep_alive)
        if not self._paused and self._wire.state is ConnectionState.OPEN:
            self._send(self._wire.send(Ping()))

    def _hang_up(self) -> None:
        if self._closed is not None:
            self._over()
            self._cut()

    def _cut(self) -> None:
        self._request.unregisterProducer()
        self._request.channel.cut()


def _type_of(said: str) -> str:
    """Return the ``type`` of a message: of an object, or the whole of a bare word."""
    try:
        return msgspec.json.decode(said, type=_Said).type
    except msgspec.MsgspecError:
        return said.strip()[:32]


class _Said(msgspec.Struct):
    type: str
