"""The Resource tree: which path is served by what.

This module must not hold behaviour of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource, getChildForRequest
from zope.interface import implementer

from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import ExchangeError, NotFound
from netrunner.http.request import IReadsHead, IRefuses, Request
from netrunner.interfaces import IClock
from netrunner.pipeline.images import ImageRun
from netrunner.pipeline.refusal import refusal
from netrunner.values import Headers
from netrunner.web.models import GeminiModels, Models, OllamaList, OllamaShow
from netrunner.web.openapi import OpenApi
from netrunner.web.pages import Health, Ready, Text
from netrunner.web.proxy import Entry, ModelRoute
from netrunner.web.raw import Prefixes

_V1 = {
    b"chat/completions": "openai",
    b"completions": "openai",
    b"embeddings": "openai",
    b"responses": "responses",
    b"responses/input_tokens": "responses",
    b"messages": "anthropic",
    b"messages/count_tokens": "anthropic",
}
"""What is spoken at endpoints below ``/v1/``; all others are OpenAI's, and passed on as they are."""
_GOOGLE = (b"x-goog-api-client", b"x-goog-api-key")
_API = (b"chat", b"generate", b"embed", b"embeddings")
"""Ollama's endpoints below ``/api/``."""
BUILT_IN = frozenset(
    {b"/v1", b"/v1/models", b"/v1beta", b"/chat/completions", b"/models", b"/model/list", b"/health", b"/live"}
    | {b"/ready", b"/ping", b"/image", b"/openapi.json"}
    | {b"/v1/" + endpoint for endpoint in _V1}
    | {b"/api/" + endpoint for endpoint in (*_API, b"tags", b"ps", b"show", b"version")}
)


