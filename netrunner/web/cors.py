"""Which other pages' scripts may read answers: the CORS protocol of the Fetch standard, before the tree.

It opens what makes exchanges: model routes, their lists, raw routes. Pages and APIs of operators stay closed, and no
answer allows credentials that a browser adds by itself: a page's script has to send its token.

This module must not decide who may call.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Any

from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET

from netrunner.pipeline.heads import CORS
from netrunner.values import Headers
from netrunner.web.proxy import ModelRoute

MAX_AGE_S = 600
"""How long a browser need not ask again; some keep to less."""
MAX_FIELDS_BYTES = 2048
"""Of the names of fields that a page's script wants to send."""
_FIELDS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z\-, \t]+")


class CrossOrigin(Resource):
    """Stands before a tree: answers preflights, and lets answers say who may read them.

    Args:
        tree: What is served.
        origins: Those whose pages may read answers; ``*`` among them for all.
    """

    def __init__(self, tree: IResource, origins: Collection[str]) -> None:
        super().__init__()
        self._tree = tree
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """Return what serves the whole path, or what answers a preflight for it."""
        request.postpath.insert(0, request.prepath.pop())
        target = getChildForRequest(self._tree, request)
        if isinstance(target, ModelRoute):
            told = self._told(request.header(b"origin"))
            if request.method == b"OPTIONS" and told and request.header(b"access-control-request-method"):
                return Preflight(told)
            request.amend = partial(amended, told)
        return target

    def _told(self, origin: bytes | None) -> bytes | None:
        """Return what an answer says to pages of ``origin``; None if they may not read it."""
        if origin is None or self._any:
            return origin and b"*"
        return origin if origin in self._origins else None


def amended(told: bytes | None, headers: Headers) -> Headers:
    """Return an answer's fields with those that say who may read it in place of an upstream's."""
    kept = [field for field in headers if field[0] not in CORS]
    return kept + _allowing(told) + ([(b"access-control-expose-headers", b"*")] if told else [])


def _allowing(told: bytes | None) -> Headers:
    # Caches have to know that another page gets another answer, even where this one gets nothing.
    varies = [] if told == b"*" else [(b"vary", b"Origin")]
    return [*varies, (b"access-control-allow-origin", told)] if told else varies


class Preflight(Resource):
    """Tells a browser what a page's script may send (Fetch, 4.8): whatever it asks for, cookies excepted.

    Args:
        told: Who may.
    """

    isLeaf = True
    takes_slashes = True

    def __init__(self, told: bytes) -> None:
        super().__init__()
        self._told = told

    def render(self, request: Any) -> int:
        """Answer; nothing of it is asked of a provider, or of who sends the page's token."""
        headers = [
            *_allowing(self._told),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
            (b"access-control-max-age", b"%d" % MAX_AGE_S),
        ]
        wanted = request.header(b"access-control-request-headers")
        if wanted and len(wanted) <= MAX_FIELDS_BYTES and _FIELDS.fullmatch(wanted):
            headers.append((b"access-control-allow-headers", wanted))
        request.respond(204, headers, b"")
        return NOT_DONE_YET
