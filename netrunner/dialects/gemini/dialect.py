"""Gemini's dialect: generateContent, its stream, counting and embeddings, below ``/v1beta/``.

The model and whether to stream stand in the path. The parts that look inside are beside it: ``requests`` and
``writing`` (what is asked), ``decoder`` and ``encoder`` (answers), ``view`` and ``events`` (for filters), ``tap``.

This module must not know which provider is behind an API.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini import embeddings, paths, requests, writing
from netrunner.dialects.gemini.decoder import Decoder
from netrunner.dialects.gemini.encoder import EVENTS, KEEPALIVE, Encoder, alt
from netrunner.dialects.gemini.events import EventCodec
from netrunner.dialects.gemini.failures import written
from netrunner.dialects.gemini.tap import AnswerTap, StreamTap
from netrunner.dialects.gemini.view import GeminiView
from netrunner.dialects.interfaces import IDialect, ILists, ISealsCalls, ITranslates
from netrunner.dialects.listing import names_in
from netrunner.errors import BadRequest, ExchangeError
from netrunner.values import Envelope

_OPERATIONS = {
    paths.GENERATE: Operation.CHAT,
    paths.STREAM: Operation.CHAT,
    paths.COUNT: Operation.COUNT,
    paths.EMBED: Operation.EMBED,
    paths.BATCH_EMBED: Operation.EMBED,
}
_METHODS = ["generateContent", "streamGenerateContent", "countTokens", "embedContent"]
"""What a model of a list of ours is said to know: which of them it does is its provider's matter."""
_fields = msgspec.json.Decoder(dict[str, Raw])
_named = msgspec.json.Decoder(list[dict[str, Raw]])


