"""The Resource tree: which path is served by what.

This module must not hold behaviour of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.web.resource import Resource
from zope.interface import implementer

from netrunner.dialects.openai import OpenAIDialect
from netrunner.errors import ExchangeError, NotFound
from netrunner.http.request import IRefuses, Request
from netrunner.pipeline.refusal import refusal
from netrunner.values import Headers
from netrunner.web.pages import Health, Models, Ready, Text
from netrunner.web.proxy import Entry, ModelRoute
from netrunner.web.raw import Prefixes

_ENDPOINTS = (b"chat/completions", b"completions", b"embeddings")
BUILT_IN = frozenset(
    {b"/v1", b"/v1/models", b"/chat/completions", b"/models", b"/health", b"/live", b"/ready", b"/ping"}
    | {b"/v1/" + endpoint for endpoint in _ENDPOINTS}
)
OPENAI = OpenAIDialect()


@implementer(IRefuses)
class Nothing(Resource):
    """What is served where nothing is."""

    isLeaf = True

    def render(self, request: Request) -> Any:
        """Refuse."""
        raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.", code="not_found")

    def refusal(self, request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write an error in OpenAI's shape."""
        return refusal(OPENAI, error)


NOTHING = Nothing()


class Branch(Resource):
    """An inner node; what it does not have is ``Nothing``."""

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Return what refuses."""
        return NOTHING

    def render(self, request: Any) -> Any:
        """Refuse: a branch serves nothing itself."""
        return NOTHING.render(request)


class Endpoints(Branch):
    """Paths of any depth to their resources, each of them exactly.

    Args:
        exact: By the path below this node, without slashes around it.
        rest: Serves every other path; it sees the whole of it.
    """

    def __init__(self, exact: Mapping[bytes, Resource], rest: Resource) -> None:
        super().__init__()
        self._exact = exact
        self._rest = rest

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Choose by everything that is left of the path."""
        request.postpath.insert(0, request.prepath.pop())
        whole = b"/".join(request.postpath).removesuffix(b"/")
        return self._exact.get(whole, self._rest) if whole else NOTHING


def tree(entry: Entry, routes: Mapping[bytes, Resource]) -> Resource:
    """Return the root of everything that is served.

    Args:
        entry: Makes exchanges.
        routes: Raw routes by prefix.
    """
    clock = entry.pipeline.clock
    models = Models(entry, OPENAI, clock.wall())
    endpoints: dict[bytes, Resource] = {
        endpoint: ModelRoute(entry, OPENAI, endpoint.decode()) for endpoint in _ENDPOINTS
    }
    v1 = Endpoints(endpoints, ModelRoute(entry, OPENAI, None, None))
    v1.putChild(b"models", models)
    chats = Endpoints({b"completions": endpoints[b"chat/completions"]}, NOTHING)
    root = Branch()
    pages = {
        b"": Text(b"Ollama is running"),
        b"ping": Text(b"OK"),
        b"health": Health(clock),
        b"live": Text(b"OK"),
        b"ready": Ready(),
    }
    for name, page in {**pages, b"v1": v1, b"chat": chats, b"models": models}.items():
        root.putChild(name, page)
    return Prefixes(root, dict(routes), BUILT_IN) if routes else root
