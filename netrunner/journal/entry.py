"""One exchange in the journal: its INTENT, both messages as they flow, its OUTCOME.

What comes of a message is collected for up to a second, or ``HOLD_BYTES``, and then makes one frame that names the one
before it. A request that is complete stands in the INTENT, the end of the response in the OUTCOME.

What a turn of the reactor brings is put down as it is; ``write`` makes frames and digests of it at the turn's end, all
entries one after the other, with code and data at hand in the processor's caches.

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
Place = tuple[int, int, bool]
Asked = tuple[Callable[[], Record], Callable[[], MessageHead], bytes, bytes]
_NOTHING: Place = (NOWHERE, 0, False)
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
    due: list[Entry]
    """Those that have something to write before anything leaves."""
    holding: set[Entry]
    """Those that hold something of a message."""

    def finished(self, entry: Entry, record: Record) -> None:
        """Take the record of an exchange that has ended."""


class Message:
    """What is recorded of one direction, from its second part on."""

    __slots__ = (
        "_direction", "_entry", "_head", "_held", "_held_bytes", "_raw", "_raw_bytes", "_sha", "cut", "kept", "last",
    )  # fmt: skip

    def __init__(self, entry: Entry, direction: int) -> None:
        self._entry = entry
        self._direction = direction
        self._sha: Any = None
        self._raw: list[bytes] = []
        """Of the body as it is, what is not in the digest yet."""
        self._raw_bytes = 0
        self._head: MessageHead | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.last = NOWHERE
        """Offset of the frame with its last part."""
        self.kept = 0
        """Bytes of the body that are recorded, or held to be."""
        self.cut = False
        """Whether some were not."""

    def head(self, head: MessageHead) -> None:
        """Record start line and fields, credentials masked."""
        ledger = self._entry.ledger
        if ledger.messages:
            self._head = head
            ledger.holding.add(self._entry)

    def piece(self, data: bytes, told: bytes) -> None:
        """Take the next bytes of the body: ``data`` as they are, ``told`` as they may be recorded."""
        if not self._raw:
            self._entry.ledger.holding.add(self._entry)
        self._raw.append(data)
        self._raw_bytes += len(data)
        if self._raw_bytes >= HOLD_BYTES:
            self._digest()
        if told:
            self.keep(told)

    def keep(self, data: bytes) -> None:
        """Record the next bytes of the body as they may be recorded."""
        ledger = self._entry.ledger
        limit = ledger.keep_bytes
        if limit is not None and self.kept + len(data) > limit:
            data = data[: max(0, limit - self.kept)]
            self.cut = True
        if ledger.full:
            self.cut = self.cut or bool(data)
        elif data:
            self.kept += len(data)
            ledger.holding.add(self._entry)
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes >= HOLD_BYTES:
                self.flush()

    def flush(self) -> None:
        """Make frames of what is held."""
        self._digest()
        entry = self._entry
        if self._holds():
            entry.write()  # which takes what is held along when its exchange has ended
        if self._holds():
            head, data = self._taken()
            most = frames.MAX_PAYLOAD_BYTES - len(head) - 64
            for at in range(0, max(1, len(data)), most):
                part = frames.message(self._direction, self.last, head, data[at : at + most])
                self.last = entry.ledger.lane.append(Kind.PIECE, frames.piece(entry.number, part))
                head = b""

    def take(self, offset: int) -> bytes:
        """Return what is held, to stand in the lane's next frame, which will be at ``offset``."""
        if not self._holds():
            return b""
        part = frames.message(self._direction, self.last, *self._taken())
        self.last = offset
        return part

    def _holds(self) -> bool:
        return bool(self._held or self._head)

    def _taken(self) -> tuple[bytes, bytes]:
        """Return what is held of head and body, and hold it no more."""
        head = b"" if self._head is None else _encode(self._head)
        data = b"".join(self._held)
        self._head = None
        self._held = []
        self._held_bytes = 0
        return head, data

    def _digest(self) -> None:
        if self._raw:
            data = b"".join(self._raw)
            self._raw = []
            self._raw_bytes = 0
            if self._sha is None:
                self._sha = sha256(data)
            else:
                self._sha.update(data)

    def hexdigest(self) -> str | None:
        """Return the SHA-256 of the body; None if there was none."""
        self._digest()
        digest: str | None = None if self._sha is None else self._sha.hexdigest()
        return digest

    def copy(self) -> Copy | None:
        """Return where it is; None if nothing of it is recorded."""
        if self.last == NOWHERE:
            return None
        return Copy(self._entry.ledger.folder_name, self.last, self.kept, not self.cut)

    def place(self) -> Place:
        """Return offset of the last part, bytes kept, and whether some were not."""
        return self.last, self.kept, self.cut


