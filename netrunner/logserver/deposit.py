"""What takes messages: ``PUT /{uuid}/request`` and ``PUT /{uuid}/response``.

Everything that can be wrong is looked at before the body comes. A message that is whole is stored once: sent again it
is read and thrown away.

This module must not touch files itself.
"""

from __future__ import annotations

import re
from typing import Literal, cast
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredLock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.errors import BadRequest, MethodNotAllowed
from netrunner.http.body import RequestBody
from netrunner.http.request import IReadsHead, Request
from netrunner.http.rules import too_large
from netrunner.interfaces import IClock
from netrunner.logserver.access import Access
from netrunner.logserver.folder import Folder
from netrunner.logserver.index import Index, Side
from netrunner.logserver.live import Live
from netrunner.logserver.message import Type
from netrunner.logserver.metadata import Metadata, seconds
from netrunner.logserver.reading import Reading
from netrunner.logserver.upload import Run, Upload, storage_failed, stored_before

AT_ACCEPT = b"netrunner-accepted-at"
"""Field of a PUT: Unix time at which the exchange began."""

_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


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
        live: Hears of every message.
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
        live: Live,
        run: Run,
        clock: IClock,
        max_bytes: int,
    ) -> None:
        super().__init__()
        self._access = access
        self._reading = reading
        self._live = live
        self._turns: WeakValueDictionary[tuple[str, Type], DeferredLock] = WeakValueDictionary()
        self.folder = folder
        self.index = index
        self.run = run
        self.clock = clock
        self.max_bytes = max_bytes
        self.uploads: dict[str, Upload] = {}
        """What is coming, by the name of its file."""

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

    def note(self, happened: str, metadata: Metadata) -> None:
        """Let the index and those who look on know what happened to a message: it ``began``, or ``ended``."""
        self.index.note(metadata)
        self._live.tell(happened, self.index.get(metadata.id))

    def forget(self, metadata: Metadata) -> None:
        """Let them know that a message was discarded."""
        entry = self.index.get(metadata.id)
        self.index.forget(metadata)
        self._live.tell("discarded", entry)

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
        self.note("began", stored.metadata)
        upload = self.uploads[stored.metadata.file] = Upload(self, request, body, stored)
        kept = Deferred.fromCoroutine(upload.keep()).addErrback(upload.failed)
        kept.addBoth(lambda _: self._ended(upload))

    def _ended(self, upload: Upload) -> None:
        del self.uploads[upload.file]
        upload.close()

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
