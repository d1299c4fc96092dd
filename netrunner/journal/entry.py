"""One exchange in the journal: its INTENT, both messages as they flow, its OUTCOME.

Pieces of a body are collected for up to a second, or ``HOLD_BYTES``, and then make one frame; each frame names the one
before it. This module must not write files.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from netrunner.journal import frames
from netrunner.journal.frames import Kind
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
    full: bool
    """Whether there is no room for bodies now."""
    folder_name: str

    holding: set[Message]
    """Those that are to flush what they hold in a while."""

    def finished(self, entry: Entry, record: Record) -> None:
        """Take the record of an exchange that has ended."""


class Message:
    """What is recorded of one direction."""

    __slots__ = ("_direction", "_held", "_held_bytes", "_ledger", "_number", "_sha", "cut", "kept", "last")

    def __init__(self, ledger: Ledger, number: int, direction: int) -> None:
        self._ledger = ledger
        self._number = number
        self._direction = direction
        self._sha: Any = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.last = frames.NOWHERE
        """Offset of its last frame."""
        self.kept = 0
        """Bytes that are recorded, or held to be."""
        self.cut = False
        """Whether some were not."""

    def head(self, head: MessageHead) -> None:
        """Record start line and fields."""
        self._frame(Kind.HEAD, _encode(head))

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
        if ledger.full and data:
            self.cut = True
            return
        if not data:
            return
        self.kept += len(data)
        if not self._held:
            ledger.holding.add(self)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= HOLD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Make frames of what is held."""
        if not self._held:
            return
        self._ledger.holding.discard(self)
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held = []
        self._held_bytes = 0
        for at in range(0, len(data), frames.MAX_PAYLOAD_BYTES - 64):
            self._frame(Kind.PIECE, data[at : at + frames.MAX_PAYLOAD_BYTES - 64])

    def _frame(self, kind: int, data: bytes) -> None:
        payload = frames.piece(self._number, self._direction, self.last, data)
        self.last = self._ledger.lane.append(kind, payload)

    def finish(self) -> tuple[str | None, Copy | None]:
        """Record what is held; return the body's digest, and where the message is."""
        self.flush()
        digest = None if self._sha is None else self._sha.hexdigest()
        if self.last == frames.NOWHERE:
            return digest, None
        return digest, Copy(self._ledger.folder_name, self.last, self.kept, not self.cut)


class Entry:
    """One exchange that has an INTENT.

    Args:
        ledger: The journal.
        number: Of the exchange, in this journal.
        lost: Called when the INTENT could not be written after all: the provider must not be called.
        records_messages: Whether heads and bodies are recorded at all.
    """

    __slots__ = ("_ledger", "intent", "lost", "messages", "number", "records_messages")

    def __init__(self, ledger: Ledger, number: int, lost: Callable[[], None], records_messages: bool) -> None:
        self._ledger = ledger
        self.number = number
        self.lost: Callable[[], None] | None = lost
        self.records_messages = records_messages
        self.intent = frames.NOWHERE
        """Offset of its INTENT."""
        self.messages = (Message(ledger, number, REQUEST), Message(ledger, number, RESPONSE))

    def begin(self, record: Record) -> None:
        """Append the INTENT."""
        self.intent = self._ledger.lane.append(Kind.INTENT, frames.numbered(self.number, _encode(record)))

    def end(self, record: Record) -> None:
        """Append the OUTCOME; ``record`` then says where the messages are."""
        record.request_sha256, record.request_copy = self.messages[REQUEST].finish()
        record.response_sha256, record.response_copy = self.messages[RESPONSE].finish()
        self._ledger.lane.append(Kind.OUTCOME, frames.numbered(self.number, _encode(record)))
        self._ledger.finished(self, record)
