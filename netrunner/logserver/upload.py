"""One message on its way to the disk, piece by piece, in constant memory.

The bytes are written by threads, one batch at a time for each message; a sender that is faster than the disk is not
read until the disk has caught up. Of several senders of one message at once the first to be whole is stored; what the
others sent is removed when they are.

This module must not touch files itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.errors import ExchangeError, InternalError
from netrunner.http.body import RequestBody
from netrunner.http.request import Request
from netrunner.http.rules import too_large
from netrunner.logserver import decoded
from netrunner.logserver.folder import Stored
from netrunner.logserver.index import Side
from netrunner.logserver.message import Message, Type
from netrunner.logserver.metadata import Metadata, seconds
from netrunner.values import Headers

if TYPE_CHECKING:
    from netrunner.logserver.deposit import Deposit

MAX_PENDING_BYTES = 1 << 18
"""Most bytes of one message that wait for the disk before its sender is paused."""
HEADER_LATENCY = b"netrunner-header-latency"
"""Field of a PUT: seconds from the accept to the response's head."""
JSON: Headers = [(b"content-type", b"application/json")]
Run = Callable[..., Awaitable[Any]]
"""Calls a function with arguments where it may block."""

_encode = msgspec.json.Encoder().encode
_log = Logger("netrunner.logserver")


class Upload:
    """One message on its way to the disk.

    Args:
        deposit: What took it.
        request: That of the sender.
        body: What it sends.
        stored: The message's files.
    """

    def __init__(self, deposit: Deposit, request: Request, body: RequestBody, stored: Stored) -> None:
        self._deposit = deposit
        self._request = request
        self._body = body
        self._stored = stored
        self._turn = deposit.turn(stored.metadata.id, stored.metadata.type)
        self._message = Message(stored.metadata.type)
        self._at_head: float | None = None
        self._bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._ended = False
        self._refused: ExchangeError | None = None
        self._broken: str | None = None
        self._waiting: Deferred[None] | None = None
        self._followers: set[Callable[[], object]] = set()
        self.over = False
        """Whether nothing more comes."""
        self.whole = False
        """Whether all of it came, and is stored."""

    @property
    def file(self) -> str:
        """The name of its file."""
        return self._stored.metadata.file

    # What the body calls.

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._ended:
            return
        self._bytes += len(data)
        if self._bytes > self._deposit.max_bytes:
            self._refused = too_large(self._deposit.max_bytes)
            self._pending.clear()
            self._body.pauseProducing()
            self._end()
            return
        self._message.feed(data)
        if self._at_head is None and self._message.complete_head:
            self._at_head = self._deposit.clock.wall()
            self._deposit.note("head", self._stored.metadata.with_head(self._message))
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= MAX_PENDING_BYTES:
            self._body.pauseProducing()
        self._wake()

    def _broke_off(self, _: Failure) -> None:
        self._broken = "the sender broke off"
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    # What becomes of it.

    async def keep(self) -> None:
        """Write everything that comes, settle what is known of it, and answer."""
        metadata = self._stored.metadata
        self._body.startProducing(self).addCallbacks(lambda _: self._end(), self._broke_off)
        try:
            while batch := await self._next():
                await self._deposit.run(self._stored.write, batch)
                self._wake_followers()
            if self._refused is not None:
                await self._discard(self._refused)
                return
            await self._settle()
        except OSError as error:
            self._ended = True
            await self._discard(storage_failed(metadata.id, metadata.type, error))

    async def _next(self) -> bytes:
        """Return what is to be written next; nothing when the message has ended."""
        if not self._pending and not self._ended:
            self._waiting = Deferred()
            await self._waiting
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if not self._ended:
            self._body.resumeProducing()
        return b"".join(pending)

    async def _settle(self) -> None:
        self._message.close()
        before = self._stored.metadata
        async with self._turn:
            known = self._deposit.known(before.id, before.type) if self._broken is None else None
            if known is not None:
                await self._remove()
                stored_before(self._request, known)
                return
            metadata: Metadata = await self._deposit.run(self._settled, self._described())
            self.whole = metadata.completed
            self._deposit.note("ended", metadata)
        if metadata.completed:
            self._request.respond(201, JSON, _encode({"bytes": metadata.bytes, "file": metadata.file}))

    def _described(self) -> Metadata:
        deposit, before = self._deposit, self._stored.metadata
        metadata = msgspec.structs.replace(
            before.with_head(self._message),
            at_head=self._at_head,
            at_end=deposit.clock.wall(),
            bytes=self._bytes,
            completed=self._broken is None,
            error=self._broken,
        )
        if metadata.type == "request":
            return metadata
        entry = deposit.index.get(metadata.id)
        latency = seconds(self._request.header(HEADER_LATENCY))
        if latency is None and self._at_head is not None and entry is not None and entry.request is not None:
            latency = round(max(0.0, self._at_head - metadata.at_accept), 6)
        return msgspec.structs.replace(
            metadata,
            header_latency_s=latency,
            url=entry.url if entry is not None else None,
            method=entry.method if entry is not None else None,
            path=entry.path if entry is not None else None,
        )

    def _settled(self, metadata: Metadata) -> Metadata:
        """Close the message with ``metadata`` and what can be said of the body's coding; blocks."""
        metadata = self._decoded(metadata)
        self._stored.settle(metadata)
        return metadata

    def _decoded(self, metadata: Metadata) -> Metadata:
        if metadata.content_encoding is None or not metadata.completed:
            return metadata
        try:
            size = decoded.size(self._deposit.folder.path / metadata.file, metadata.type)
        except decoded.NotDecoded as error:
            return msgspec.structs.replace(metadata, decode_error=str(error))
        return msgspec.structs.replace(metadata, decoded_bytes=size)

    async def _discard(self, error: ExchangeError) -> None:
        self._body.pauseProducing()
        await self._remove()
        self._request.refuse(error)

    async def _remove(self) -> None:
        await self._deposit.run(self._stored.discard)
        self._deposit.forget(self._stored.metadata)

    def failed(self, failure: Failure) -> None:
        """Answer a failure that nobody foresaw."""
        self._request.processingFailed(failure)

    # Who reads along.

    def follow(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Call ``wake`` whenever more is on the disk, and at the end, until the function returned is called."""
        self._followers.add(wake)
        return lambda: self._followers.discard(wake)

    def close(self) -> None:
        """Nothing more comes."""
        self.over = True
        self._wake_followers()

    def _wake_followers(self) -> None:
        for wake in list(self._followers):
            wake()


def stored_before(request: Request, known: Side) -> None:
    """Answer a message of which all is stored already."""
    told = {"bytes": known.bytes, "file": known.file, "stored": "before"}
    request.respond(200, JSON, _encode(told))


def storage_failed(id: str, type: Type, error: OSError) -> InternalError:
    """Return what the sender is told when the disk does not take a message, and tell the operator."""
    reason = error.strerror or str(error)
    _log.error("the {type} of {id} was not stored: {reason}", type=type, id=id, reason=reason)
    return InternalError(f"The message could not be stored: {reason}.", code="storage_failed")
