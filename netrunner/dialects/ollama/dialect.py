"""Ollama's dialect: what is below ``/api``.

It has lines of JSON where others have events, streams unless it is told not to, and tells errors as one text.

This module must not know which provider is behind a server.
"""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import splice
from netrunner.dialects.answers import Document
from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, ILists, ILoads, ITranslates
from netrunner.dialects.listing import names_in
from netrunner.dialects.ollama import documents
from netrunner.dialects.ollama.decoder import Decoder
from netrunner.dialects.ollama.encoder import LINES, Encoder, VectorEncoder
from netrunner.dialects.ollama.events import EventCodec
from netrunner.dialects.ollama.reading import READERS
from netrunner.dialects.ollama.tap import AnswerTap, StreamTap
from netrunner.dialects.ollama.view import OllamaView
from netrunner.dialects.ollama.writing import written
from netrunner.errors import ExchangeError, InternalError
from netrunner.times import stamp
from netrunner.values import Answer, Envelope

_OPERATIONS = {
    "chat": Operation.CHAT,
    "generate": Operation.CHAT,
    "embed": Operation.EMBED,
    "embeddings": Operation.EMBED,
}
_NO_EVENTS = frozenset({(b"GET", "tags"), (b"GET", "ps"), (b"GET", "version"), (b"POST", "show")})
_EMPTY: dict[str, Document] = {
    "chat": {"message": {"role": "assistant", "content": ""}},
    "generate": {"response": ""},
}
"""What a piece of an answer holds that says nothing: clients know neither comments nor blank lines."""


@implementer(IDialect, ILists, ILoads, ITranslates)
class OllamaDialect:
    """Ollama's API below ``/api``."""

    name = "ollama"
    event_ends = (b"\n", b"\r")
    needs_model = frozenset(_OPERATIONS)
    listing = Written("tags", b"")
    passes = frozenset({b"accept", b"content-type", b"user-agent", b"x-request-id"})

    def has_events(self, method: bytes, endpoint: str) -> bool | None:
        """Return whether such answers hold block events; None for all that can neither be read nor has none."""
        operation = self.operation(method, endpoint)
        if operation is not None:
            return operation is Operation.CHAT
        return False if (method, endpoint) in _NO_EVENTS else None

    def events(self, endpoint: str, streaming: bool, max_bytes: int) -> EventCodec:
        """Return a reader and writer of one chat's or completion's answer."""
        return EventCodec(endpoint, streaming, max_bytes)

    def envelope(self, endpoint: str, content_type: bytes, body: bytes, query: bytes) -> Envelope:
        """Read what routing needs; a body is JSON whatever it says it is, as Ollama takes it.

        Raises:
            BadRequest: see ``splice.read``.
        """
        if not body:
            return Envelope(body, content_type)
        routed = splice.read(body, endpoint in ("chat", "generate"))
        envelope = Envelope(body, content_type, routed.model, routed.stream)
        envelope.located = (body, routed.start, routed.end)
        return envelope

    def rename(self, envelope: Envelope, model: str) -> bytes:
        """Return the body with the model's name replaced and every other byte as it came."""
        if envelope.model is None:
            return envelope.body
        if envelope.located is None or envelope.located[0] is not envelope.body:
            # A filter has changed the body since it was read.
            routed = splice.read(envelope.body)
            envelope.located = (envelope.body, routed.start, routed.end)
        return splice.replaced(*envelope.located, model)

    def address(self, endpoint: str, model: str) -> str:
        """Return ``endpoint``: no path of this dialect holds a model."""
        return endpoint

    def view(self, envelope: Envelope | None) -> OllamaView:
        """Return the request in neutral terms."""
        return OllamaView(b"" if envelope is None else envelope.body, envelope is not None)

    def tap(self, streaming: bool) -> StreamTap | AnswerTap:
        """Return a reader of one answer."""
        return StreamTap() if streaming else AnswerTap()

    def names_in(self, body: bytes) -> list[str]:
        """Return the names of models in a provider's list."""
        return names_in(body, "models", "name")

    def status(self, error: ExchangeError) -> int:
        """Return the error's own status: the hierarchy's are this dialect's."""
        return error.status

    def error(self, error: ExchangeError) -> bytes:
        """Return the error as a document: clients show its text, and pass over all else."""
        return sse.compact({"error": error.message, "code": error.code, **error.whose()})

    def error_event(self, error: ExchangeError) -> bytes:
        """Return the error as the line that every client raises."""
        return self.error(error) + b"\n"

    def stream_type(self, method: bytes, endpoint: str, query: bytes) -> bytes:
        """Return what chats and completions are streamed as."""
        return LINES if self.operation(method, endpoint) is Operation.CHAT else b""

    def keepalive(self, endpoint: str, model: str, at: float) -> bytes:
        """Return an empty piece of an answer; there is none of what else Ollama streams."""
        empty = _EMPTY.get(endpoint)
        return b"" if empty is None else sse.line({"model": model, "created_at": stamp(at), **empty, "done": False})

    # --- what clients read before they ask

    def listed(self, endpoint: str, names: Iterable[str], since: float) -> Document:
        """Return what ``tags``, ``ps`` or ``version`` answers.

        Args:
            endpoint: One of the three.
            names: Of the models there are.
            since: Unix time of their last change.
        """
        models = [documents.Model(name=name, modified_at=since) for name in names]
        if endpoint == "version":
            return documents.version_document()
        return documents.tags_document(models) if endpoint == "tags" else documents.ps_document(models)

    def shown(self, name: str, since: float) -> Document:
        """Return what ``show`` answers about one model."""
        return documents.show_document(documents.Model(name=name, modified_at=since))

    # --- between two dialects

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for."""
        return _OPERATIONS.get(endpoint) if method == b"POST" else None

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Conversation | Embedding:
        """Return what a request asks for; see ``reading``."""
        return READERS[endpoint](envelope.body, gaps)

    def counted(self, tokens: int) -> bytes:
        """Raise: no endpoint of this dialect counts tokens."""
        raise InternalError("Ollama has no endpoint that counts tokens.")

    def loaded(self, asked: Asked) -> Answer | None:
        """Return the answer to a request without a prompt, which no provider is asked; None for every other."""
        return documents.loaded(asked)

    def write(self, request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request as Ollama wants it; see ``writing``."""
        return written(request, model, stream, gaps)

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> IDecoder:
        """Return a reader of one answer."""
        decoder: IDecoder = Decoder(endpoint, streaming, max_bytes)
        return decoder

    def encoder(self, asked: Asked) -> IEncoder:
        """Return a writer of one answer."""
        encoder: IEncoder = VectorEncoder(asked) if isinstance(asked.request, Embedding) else Encoder(asked)
        return encoder