@implementer(IDialect, ILists, ISealsCalls, ITranslates)
class GeminiDialect:
    """Gemini's API below ``/v1beta``."""

    name = "gemini"
    event_ends = sse.EVENT_ENDS
    needs_model: frozenset[str] = frozenset()
    """The path names it."""
    listing = Written("models", b"", b"pageSize=1000")
    passes = frozenset(
        {
            b"accept",
            b"content-type",
            b"user-agent",
            b"x-echo",
            b"x-goog-api-client",
            b"x-goog-request-params",
            b"x-goog-user-project",
            b"x-request-id",
            b"x-server-timeout",
        }
    )

    # --- requests ---------------------------------------------------------------------------------------------

    def has_events(self, method: bytes, endpoint: str) -> bool | None:
        """Return whether such answers hold block events; None for all that can neither be read nor has none."""
        operation = self.operation(method, endpoint)
        if operation is not None:
            return operation is Operation.CHAT
        if method == b"GET" and (endpoint == "models" or endpoint.startswith("models/")):
            return False
        return None

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for; None for what only Google knows."""
        return _OPERATIONS.get(paths.parsed(endpoint)[1] or "") if method == b"POST" else None

    def envelope(self, endpoint: str, content_type: bytes, body: bytes, query: bytes) -> Envelope:
        """Read what routing needs: model and stream of the path. Counts come in every stream, asked for or not.

        Raises:
            BadRequest: ``invalid_json`` for a body of a known action that is no JSON object in UTF-8.
        """
        model, action = paths.parsed(endpoint)
        if body and action in paths.ACTIONS:
            try:
                body.decode()
                _fields.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise BadRequest("The body is not a JSON object in UTF-8.", code="invalid_json") from error
        return Envelope(body, content_type, model, action == paths.STREAM, True)

    def rename(self, envelope: Envelope, model: str) -> bytes:
        """Return the body, which seldom names the model: only where it does, as batches do, that name is replaced."""
        if b'"model"' not in envelope.body:
            return envelope.body
        try:
            fields = _fields.decode(envelope.body)
            name = Raw(msgspec.json.encode(paths.resource(model)))
            changed = "model" in fields
            if changed:
                fields["model"] = name
            if "requests" in fields:
                batch = [{**one, "model": name} for one in _named.decode(fields["requests"])]
                fields["requests"], changed = Raw(msgspec.json.encode(batch)), True
            if "generateContentRequest" in fields:
                inner = {**_fields.decode(fields["generateContentRequest"]), "model": name}
                fields["generateContentRequest"], changed = Raw(msgspec.json.encode(inner)), True
        except (msgspec.DecodeError, RecursionError):
            # What is no such document is its provider's to refuse.
            return envelope.body
        return msgspec.json.encode(fields) if changed else envelope.body

    def address(self, endpoint: str, model: str) -> str:
        """Return ``endpoint`` with another model's name; as it is where it calls none."""
        action = paths.parsed(endpoint)[1]
        return endpoint if action is None else paths.path(model, action)

    def view(self, envelope: Envelope | None) -> GeminiView:
        """Return the request in neutral terms."""
        return GeminiView(b"" if envelope is None else envelope.body)

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Conversation | Embedding:
        """Return what a request asks for; see ``ITranslates``."""
        action = paths.parsed(endpoint)[1]
        if action in (paths.EMBED, paths.BATCH_EMBED):
            return embeddings.read(envelope.body, action == paths.BATCH_EMBED, gaps)
        return requests.read(envelope.body, gaps)

    def write(self, request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request as Google's API wants it; see ``ITranslates``."""
        if isinstance(request, Embedding):
            return embeddings.write(request, model, gaps)
        return writing.write(request, model, stream, gaps)

    # --- answers ----------------------------------------------------------------------------------------------

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> Decoder | embeddings.EmbeddingDecoder:
        """Return a reader of one answer; how that is framed shows in its bytes."""
        if paths.parsed(endpoint)[1] in (paths.EMBED, paths.BATCH_EMBED):
            return embeddings.EmbeddingDecoder(max_bytes)
        return Decoder(max_bytes)

    def encoder(self, asked: Asked) -> Encoder | embeddings.EmbeddingEncoder:
        """Return a writer of the answer to ``asked``."""
        return embeddings.EmbeddingEncoder(asked) if isinstance(asked.request, Embedding) else Encoder(asked)

    def events(self, endpoint: str, streaming: bool, max_bytes: int) -> EventCodec:
        """Return a reader and writer of one answer, for event filters."""
        return EventCodec(streaming, max_bytes)

    def tap(self, streaming: bool) -> StreamTap | AnswerTap:
        """Return a reader of one answer."""
        return StreamTap() if streaming else AnswerTap()

    def counted(self, tokens: int) -> bytes:
        """Return the answer to ``countTokens``."""
        return sse.compact({"totalTokens": tokens})

    def model_document(self, name: str) -> dict[str, Any]:
        """Return what the list of models says about one."""
        return {
            "name": paths.resource(name),
            "version": "001",
            "displayName": name,
            "supportedGenerationMethods": _METHODS,
        }

    def models_document(self, names: list[str]) -> bytes:
        """Return a list of models, the only page of it."""
        return sse.compact({"models": [self.model_document(name) for name in names]})

    def names_in(self, body: bytes) -> list[str]:
        """Return the names of models in a provider's list, as callers may say them."""
        return [name.removeprefix("models/") for name in names_in(body, "models", "name")]

    # --- errors -----------------------------------------------------------------------------------------------

    def status(self, error: ExchangeError) -> int:
        """Return the error's own status."""
        return error.status

    def error(self, error: ExchangeError) -> bytes:
        """Return Google's error object."""
        return sse.compact(written(error))

    def error_event(self, error: ExchangeError) -> bytes:
        """Return the error as an event, which Google's Python client raises; others see a stream that is cut."""
        return sse.event(written(error))

    def stream_type(self, method: bytes, endpoint: str, query: bytes) -> bytes:
        """Return what answers are streamed as; nothing precedes one that is a list."""
        events = alt(query) == "sse" and self.operation(method, endpoint) is Operation.CHAT
        return EVENTS if events else b""

    def keepalive(self, endpoint: str, model: str, at: float) -> bytes:
        """Return an empty line: Google's Python client fails at comments."""
        return KEEPALIVE
