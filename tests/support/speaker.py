"""One side of a WebSocket over a blocking connection, as wsproto plays it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import Event

from tests.support.dialogue import Peer


class Speaker:
    """One side of a WebSocket.

    Args:
        peer: Its connection.
        kind: Which side.
    """

    def __init__(self, peer: Peer, kind: ConnectionType) -> None:
        self.peer = peer
        self._socket = WSConnection(kind)

    def say(self, *events: Event) -> None:
        """Send ``events``."""
        for event in events:
            self.peer.send(self._socket.send(event))

    def hear(self) -> Any:
        """Return the next event; the pieces of a message as one."""
        event = self._next()
        while not getattr(event, "message_finished", True) or not getattr(event, "body_finished", True):
            more = self._next()
            event = replace(more, data=event.data + more.data)
        return event

    def _next(self) -> Any:
        while (event := next(iter(self._socket.events()), None)) is None:
            self._socket.receive_data(self.peer.exactly(1))
        return event
