"""Small answers made here: lists of models, health, and what is not found.

This module must not relay anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from netrunner import __version__
from netrunner.errors import MethodNotAllowed, NotFound
from netrunner.http.request import Request
from netrunner.http.site import Site
from netrunner.interfaces import IClock
from netrunner.values import Answer, Headers

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
    """Whether new requests should be sent here: not while draining, nor while nobody could be let in.

    Args:
        lets_in: Returns whether callers can be told apart.
    """

    def __init__(self, lets_in: Callable[[], bool]) -> None:
        super().__init__()
        self._lets_in = lets_in

    def content(self, request: Request) -> Answer:
        """Answer 503 while it is not."""
        site: Site = request.site
        if site.accepting and self._lets_in():
            return Answer(200, JSON, b'{"status":"ready"}')
        status = b'{"status":"starting"}' if site.accepting else b'{"status":"draining"}'
        return Answer(503, [*JSON, (b"retry-after", b"1")], status)