@implementer(IRefuses)
class Nothing(Resource):
    """What is served where nothing is."""

    isLeaf = True

    def render(self, request: Request) -> Any:
        """Refuse."""
        raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.", code="not_found")

    def refusal(self, request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write an error in OpenAI's shape."""
        return refusal(SPOKEN["openai"], error)


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


class Alone(ModelRoute):
    """An endpoint with nothing below it."""

    isLeaf = False

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Return what refuses, unless nothing but a slash follows."""
        return NOTHING if path else self


class Images(Alone):
    """Makes images, by any model that does where none is named."""

    runs = ImageRun


class V1(Endpoints):
    """Everything below ``/v1``; Google's newer clients look for Gemini's models there too.

    Args:
        exact, rest: As of ``Endpoints``.
        gemini: Serves those clients.
    """

    def __init__(self, exact: Mapping[bytes, Resource], rest: Resource, gemini: Resource) -> None:
        super().__init__(exact, rest)
        self._gemini = gemini

    def getChildWithDefault(self, path: bytes, request: Any) -> Resource:
        """Tell Google's clients by what they ask of models, or by the fields they send."""
        if path == b"models":
            acts = request.method == b"POST" and any(b":" in step for step in request.postpath)
            if acts or any(map(request.header, _GOOGLE)):
                request.postpath.insert(0, request.prepath.pop())
                return self._gemini
        child: Resource = super().getChildWithDefault(path, request)
        return child


@implementer(IReadsHead, IRefuses)
class Unknown(ModelRoute):
    """What is served where nothing is, if that is to be recorded.

    Args:
        entry: Makes exchanges.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, "openai", "", None)

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Open the exchange, and refuse it."""
        waiting = self._entry.open(request, self._dialect, "-", "")
        return NOTHING.render(request) if waiting is None else waiting.addCallback(lambda _: NOTHING.render(request))


class Noting(Resource):
    """The whole tree, but for what is nowhere in it.

    Args:
        whole: The tree.
        unknown: Serves what the tree does not.
    """

    def __init__(self, whole: Resource, unknown: Unknown) -> None:
        super().__init__()
        self._whole = whole
        self._unknown = unknown

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Walk the tree to its end."""
        found = getChildForRequest(self._whole.getChildWithDefault(path, request), request)
        return self._unknown if found is NOTHING else found


class Front:
    """What is served at ``/``: people get the dashboard, programs what they expect of Ollama.

    Args:
        program: Answers programs.
        people: Answers browsers; None if there are no pages here.
    """

    def __init__(self, program: Resource, people: Resource | None) -> None:
        self._program = program
        self._people = people

    def of(self, request: Request) -> Resource:
        """Return which of both is meant."""
        wants_page = request.method == b"GET" and b"text/html" in (request.header(b"accept") or b"")
        return self._people if self._people is not None and wants_page else self._program


class Root(Branch):
    """The root; who asks for ``/`` itself is told apart by what it accepts.

    Args:
        front: Serves ``/``.
    """

    def __init__(self, front: Front) -> None:
        super().__init__()
        self._front = front

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Return what serves ``/``, or else what refuses."""
        return NOTHING if path else self._front.of(request)


def tree(
    entry: Entry,
    routes: Mapping[bytes, Resource],
    pages: Mapping[bytes, Resource],
    record_unknown: bool = False,
    lets_in: Callable[[], bool] = lambda: True,
) -> Resource:
    """Return the root of everything that is served.

    Args:
        entry: Makes exchanges.
        routes: Raw routes by prefix.
        pages: What operators look at, by the first part of its path; the empty one is for browsers at ``/``.
        record_unknown: Whether requests are recorded for which there is nothing.
        lets_in: Returns whether callers can be told apart.
    """
    clock = entry.pipeline.clock
    models = Models(entry)
    endpoints: dict[bytes, Resource] = {
        endpoint: ModelRoute(entry, dialect, endpoint.decode(), takes_aliases=True) for endpoint, dialect in _V1.items()
    }
    gemini = GeminiModels(entry)
    v1 = V1(endpoints, ModelRoute(entry, "openai", None, None), gemini)
    v1.putChild(b"models", models)
    chats = Endpoints({b"completions": endpoints[b"chat/completions"]}, NOTHING)
    # What operators look at has its place below the same path.
    api = pages.get(b"api") or Branch()
    for name, resource in _ollama(entry).items():
        api.putChild(name, resource)
    model = pages.get(b"model") or Branch()
    model.putChild(b"list", models)
    root = Root(Front(Text(b"Ollama is running"), pages.get(b"")))
    small = {
        b"ping": Text(b"OK"),
        b"health": Health(clock),
        b"live": Text(b"OK"),
        b"ready": Ready(lets_in),
        b"openapi.json": OpenApi(),
    }
    named = {name: page for name, page in pages.items() if name}
    # Groq's SDK knows no other path; without a place of its own in the list of them, any raw route goes before it.
    openai = Branch()
    openai.putChild(b"v1", v1)
    served = {b"v1": v1, b"v1beta": gemini, b"api": api, b"chat": chats, b"model": model, b"models": models}
    served |= {b"openai": openai, b"image": Images(entry, "image", "image")}
    for name, page in {**named, **small, **served}.items():
        root.putChild(name, page)
    built_in = BUILT_IN | {b"/" + name for name in named}
    whole = Prefixes(root, dict(routes), built_in) if routes else root
    return Noting(whole, Unknown(entry)) if record_unknown else whole


def _ollama(entry: Entry) -> dict[bytes, Resource]:
    """Return what is served below ``/api/`` to Ollama's clients."""
    return {
        **{endpoint: ModelRoute(entry, "ollama", endpoint.decode()) for endpoint in _API},
        **{name: OllamaList(entry, name.decode()) for name in (b"tags", b"ps", b"version")},
        b"show": OllamaShow(entry),
    }


def pages_alone(pages: Mapping[bytes, Resource], clock: IClock) -> Resource:
    """Return the root of a listener that serves nothing but pages."""
    root = Root(Front(Text(b"OK"), pages.get(b"")))
    for name, page in {**pages, b"health": Health(clock), b"openapi.json": OpenApi()}.items():
        if name:
            root.putChild(name, page)
    return root
