"""What stores a message: ``PUT /{uuid}/request`` and ``PUT /{uuid}/response``, piece by piece, in constant memory.

The bytes are written by threads, one batch at a time for each message; a sender that is faster than the disk is not
read until the disk has caught up. A message that is whole is stored once: sent again it is thrown away, be it known
from the start or found out at its end, when another sender was faster with it.

This module must not touch files itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.errors import BadRequest, ExchangeError, InternalError, MethodNotAllowed
from netrunner.http.body import RequestBody
from netrunner.http.request import IReadsHead, Request
from netrunner.http.rules import too_large
from netrunner.interfaces import IClock
from netrunner.logserver import decoded
from netrunner.logserver.access import Access
from netrunner.logserver.folder import Folder, Stored
from netrunner.logserver.index import Index, Side
from netrunner.logserver.message import Message, Type
from netrunner.logserver.metadata import Metadata, seconds
from netrunner.logserver.reading import Reading
from netrunner.values import Headers

MAX_PENDING_BYTES = 1 << 18
"""Most bytes of one message that wait for the disk before its sender is paused."""
AT_ACCEPT = b"netrunner-accepted-at"
"""Field of a PUT: Unix time at which the exchange began."""
HEADER_LATENCY = b"netrunner-header-latency"
"""Field of a PUT: seconds from there to the response's head."""
JSON: Headers = [(b"content-type", b"application/json")]
Run = Callable[..., Awaitable[Any]]
"""Calls a function with arguments where it may block."""

_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_encode = msgspec.json.Encoder().encode
_log = Logger("netrunner.logserver")


def checked_id(text: bytes) -> str:
    """Return the id of an exchange in its usual form; raises ``BadRequest`` for anything but a UUID."""
    id = text.decode("latin-1").lower()
    if _ID.fullmatch(id) is None:
        raise BadRequest("The id has to be a UUID, such as 01939999-aaaa-7bbb-8ccc-dddddddddddd.", code="bad_id")
    return id


def checked_type(text: bytes) -> Type:
    """Return the type of a message; raises ``BadRequest``."""
    if text not in (b"request", b"response"):
        raise BadRequest("The type has to be request or response.", code="bad_type")
    return cast("Literal['request', 'response']", text.decode())


@implementer(IReadsHead)
class Deposit(Resource):
    """Takes messages.

    Args:
        access: Who may.
        folder: Where they go.
        index: What knows them afterwards.
        reading: Says when it knows those from before.
        run: Calls what may block.
        clock: Tells the time.
        max_bytes: Most bytes of one message.
    """

    isLeaf = True

    def __init__(
        self,
        access: Access,
        folder: Folder,
        index: Index,
        reading: Reading,
        run: Run,
        clock: IClock,
        max_bytes: int,
    ) -> None:
        super().__init__()
        self._access = access
        self._reading = reading
        self._turns: WeakValueDictionary[tuple[str, Type], DeferredLock] = WeakValueDictionary()
        self.folder = folder
        self.index = index
        self.run = run
        self.clock = clock
        self.max_bytes = max_bytes
        self.uploads: set[Upload] = set()
        """What is coming."""

    def head_received(self, request: Request) -> Deferred[None]:
        """Look at everything that can be wrong, make the files, then let the body come."""
        self._access.check(request)
        id, type = self._wanted(request)
        if (request.facts.content_length or 0) > self.max_bytes:
            raise too_large(self.max_bytes)
        return Deferred.fromCoroutine(self._begin(request, request.stream_body(), id, type))

    def known(self, id: str, type: Type) -> Side | None:
        """Return what is stored of a message, if all of it is and its exchange is among those that are known."""
        entry = self.index.get(id)
        side = entry.side(type) if entry is not None else None
        return side if side is not None and side.completed else None

    def turn(self, id: str, type: Type) -> DeferredLock:
        """Return what lets those that bring the same message settle it one after the other."""
        return self._turns.setdefault((id, type), DeferredLock())

    def _wanted(self, request: Request) -> tuple[str, Type]:
        if request.method != b"PUT":
            raise MethodNotAllowed("Only PUT is allowed here.", headers=[(b"allow", b"PUT")])
        parts = request.postpath or []
        if len(parts) != 2:
            raise BadRequest("The path has to be /{uuid}/request or /{uuid}/response.", code="bad_path")
        return checked_id(parts[0]), checked_type(parts[1])

    async def _begin(self, request: Request, body: RequestBody, id: str, type: Type) -> None:
        now = self.clock.wall()
        await self._reading.wait(request)
        known = self.known(id, type)
        if known is not None:
            Discard(request, body, known, self.max_bytes).begin()
            return
        entry, said = self.index.get(id), seconds(request.header(AT_ACCEPT))
        accepted = entry.at_accept if entry is not None else now if said is None else said
        try:
            stored = await self.run(self.folder.open, id, type, accepted, now)
        except OSError as error:
            raise storage_failed(id, type, error) from error
        self.index.note(stored.metadata)
        upload = Upload(self, request, body, stored)
        self.uploads.add(upload)
        kept = Deferred.fromCoroutine(upload.keep()).addErrback(upload.failed)
        kept.addBoth(lambda _: self.uploads.discard(upload))

    def render(self, request: Request) -> int:
        """Nothing is left to do: the body is answered by whoever took it."""
        return NOT_DONE_YET


class Discard:
    """Reads a message that is stored already to its end, so that its sender can be told.

    Args:
        request: That of the sender.
        body: What it sends.
        known: What is stored.
        max_bytes: Most that is read.
    """

    def __init__(self, request: Request, body: RequestBody, known: Side, max_bytes: int) -> None:
        self._request = request
        self._body = body
        self._known = known
        self._left = max_bytes

    def begin(self) -> None:
        """Read it."""
        self._body.startProducing(self).addCallbacks(self._answer, lambda _: None)

    def write(self, data: bytes) -> None:
        """Throw the next bytes away."""
        self._left -= len(data)
        if self._left < 0:
            self._body.stopProducing()
            self._request.refuse(too_large(self._left + len(data)))

    def _answer(self, _: object) -> None:
        stored_before(self._request, self._known)


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
            self._deposit.index.note(self._stored.metadata.with_head(self._message))
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
            self._deposit.index.note(metadata)
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
        self._deposit.index.forget(self._stored.metadata)

    def failed(self, failure: Failure) -> None:
        """Answer a failure that nobody foresaw."""
        self._request.processingFailed(failure)


def stored_before(request: Request, known: Side) -> None:
    """Answer a message of which all is stored already."""
    told = {"bytes": known.bytes, "file": known.file, "stored": "before"}
    request.respond(200, JSON, _encode(told))


def storage_failed(id: str, type: Type, error: OSError) -> InternalError:
    """Return what the sender is told when the disk does not take a message, and tell the operator."""
    reason = error.strerror or str(error)
    _log.error("the {type} of {id} was not stored: {reason}", type=type, id=id, reason=reason)
    return InternalError(f"The message could not be stored: {reason}.", code="storage_failed")
