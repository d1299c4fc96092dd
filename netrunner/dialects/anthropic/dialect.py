"""Anthropic's dialect: Messages and the counting of their tokens.

Reads what routing needs of a request, replaces the model's name, and writes errors in Anthropic's shape. The parts
that look inside are beside it: ``reading`` and ``writing`` (requests), ``decoder`` and ``encoder`` (answers, from and
to other dialects), ``events`` (answers for filters), ``view`` (requests for filters), ``tap`` (answers passing by).

This module must not know which provider is behind an API.
"""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import splice
from netrunner.dialects.anthropic import errors, reading, writing
from netrunner.dialects.anthropic.decoder import Decoder
from netrunner.dialects.anthropic.encoder import EVENTS, PING, Encoder
from netrunner.dialects.anthropic.events import EventCodec
from netrunner.dialects.anthropic.repair import Repair
from netrunner.dialects.anthropic.tap import AnswerTap, StreamTap
from netrunner.dialects.anthropic.view import AnthropicView
from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDialect, ILists, IRepairs, ITranslates
from netrunner.dialects.listing import names_in
from netrunner.errors import ExchangeError
from netrunner.values import Envelope

MESSAGES, COUNT = "messages", "messages/count_tokens"

_OPERATIONS = {MESSAGES: Operation.CHAT, COUNT: Operation.COUNT}


@implementer(IDialect, ILists, IRepairs, ITranslates)
class AnthropicDialect:
    """Anthropic's API below ``/v1``."""

    name = "anthropic"
    version_header = b"anthropic-version"
    """The header whose value an envelope's ``version`` is."""
    event_ends = sse.EVENT_ENDS
    needs_model = frozenset(_OPERATIONS)
    listing = Written("models", b"", b"limit=1000")
    passes = frozenset(
        {
            b"accept",
            b"anthropic-beta",
            b"anthropic-dangerous-direct-browser-access",
            b"anthropic-version",
            b"content-type",
            b"user-agent",
            b"x-app",
            b"x-request-id",
        }
    )

    def has_events(self, method: bytes, endpoint: str) -> bool | None:
        """Return whether such answers hold block events; None for all that can neither be read nor has none."""
        if method == b"GET" and (endpoint == "models" or endpoint.startswith("models/")):
            return False
        if method != b"POST" or endpoint not in _OPERATIONS:
            return None
        return endpoint == MESSAGES

    def events(self, endpoint: str, streaming: bool, max_bytes: int) -> EventCodec:
        """Return a reader and writer of one answer."""
        return EventCodec(streaming, max_bytes)

    def envelope(self, endpoint: str, content_type: bytes, body: bytes, query: bytes) -> Envelope:
        """Read what routing needs; a body is JSON whatever it is called.

        Raises:
            BadRequest: see ``splice.read``.
        """
        if not body:
            return Envelope(body, content_type)
        routed = splice.read(body)
        envelope = Envelope(body, content_type, routed.model, routed.stream, True)
        envelope.located = (body, routed.start, routed.end)
        return envelope

    def rename(self, envelope: Envelope, model: str) -> bytes:
        """Return the body with the model's name replaced and every other byte as it came."""
        if envelope.model is None:
            return envelope.body
        if envelope.located is None or envelope.located[0] is not envelope.body:
            # A filter has changed the body since it was read.
            envelope.located = self.envelope("", envelope.content_type, envelope.body, b"").located
            assert envelope.located is not None
        return splice.replaced(*envelope.located, model)

    def address(self, endpoint: str, model: str) -> str:
        """Return ``endpoint``: no path of this dialect holds a model that is called."""
        return endpoint

    def view(self, envelope: Envelope | None) -> AnthropicView:
        """Return the request in neutral terms; without a body it has no turns and cannot be changed."""
        return AnthropicView(b"" if envelope is None else envelope.body)

    def tap(self, streaming: bool) -> StreamTap | AnswerTap:
        """Return a reader of one answer."""
        return StreamTap() if streaming else AnswerTap()

    def repairs(self, endpoint: str, envelope: Envelope | None) -> bool:
        """Return whether an answer can be repaired: if it is a stream."""
        return endpoint == "messages"

    def ask_for_usage(self, body: bytes) -> bytes:
        """Return ``body``: counts are always told."""
        return body

    def repair(
        self, endpoint: str, streaming: bool, asked_id: str, model: str, created: int, hide_usage: bool, max_bytes: int
    ) -> Repair | None:
        """Return what repairs a stream; a document goes on as it came."""
        return Repair(max_bytes) if streaming else None

    def names_in(self, body: bytes) -> list[str]:
        """Return the names of models in a provider's list."""
        return names_in(body, "data", "id")

    def status(self, error: ExchangeError) -> int:
        """Return an error's HTTP status."""
        return errors.status(error)

    def error(self, error: ExchangeError) -> bytes:
        """Return an error as Anthropic's document."""
        return sse.compact(errors.document(error))

    def error_event(self, error: ExchangeError) -> bytes:
        """Return an error as the event that every client of this dialect raises."""
        return errors.event(error)

    def stream_type(self, method: bytes, endpoint: str, query: bytes) -> bytes:
        """Return what messages are streamed as."""
        return EVENTS if self.operation(method, endpoint) is Operation.CHAT else b""

    def keepalive(self, endpoint: str, model: str, at: float) -> bytes:
        """Return the event that this dialect has for it."""
        return PING

    # --- from and to other dialects -------------------------------------------------------------------------

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for."""
        return _OPERATIONS.get(endpoint) if method == b"POST" else None

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Conversation:
        """Return what a request asks for; see ``ITranslates``."""
        return reading.read(envelope, gaps, endpoint == COUNT)

    def write(self, request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request as Anthropic's providers want it; see ``ITranslates``."""
        if isinstance(request, Embedding):
            raise gaps.unsupported("inputs", "it has no embeddings")
        return writing.write(request, model, stream, gaps)

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> Decoder:
        """Return a reader of one answer."""
        return Decoder(streaming, max_bytes)

    def encoder(self, asked: Asked) -> Encoder:
        """Return a writer of the answer to ``asked``."""
        return Encoder(asked)

    def counted(self, tokens: int) -> bytes:
        """Return the body that tells how many tokens a request takes."""
        return sse.compact({"input_tokens": tokens})

    # --- lists of models ------------------------------------------------------------------------------------

    def model_document(self, name: str, created_at: str) -> dict[str, str]:
        """Return what the list of models says about one."""
        return {"type": "model", "id": name, "display_name": name, "created_at": created_at}

    def models_document(self, names: Iterable[str], created_at: str = "1970-01-01T00:00:00Z") -> bytes:
        """Return the list of models in Anthropic's form, all on one page.

        Args:
            names: As callers may give them.
            created_at: RFC 3339, of every model; the beginning of Unix time where nobody knows.
        """
        data = [self.model_document(name, created_at) for name in names]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return sse.compact({"data": data, "has_more": False, "first_id": first, "last_id": last})
