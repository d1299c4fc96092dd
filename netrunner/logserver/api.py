"""What is asked of the logging server: which exchanges there are, what is known of one, its bytes, what is arriving.

``GET /api/logs``, ``/api/logs/{id}``, ``/api/logs/{id}/request`` and ``/response`` (``?decoded=1``, ``?follow=1``),
``/api/live``, ``/health``.

This module must not change anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner import __version__
from netrunner.errors import BadRequest, ExchangeError, MethodNotAllowed, NotFound
from netrunner.http.request import IReadsHead, Request
from netrunner.logserver.access import Access
from netrunner.logserver.decoded import NotDecoded
from netrunner.logserver.decoded import pieces as decoded_pieces
from netrunner.logserver.deposit import checked_id, checked_type
from netrunner.logserver.download import Next, send
from netrunner.logserver.folder import Folder
from netrunner.logserver.index import Index, Side, Wanted
from netrunner.logserver.live import Live
from netrunner.logserver.message import Type
from netrunner.logserver.reading import Reading
from netrunner.logserver.tail import BrokenOff, Tail
from netrunner.logserver.upload import JSON, Run, Upload
from netrunner.values import Headers

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_FILTER_CHARS = 256
_READ_BYTES = 65536
_FILTERS = ("method", "path", "status", "name")
_STATUS = re.compile("[1-5]([0-9]{2}|xx)")
_encode = msgspec.json.Encoder().encode


def refusal(request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
    """Return an error as every answer here tells it."""
    told = {"error": {"code": error.code, "message": error.message}}
    return error.status, [*JSON, *error.fields()], _encode(told)


class Health(Resource):
    """Whether the process is well, for whoever asks."""

    isLeaf = True

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def render(self, request: Request) -> int:
        """Tell it, if the path ends here."""
        if request.postpath:
            raise NotFound("There is nothing at this path.")
        _only_reads(request)
        told = {"status": "ok", "version": __version__, "indexed": self._reading.over}
        request.respond(200, JSON, _encode(told))
        return NOT_DONE_YET


@implementer(IReadsHead)
class Logs(Resource):
    """Everything below ``/api``.

    Args:
        access: Who may.
        folder: Where the files are.
        index: What is in it.
        reading: Says whether that is known.
        live: Tells what is arriving.
        coming: Returns what still brings the message of a file.
        run: Calls what may block.
    """

    isLeaf = True

    def __init__(
        self,
        access: Access,
        folder: Folder,
        index: Index,
        reading: Reading,
        live: Live,
        coming: Callable[[str], Upload | None],
        run: Run,
    ) -> None:
        super().__init__()
        self._access = access
        self._folder = folder
        self._index = index
        self._reading = reading
        self._live = live
        self._coming = coming
        self._run = run

    def head_received(self, request: Request) -> None:
        """Let nobody in who may not."""
        self._access.check(request)
        _only_reads(request)

    def render(self, request: Request) -> int:
        """Answer, late if need be."""

        def failed(failure: Failure) -> None:
            request.processingFailed(failure)

        Deferred.fromCoroutine(self._answer(request)).addErrback(failed)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        parts = request.postpath or []
        if parts == [b"live"]:
            self._live.open(request, _wanted(_arguments(request)))
            return
        if parts[:1] != [b"logs"] or len(parts) > 3:
            raise NotFound("There is nothing at this path.")
        self._reading.check()
        if len(parts) == 1:
            await self._list(request)
        elif len(parts) == 2:
            await self._one(request, checked_id(parts[1]))
        else:
            await self._download(request, checked_id(parts[1]), checked_type(parts[2]))

    async def _list(self, request: Request) -> None:
        arguments = _arguments(request)
        limit, before = _limit(arguments.pop("limit", None)), arguments.pop("before", None)
        wanted = _wanted(arguments)
        found = await self._run(self._index.page, wanted, limit, before)
        if found is None:
            raise BadRequest("before: no exchange of that id is known.", code="unknown_id", param="before")
        following = found[-1].id if len(found) == limit else None
        request.respond(200, JSON, _encode({"logs": found, "next": following}))

    async def _one(self, request: Request, id: str) -> None:
        entry = self._index.get(id)
        if entry is None:
            raise NotFound("No exchange of that id is known.")
        sides = {type: side for type, side in (("request", entry.request), ("response", entry.response)) if side}
        metadata = {type: await self._run(self._folder.read, side.file) for type, side in sides.items()}
        told = {"id": id, "at_accept": entry.at_accept, "request": None, "response": None, **metadata}
        request.respond(200, JSON, _encode(told))

    async def _download(self, request: Request, id: str, type: Type) -> None:
        entry = self._index.get(id)
        side = entry.side(type) if entry is not None else None
        if side is None:
            raise NotFound(f"No {type} of that id is known.")
        arguments = _arguments(request)
        decode, follow = _flag(arguments, "decoded"), _flag(arguments, "follow")
        if decode and follow:
            raise BadRequest("follow: does not go with decoded.", param="follow")
        path = self._folder.path / side.file
        try:
            if decode:
                await self._send_decoded(request, side, path, type)
            elif follow:
                await self._follow(request, side, path)
            else:
                await self._send_file(request, side, path)
        except FileNotFoundError as error:
            raise NotFound("The file is there no longer.") from error

    async def _send_file(self, request: Request, side: Side, path: Path) -> None:
        opened = await self._run(path.open, "rb")
        try:
            size: int = await self._run(lambda: path.stat().st_size)
            headers = [*_download_fields(side.file), (b"content-length", b"%d" % size)]
            await send(request, headers, self._each(_up_to(opened, size)))
        finally:
            opened.close()

    async def _follow(self, request: Request, side: Side, path: Path) -> None:
        opened = await self._run(path.open, "rb")
        tail = Tail(opened, self._coming(side.file), side.completed, self._run)
        try:
            await send(request, _download_fields(side.file), tail.next, tail.stop)
        except BrokenOff as error:
            raise NotFound("Nothing came of it before it broke off.") from error
        finally:
            tail.stop()
            opened.close()

    async def _send_decoded(self, request: Request, side: Side, path: Path, type: Type) -> None:
        try:
            fields = _download_fields(f"{path.stem}_decoded.bin")
            await send(request, fields, self._each(decoded_pieces(path, type)))
        except NotDecoded as error:
            raise BadRequest(f"The body cannot be decoded: {error}.", code="not_decoded", status=422) from error

    def _each(self, pieces: Iterator[bytes]) -> Next:
        """Return what makes one piece after the other where it may block."""

        async def make() -> bytes | None:
            piece: bytes | None = await self._run(next, pieces, None)
            return piece

        return make


def _up_to(opened: Any, size: int) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file, which may be growing."""
    left = size
    while left and (data := opened.read(min(left, _READ_BYTES))):
        left -= len(data)
        yield data


