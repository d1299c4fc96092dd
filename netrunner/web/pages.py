"""Small answers made here: lists of models, health, and what is not found.

This module must not relay anything.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner import __version__
from netrunner.dialects.interfaces import IDialect
from netrunner.errors import MethodNotAllowed, NotFound
from netrunner.http.request import IReadsHead, Request
from netrunner.http.site import Site
from netrunner.interfaces import IClock
from netrunner.pipeline.run import own_headers
from netrunner.values import Answer, Headers, Outcome
from netrunner.web.proxy import Entry, ModelRoute

_encode = msgspec.json.Encoder().encode
JSON: Headers = [(b"content-type", b"application/json")]
TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8")]


class Page(Resource):
    """An answer to GET and HEAD."""

    isLeaf = True

    def content(self, request: Request) -> Answer:
        """Return what is told."""
        raise NotFound("No such page.")

    def render(self, request: Request) -> int:
        """Answer, if the path ends here."""
        if [part for part in request.postpath or [] if part]:
            raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.", code="not_found")
        if request.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed("Only GET and HEAD are allowed here.", headers=[(b"allow", b"GET, HEAD")])
        answer = self.content(request)
        request.respond(answer.status, answer.headers, answer.body)
        return NOT_DONE_YET


class Text(Page):
    """A constant line of text."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def content(self, request: Request) -> Answer:
        """Return the line."""
        return Answer(200, TEXT, self._text)


class Health(Page):
    """Whether the process is well: status, version and time, and nothing more."""

    def __init__(self, clock: IClock) -> None:
        super().__init__()
        self._clock = clock

    def content(self, request: Request) -> Answer:
        """Return the state as JSON."""
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        state = {"status": "ok", "version": __version__, "timestamp": now.isoformat(timespec="seconds")}
        return Answer(200, JSON, _encode(state))


class Ready(Page):
    """Whether new requests should be sent here: not while draining."""

    def content(self, request: Request) -> Answer:
        """Answer 503 while draining."""
        site: Site = request.site
        if site.accepting:
            return Answer(200, JSON, b'{"status":"ready"}')
        return Answer(503, [*JSON, (b"retry-after", b"1")], b'{"status":"draining"}')


@implementer(IReadsHead)
class Models(ModelRoute):
    """The models a caller may use, as a list or one by one; asked for with the same credential as they are."""

    takes_slashes = True
    """A model's name may have one, and OpenAI's SDK encodes it."""

    def __init__(self, entry: Entry, dialect: IDialect, started: float) -> None:
        super().__init__(entry, dialect, "models", (b"GET", b"HEAD"))
        self._started = int(started)

    def render(self, request: Request) -> int:
        """Answer from the configuration."""
        pipeline = self._entry.pipeline
        names = list(pipeline.table.names())
        wanted = b"/".join(request.postpath or []).decode("utf-8", "replace")
        if wanted and wanted not in names:
            raise NotFound(f"The model {wanted!r} does not exist.", code="model_not_found", param="model")
        body = _encode(self._one(wanted) if wanted else self._all(names))
        exchange = request.exchange
        exchange.bytes_out = len(body)
        headers = [*JSON, *own_headers(exchange)]
        exchange.end(Outcome.DONE, 200)
        request.respond(200, headers, body)
        return NOT_DONE_YET

    def _one(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "netrunner"}

    def _all(self, names: list[str]) -> dict[str, Any]:
        pipeline = self._entry.pipeline
        registered = datetime.fromtimestamp(self._started, UTC).isoformat().replace("+00:00", "Z")
        aliases = [
            {"name": name, "model": pipeline.table.candidates(name)[0].model, "registered_at": registered}
            for name in names
        ]
        return {"object": "list", "data": [self._one(name) for name in names], "models": aliases}