class Entry:
    """One exchange that has an INTENT.

    Args:
        ledger: The journal.
        number: Of the exchange, in this journal.
        lost: Called when the INTENT could not be written after all: the provider must not be called.
        record: Returns the record, before its end as it would be if the process died now.
        head: Returns the head of the request, credentials masked.
        body: Of the request as it is; empty if it is still to come.
        told: The same as it may be recorded.
    """

    __slots__ = (
        "_asked", "_copy", "_digest", "_ended", "_request", "_response", "intent", "ledger", "lost", "number",
    )  # fmt: skip

    def __init__(
        self,
        ledger: Ledger,
        number: int,
        lost: Callable[[], None],
        record: Callable[[], Record],
        head: Callable[[], MessageHead],
        body: bytes,
        told: bytes,
    ) -> None:
        self.ledger = ledger
        self.number = number
        self.lost: Callable[[], None] | None = lost
        self.intent = NOWHERE
        """Offset of its INTENT."""
        self._asked: Asked | None = (record, head, body, told)
        """What the INTENT is to be made of."""
        self._ended: Callable[[], Record] | None = None
        """What the OUTCOME is to be made of."""
        self._digest: str | None = None
        self._copy: Copy | None = None
        # A request that came whole needs no Message, and neither does a response of which nothing is known yet.
        self._request: Message | None = None
        self._response: Message | None = None

    def message(self, direction: int) -> Message:
        """Return what records the rest of the request, or the response."""
        if direction == RESPONSE:
            response = self._response
            if response is None:
                response = self._response = Message(self, RESPONSE)
            return response
        request = self._request
        if request is None:
            self.write()
            request = self._request = Message(self, REQUEST)
            if self._copy is not None:
                request.last = self._copy.offset
        return request

    def end(self, record: Callable[[], Record]) -> None:
        """The exchange has ended; once it is written, what ``record`` returns says where the messages are."""
        self._ended = record
        self.ledger.due.append(self)

    def write(self) -> None:
        """Append what is due: the INTENT and the request as far as it has come, the OUTCOME."""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            self._write_intent(*asked)
        if self._ended is not None:
            ended, self._ended = self._ended, None
            self._write_outcome(ended())

    def _write_intent(
        self, record: Callable[[], Record], head: Callable[[], MessageHead], body: bytes, told: bytes
    ) -> None:
        ledger = self.ledger
        lane = ledger.lane
        part, rest = b"", b""
        if body:
            self._digest = sha256(body).hexdigest()
        if ledger.messages:
            limit = ledger.keep_bytes
            kept = told if limit is None else told[:limit]
            if len(kept) >= HOLD_BYTES:
                kept, rest = b"", kept
            self._copy = Copy(ledger.folder_name, lane.begin(), len(kept), len(kept) == len(told))
            part = frames.message(REQUEST, NOWHERE, _encode(head()), kept)
        self.intent = lane.append(Kind.INTENT, frames.entry(self.number, _encode(record()), part))
        if rest:
            self.message(REQUEST).keep(told)

    def _write_outcome(self, record: Record) -> None:
        lane = self.ledger.lane
        record.request_sha256, record.request_copy = self._digest, self._copy
        request, response = self._request, self._response
        if request is not None:
            request.flush()
            record.request_copy = request.copy()
            record.request_sha256 = self._digest or request.hexdigest()
        part = b""
        if response is not None:
            part = response.take(lane.begin())
            record.response_sha256, record.response_copy = response.hexdigest(), response.copy()
        lane.append(Kind.OUTCOME, frames.entry(self.number, _encode(record), part))
        self._request = self._response = None  # they hold their entry
        self.ledger.finished(self, record)

    def flush(self) -> None:
        """Make frames of what is held of both messages."""
        for message in (self._request, self._response):
            if message is not None:
                message.flush()

    def places(self) -> tuple[Place, Place]:
        """Return where both messages have come to."""
        request = _NOTHING if self._copy is None else (self._copy.offset, self._copy.bytes, not self._copy.complete)
        return (
            request if self._request is None else self._request.place(),
            _NOTHING if self._response is None else self._response.place(),
        )
