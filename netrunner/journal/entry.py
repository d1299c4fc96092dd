"""One exchange in the journal: its INTENT, both messages as they flow, its OUTCOME.

What comes of a message is collected for up to a second, or ``HOLD_BYTES``, and then makes one frame that names the one
before it. A request that is complete stands in the INTENT, the end of the response in the OUTCOME.

This module must not write files.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from netrunner.journal import frames
from netrunner.journal.frames import NOWHERE, Kind
from netrunner.values import Copy, MessageHead, Record

if TYPE_CHECKING:
    from netrunner.journal.lane import Lane

HOLD_BYTES = 16384
REQUEST, RESPONSE = 0, 1
_encode = msgspec.msgpack.Encoder().encode


class Ledger(Protocol):
    """What an entry asks of the journal it is in."""

    lane: Lane
    keep_bytes: int | None
    """Of each body; None for all of them."""
    messages: bool
    """Whether heads and bodies are recorded at all."""
    full: bool
    """Whether there is no room for bodies now."""
    folder_name: str

    def finished(self, entry: Entry, record: Record) -> None:
        """Take the record of an exchange that has ended."""


class Message:
    """What is recorded of one direction."""

    __slots__ = ("_direction", "_head", "_held", "_held_bytes", "_ledger", "_number", "_sha", "cut", "kept", "last")

    def __init__(self, ledger: Ledger, number: int, direction: int) -> None:
        self._ledger = ledger
        self._number = number
        self._direction = direction
        self._sha: Any = None
        self._head = b""
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.last = NOWHERE
        """Offset of the frame with its last part."""
        self.kept = 0
        """Bytes of the body that are recorded, or held to be."""
        self.cut = False
        """Whether some were not."""

    def head(self, head: MessageHead) -> None:
        """Record start line and fields."""
        if self._ledger.messages:
            self._head = _encode(head)

    def digest(self, data: bytes) -> None:
        """See the next bytes of the body as they are."""
        if self._sha is None:
            self._sha = sha256(data)
        else:
            self._sha.update(data)

    def keep(self, data: bytes) -> None:
        """Record the next bytes of the body as they may be recorded."""
        ledger = self._ledger
        limit = ledger.keep_bytes
        if limit is not None and self.kept + len(data) > limit:
            data = data[: max(0, limit - self.kept)]
            self.cut = True
        if ledger.full:
            self.cut = self.cut or bool(data)
            return
        if not data:
            return
        self.kept += len(data)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= HOLD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Make frames of what is held."""
        if self._held or self._head:
            data = b"".join(self._held)
            most = frames.MAX_PAYLOAD_BYTES - len(self._head) - 64
            for at in range(0, max(1, len(data)), most):
                part = frames.message(self._direction, self.last, self._head, data[at : at + most])
                self.last = self._ledger.lane.append(Kind.PIECE, frames.piece(self._number, part))
                self._head = b""
            self._held = []
            self._held_bytes = 0

    def take(self) -> bytes:
        """Return what is held, to stand in a frame at the lane's end."""
        if not self._held and not self._head:
            return b""
        part = frames.message(self._direction, self.last, self._head, b"".join(self._held))
        self.last = self._ledger.lane.begin()
        self._head = b""
        self._held = []
        return part

    def hexdigest(self) -> str | None:
        """Return the SHA-256 of the body; None if there was none."""
        digest: str | None = None if self._sha is None else self._sha.hexdigest()
        return digest

    def copy(self) -> Copy | None:
        """Return where it is; None if nothing of it is recorded."""
        return None if self.last == NOWHERE else Copy(self._ledger.folder_name, self.last, self.kept, not self.cut)


class Entry:
    """One exchange that has an INTENT.

    Args:
        ledger: The journal.
        number: Of the exchange, in this journal.
        lost: Called when the INTENT could not be written after all: the provider must not be called.
    """

    __slots__ = ("_ledger", "intent", "lost", "messages", "number")

    def __init__(self, ledger: Ledger, number: int, lost: Callable[[], None]) -> None:
        self._ledger = ledger
        self.number = number
        self.lost: Callable[[], None] | None = lost
        self.intent = NOWHERE
        """Offset of its INTENT."""
        self.messages = (Message(ledger, number, REQUEST), Message(ledger, number, RESPONSE))

    def begin(self, record: Record, head: MessageHead, body: bytes) -> None:
        """Append the INTENT, and the request as far as it has come; ``body`` as it may be recorded."""
        request = self.messages[REQUEST]
        request.head(head)
        small = len(body) < HOLD_BYTES
        if small and body:
            request.keep(body)
        part = request.take()
        self.intent = self._ledger.lane.append(Kind.INTENT, frames.entry(self.number, _encode(record), part))
        if not small:
            request.keep(body)

    def end(self, record: Record) -> None:
        """Append the OUTCOME; ``record`` then says where the messages are."""
        request, response = self.messages
        request.flush()
        part = response.take()
        record.request_sha256, record.request_copy = request.hexdigest(), request.copy()
        record.response_sha256, record.response_copy = response.hexdigest(), response.copy()
        self._ledger.lane.append(Kind.OUTCOME, frames.entry(self.number, _encode(record), part))
        self._ledger.finished(self, record)
