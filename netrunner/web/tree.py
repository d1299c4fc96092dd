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

BUILT_IN = frozenset({b"/v1", b"/chat/completions", b"/models", b"/health", b"/live", b"/ready", b"/ping"})
OPENAI = OpenAIDialect()


@implementer(IRefuses)
class Nothing(Resource):
    """What is served where nothing is."""

    isLeaf = True

    def render(self, request: Request) -> Any:  # type: ignore[override]  # our Request
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


class V1(Branch):
    """Everything below ``/v1``: known endpoints by their node, all others relayed to the model's provider."""

    def __init__(self, rest: ModelRoute) -> None:
        super().__init__()
        self._rest = rest

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Let the catch-all see its whole path."""
        request.postpath.insert(0, request.prepath.pop())
        return self._rest


def tree(entry: Entry, routes: Mapping[bytes, Resource]) -> Resource:
    """Return the root of everything that is served.

    Args:
        entry: Makes exchanges.
        routes: Raw routes by prefix.
    """
    clock = entry.pipeline.clock
    models = Models(entry, OPENAI, clock.wall())
    chat = ModelRoute(entry, OPENAI, "chat/completions")
    chats = Branch()
    chats.putChild(b"completions", chat)
    every = ModelRoute(entry, OPENAI, None, None)
    v1 = V1(every)
    v1.putChild(b"models", models)
    v1_chat = V1(every)
    v1_chat.putChild(b"completions", chat)
    v1.putChild(b"chat", v1_chat)
    for endpoint in ("completions", "embeddings"):
        v1.putChild(endpoint.encode(), ModelRoute(entry, OPENAI, endpoint))
    root = Branch()
    pages = {b"": Text(b"Ollama is running"), b"ping": Text(b"OK"), b"health": Health(clock), b"live": Text(b"OK"), b"ready": Ready()}
    for name, page in {**pages, b"v1": v1, b"chat": chats, b"models": models}.items():
        root.putChild(name, page)
    return Prefixes(root, dict(routes), BUILT_IN) if routes else root