def _download_fields(name: str) -> Headers:
    """Return fields by which no browser takes what somebody once sent for a page of ours."""
    return [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", b'attachment; filename="%b"' % name.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]


def _only_reads(request: Request) -> None:
    if request.method not in (b"GET", b"HEAD"):
        raise MethodNotAllowed("Only GET and HEAD are allowed here.", headers=[(b"allow", b"GET, HEAD")])


def _arguments(request: Request) -> dict[str, str]:
    """Return the query's arguments, each given once."""
    arguments = {}
    for name, values in request.args.items():
        key = name.decode("latin-1")
        if len(values) > 1 or len(values[0]) > MAX_FILTER_CHARS:
            raise BadRequest(f"{key!r}: expected one short value.", param=key)
        arguments[key] = values[0].decode("utf-8", "replace")
    return arguments


def _flag(arguments: dict[str, str], name: str) -> bool:
    value = arguments.get(name, "0")
    if value not in ("0", "1"):
        raise BadRequest(f"{name}: expected 0 or 1.", param=name)
    return value == "1"


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequest(f"limit: expected a number from 1 to {MAX_LIMIT}.", param="limit")
    return int(text)


def _wanted(arguments: dict[str, str]) -> Wanted:
    unknown = arguments.keys() - set(_FILTERS)
    if unknown:
        why = f"There is no filter {min(unknown)!r}; known are {', '.join(_FILTERS)}."
        raise BadRequest(why, code="unknown_filter", param=min(unknown))
    status = arguments.get("status")
    if status is not None and not _STATUS.fullmatch(status):
        raise BadRequest("status: expected a status or a class of them, such as 404 or 5xx.", param="status")
    method = arguments.get("method")
    return Wanted(method and method.upper(), arguments.get("path"), status, arguments.get("name"))
