"""OpenAI's dialect: chat completions, completions, embeddings, responses and whatever speaks like them.

Reads what routing needs of a request, replaces the model's name, and writes errors in OpenAI's shape.
The parts that look inside are beside it: ``view`` (request filters), ``tap`` (answers), ``events`` (event filters);
``reading``, ``writing``, ``decoder`` and ``encoder`` translate, ``images`` does for images.

This module must not know which provider is behind an API.
"""

from __future__ import annotations

import re

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import multipart, splice
from netrunner.dialects.conversation import Asked, Operation, Picture, Request, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IDraws, IEncoder, ILists, IRepair, IRepairs, ITranslates
from netrunner.dialects.listing import names_in
from netrunner.dialects.openai import images, reading, writing
from netrunner.dialects.openai.decoder import ChatDecoder, EmbeddingDecoder
from netrunner.dialects.openai.encoder import EVENTS, AnswerEncoder, EmbeddingEncoder, StreamEncoder
from netrunner.dialects.openai.events import EventCodec
from netrunner.dialects.openai.repair import Repair
from netrunner.dialects.openai.tap import AnswerTap, StreamTap
from netrunner.dialects.openai.usage import ask_for_usage
from netrunner.dialects.openai.vectors import VectorRepair, wants_base64
from netrunner.dialects.openai.view import OpenAIView
from netrunner.errors import ExchangeError, InternalError
from netrunner.values import Envelope

NEEDS_MODEL = frozenset(
    {"chat/completions", "completions", "embeddings", "images/edits", "audio/speech", "audio/transcriptions"}
)
"""Endpoints whose request must name a model; elsewhere the provider has a default or the path names it."""

ERROR_TYPES = {
    "bad_request": "invalid_request_error",
    "context_too_long": "invalid_request_error",
    "unsupported_parameter": "invalid_request_error",
    "auth": "authentication_error",
    "payment": "insufficient_quota",
    "permission": "permission_error",
    "not_found": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate_limit": "rate_limit_exceeded",
    "overloaded": "server_error",
    "upstream_error": "server_error",
    "timeout": "server_error",
}
"""The ``type`` of an error by its canonical kind."""

_REPAIRED = frozenset({"chat/completions", "completions"})
_JSON = re.compile(rb"application/(?:[\w.-]+\+)?json[ \t]*(?:;|$)", re.I)
_FORM = re.compile(rb"multipart/form-data[ \t]*;", re.I)
_STREAM_ASKED = re.compile(rb"(?:^|&)stream=(?:true|1)(?:&|$)", re.I)


_OPERATIONS = {
    "chat/completions": Operation.CHAT,
    "completions": Operation.CHAT,
    "embeddings": Operation.EMBED,
}


