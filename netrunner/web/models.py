"""The models a caller may use, as each dialect's clients ask for them; with the same credential as the models.

This module must not relay anything but what a dialect puts below its list of models.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import BadRequest, ExchangeError, InternalError, NotFound, UpstreamError, UpstreamRejected
from netrunner.http.request import IReadsHead, Request
from netrunner.pipeline.chain import begin
from netrunner.pipeline.ends import refuse
from netrunner.pipeline.heads import own_headers
from netrunner.times import stamp
from netrunner.values import Outcome
from netrunner.web.pages import JSON
from netrunner.web.proxy import Entry, ModelRoute

_encode = msgspec.json.Encoder().encode


@implementer(IReadsHead)
class Listing(ModelRoute):
    """An answer made from the names of models.

    Args:
        entry: Makes exchanges.
        dialect: Name of what callers speak here.
        endpoint: As of ``ModelRoute``.
        methods: Those that are answered here.
    """

    log = Logger()
    takes_slashes = True
    """A model's name may have one, and OpenAI's SDK encodes it."""
    also: str | None = None
    """The dialect whose servers' own names are told as well."""

    def __init__(
        self, entry: Entry, dialect: str, endpoint: str | None, methods: tuple[bytes, ...] = (b"GET", b"HEAD")
    ) -> None:
        super().__init__(entry, dialect, endpoint, methods)
        self._started = int(entry.pipeline.clock.wall())

    def content(self, request: Request, names: list[str]) -> bytes:
        """Return what is told; ``names`` are those of the configuration, in its order, and of providers behind them."""
        raise NotFound("There is no such list.", code="not_found")

    async def names(self) -> list[str]:
        """Return the names that are told.

        Raises:
            ExchangeError: if there are none but those of providers that could not be asked.
        """
        try:
            return await self._entry.pipeline.catalog.names(self.also)
        except ExchangeError as error:
            raise self.failed(error) from error

    def failed(self, error: ExchangeError) -> ExchangeError:
        """Return what callers are told of a provider that could not be asked: they have no part in it."""
        return UpstreamError(error.message, code=error.code)

    def render(self, request: Request) -> int:
        """Answer from the configuration, and from what providers list themselves."""
        waiting = begin(self._tell(request))
        if waiting is not None:
            waiting.addErrback(self._raised, request)
        return NOT_DONE_YET

    def _raised(self, failure: Failure, request: Request) -> None:
        error = failure.value
        if not isinstance(error, ExchangeError):
            self.log.failure("a list could not be told", failure=failure)
            error = InternalError("The request could not be processed.")
        if request.exchange.outcome is None:
            refuse(request.exchange, request, error)

    async def _tell(self, request: Request) -> None:
        names = await self.names()
        exchange = request.exchange
        if exchange.outcome is not None:
            return
        body = self.content(request, names)
        exchange.bytes_in = request.body_bytes
        exchange.bytes_out = len(body)
        headers = [*JSON, *own_headers(exchange)]
        exchange.end(Outcome.DONE, 200)
        request.respond(200, headers, body)


def asked_for(request: Request, names: list[str]) -> str:
    """Return the name that ends the path; empty if it names none.

    Raises:
        NotFound: ``model_not_found`` for a name that is not configured.
    """
    return known(b"/".join(request.postpath or []).decode("utf-8", "replace"), names)


def known(wanted: str, names: list[str]) -> str:
    """Return ``wanted`` if it is one of ``names`` or empty; raises ``NotFound``."""
    if wanted and wanted not in names:
        raise NotFound(f"The model {wanted!r} does not exist.", code="model_not_found", param="model")
    return wanted


class Models(Listing):
    """OpenAI's list; Anthropic's for those who say which version of its API they speak."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, "openai", "models")

    def content(self, request: Request, names: list[str]) -> bytes:
        """Return the list, or one of it."""
        wanted = asked_for(request, names)
        if request.header(b"anthropic-version") is not None:
            dialect, since = SPOKEN["anthropic"], stamp(self._started)
            listed: bytes = (
                _encode(dialect.model_document(wanted, since)) if wanted else dialect.models_document(names, since)
            )
            return listed
        return _encode(self._one(wanted) if wanted else self._all(names))

    def _one(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "netrunner"}

    def _all(self, names: list[str]) -> dict[str, Any]:
        pipeline = self._entry.pipeline
        registered = {alias.name: (alias.model, alias.at_registered) for alias in pipeline.names.aliases}
        entries = []
        for name in pipeline.names:
            model, since = registered.get(name) or (pipeline.table.candidates(name)[0].model, self._started)
            entries.append({"name": name, "model": model, "registered_at": stamp(since).replace(".000Z", "Z")})
        return {"object": "list", "data": [self._one(name) for name in names], "models": entries}


class GeminiModels(Listing):
    """Everything below ``/v1beta``: Gemini's list to those who GET it, and what models are asked."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, "gemini", None, (b"GET", b"HEAD", b"POST"))

    def render(self, request: Request) -> int:
        """Run what is posted."""
        return ModelRoute.render(self, request) if request.method == b"POST" else super().render(request)

    def content(self, request: Request, names: list[str]) -> bytes:
        """Return the list, or one of it."""
        path = request.postpath or []
        if path[:1] != [b"models"]:
            raise NotFound("There is no such list.", code="not_found")
        wanted = known(b"/".join(path[1:]).decode("utf-8", "replace"), names)
        dialect = self._dialect
        listed: bytes = _encode(dialect.model_document(wanted)) if wanted else dialect.models_document(names)
        return listed


_NONSENSE = frozenset({"upstream_invalid_response", "upstream_bad_encoding", "answer_too_large"})
"""What is wrong with an answer, and not with the way to whoever gave it."""


class OllamaList(Listing):
    """One of Ollama's lists: ``tags``, ``ps`` or ``version``.

    Args:
        entry: Makes exchanges.
        endpoint: Path below ``/api/``.
    """

    also = "ollama"

    def __init__(self, entry: Entry, endpoint: str) -> None:
        super().__init__(entry, "ollama", endpoint)

    async def names(self) -> list[str]:
        """Return the names that are told; a version needs none."""
        return [] if self._endpoint == "version" else await super().names()

    def failed(self, error: ExchangeError) -> ExchangeError:
        """Return what callers are told: whether the server cannot be reached, or answers with nonsense."""
        if isinstance(error, UpstreamRejected) or error.code in _NONSENSE:
            return UpstreamError(error.message, code="ollama_tags_error", status=500)
        return UpstreamError(error.message, code="ollama_connection_failed")

    def content(self, request: Request, names: list[str]) -> bytes:
        """Return the list."""
        told: bytes = _encode(self._dialect.listed(self._endpoint, names, self._started))
        return told


class _Shown(msgspec.Struct):
    model: str = ""
    name: str = ""


_shown = msgspec.json.Decoder(_Shown)


class OllamaShow(Listing):
    """What Ollama tells about one model."""

    also = "ollama"

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, "ollama", "show", (b"POST",))

    def content(self, request: Request, names: list[str]) -> bytes:
        """Return what clients look for: capabilities, and how much fits."""
        try:
            asked = _shown.decode(request.body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest("The body is not a JSON object that names a model.", code="invalid_json") from error
        wanted = asked.model or asked.name
        if not wanted:
            raise BadRequest("model: is required.", code="missing_model", param="model")
        shown: bytes = _encode(self._dialect.shown(known(wanted, names), self._started))
        return shown