@implementer(IDialect, IDraws, ILists, IRepairs, ITranslates)
class OpenAIDialect:
    """OpenAI's APIs below ``/v1``."""

    name = "openai"
    view_type = OpenAIView
    event_ends = sse.EVENT_ENDS
    needs_model = NEEDS_MODEL
    listing = Written("models", b"")
    passes = frozenset(
        {
            b"accept",
            b"anthropic-version",
            b"cf-aig-backoff",
            b"cf-aig-cache-key",
            b"cf-aig-cache-ttl",
            b"cf-aig-collect-log",
            b"cf-aig-custom-cost",
            b"cf-aig-event-id",
            b"cf-aig-max-attempts",
            b"cf-aig-metadata",
            b"cf-aig-request-timeout",
            b"cf-aig-retry-delay",
            b"cf-aig-skip-cache",
            b"content-type",
            b"http-referer",
            b"idempotency-key",
            b"openai-beta",
            b"openai-organization",
            b"openai-project",
            b"user-agent",
            b"x-echo",
            b"x-request-id",
            b"x-title",
        }
    )

    def has_events(self, method: bytes, endpoint: str) -> bool | None:
        """Return whether such answers hold block events; None for all that can neither be read nor has none."""
        if method == b"GET" and (endpoint == "models" or endpoint.startswith("models/")):
            return False
        if method == b"POST" and endpoint in ("embeddings", "moderations", "rerank"):
            return False
        return True if method == b"POST" and endpoint in ("chat/completions", "completions") else None

    def events(self, endpoint: str, streaming: bool, max_bytes: int) -> EventCodec:
        """Return a reader and writer of one chat's or completion's answer."""
        return EventCodec(streaming, endpoint == "completions", max_bytes)

    def envelope(self, endpoint: str, content_type: bytes, body: bytes, query: bytes) -> Envelope:
        """Read what routing needs; a body that is neither JSON nor a form is opaque and names no model.

        A JSON object or form without ``model`` has the model None: whether one is needed is a matter of the
        endpoint, see ``NEEDS_MODEL``. ``?stream=true`` asks for streaming like the field does (S19).

        Raises:
            BadRequest: see ``splice.read`` and ``multipart.read``.
        """
        if not body:
            routed = splice.Routed(None, False, False)
        elif not content_type or _JSON.match(content_type):
            routed = splice.read(body)
        elif _FORM.match(content_type):
            routed = multipart.read(content_type, body)
        else:
            routed = splice.Routed(None, False, False)
        stream = routed.stream or (query != b"" and _STREAM_ASKED.search(query) is not None)
        envelope = Envelope(body, content_type, routed.model, stream, routed.wants_usage)
        envelope.located = (body, routed.start, routed.end)
        return envelope

    def rename(self, envelope: Envelope, model: str) -> bytes:
        """Return the body with the model's name replaced and every other byte as it came.

        A body that names no model is returned as it is.
        """
        if envelope.model is None:
            return envelope.body
        if envelope.located is None or envelope.located[0] is not envelope.body:
            # A filter has changed the body since it was read.
            envelope.located = self.envelope("", envelope.content_type, envelope.body, b"").located
            assert envelope.located is not None
        body, start, end = envelope.located
        if _FORM.match(envelope.content_type):
            return multipart.replaced(body, start, end, model)
        return splice.replaced(body, start, end, model)

    def address(self, endpoint: str, model: str) -> str:
        """Return ``endpoint``: no path of this dialect holds a model that is called."""
        return endpoint

    def view(self, envelope: Envelope | None) -> OpenAIView:
        """Return the request in neutral terms; without a JSON body it has no turns and cannot be changed."""
        if envelope is None:
            return self.view_type(b"", False)
        return self.view_type(
            envelope.body, not envelope.content_type or _JSON.match(envelope.content_type) is not None
        )

    def tap(self, streaming: bool) -> StreamTap | AnswerTap:
        """Return a reader of one answer."""
        return StreamTap() if streaming else AnswerTap()

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for; None for those that only this dialect knows."""
        return _OPERATIONS.get(endpoint) if method == b"POST" else None

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Request:
        """Return what a request asks for; see ``reading``."""
        return reading.read(envelope.body, endpoint, gaps)

    def write(self, request: Request, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request in the form that every provider of this family knows; see ``writing`` and ``images``."""
        if isinstance(request, Picture):
            return images.write(request, model)
        return writing.write(request, model, stream, gaps)

    def counted(self, tokens: int) -> bytes:
        """Raise: no endpoint of this dialect counts tokens."""
        raise InternalError("OpenAI has no endpoint that counts tokens.")

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> IDecoder:
        """Return a reader of one answer."""
        if endpoint == images.ENDPOINT:
            return images.ImageDecoder(max_bytes)
        return EmbeddingDecoder(max_bytes) if endpoint == "embeddings" else ChatDecoder(streaming, max_bytes)

    def encoder(self, asked: Asked) -> IEncoder:
        """Return a writer of the answer to ``asked``."""
        if asked.endpoint == "embeddings":
            return EmbeddingEncoder(asked)
        return StreamEncoder(asked) if asked.stream else AnswerEncoder(asked)

    def repairs(self, endpoint: str, envelope: Envelope | None) -> bool:
        """Return whether an answer can be repaired: those of chats, completions, and embeddings in base64."""
        return endpoint in _REPAIRED or (
            endpoint == "embeddings" and envelope is not None and wants_base64(envelope.body)
        )

    def ask_for_usage(self, body: bytes) -> bytes:
        """Return the body of a stream that asks for usage; see ``usage``."""
        return ask_for_usage(body)

    def repair(
        self, endpoint: str, streaming: bool, asked_id: str, model: str, created: int, hide_usage: bool, max_bytes: int
    ) -> IRepair:
        """Return what repairs one answer."""
        if endpoint == "embeddings":
            return VectorRepair(max_bytes)
        return Repair(
            endpoint,
            streaming,
            answer_id=f"chatcmpl-{asked_id.replace('-', '')}",
            model=model,
            created=created,
            hide_usage=hide_usage,
            max_bytes=max_bytes,
        )

    def names_in(self, body: bytes) -> list[str]:
        """Return the names of models in a provider's list."""
        return names_in(body, "data", "id")

    def status(self, error: ExchangeError) -> int:
        """Return the error's own status: the hierarchy's are this dialect's."""
        return error.status

    def error(self, error: ExchangeError) -> bytes:
        """Return OpenAI's error object."""
        return sse.compact(_error_document(error))

    def error_event(self, error: ExchangeError) -> bytes:
        """Return the error as the event that every client of this family raises."""
        return sse.event(_error_document(error))

    def stream_type(self, method: bytes, endpoint: str, query: bytes) -> bytes:
        """Return what answers of models are streamed as."""
        return EVENTS if self.operation(method, endpoint) is Operation.CHAT else b""

    def keepalive(self, endpoint: str, model: str, at: float) -> bytes:
        """Return a comment, which every client of this family passes over."""
        return sse.KEEPALIVE


def _error_document(error: ExchangeError) -> dict[str, object]:
    kind = ERROR_TYPES.get(error.kind, "server_error")
    told = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return {"error": {**told, **error.whose()}}
