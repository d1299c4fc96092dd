"""The dialect ``responses``: OpenAI's Responses API, ``POST responses``.

Envelopes, errors, taps and headers are OpenAI's, as everything below ``/v1/`` is. Requests and answers are translated,
and what an error inside a stream is has a shape of its own.

This module must not know which provider is behind an API.
"""

from __future__ import annotations

from zope.interface import implementer_only

from netrunner import sse
from netrunner.dialects.conversation import Asked, Operation, Picture, Request, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, ITranslates
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.dialects.responses.decoder import Decoder
from netrunner.dialects.responses.encoder import AnswerEncoder, StreamEncoder, failure
from netrunner.dialects.responses.reading import read
from netrunner.dialects.responses.view import ResponsesView
from netrunner.dialects.responses.writing import write
from netrunner.errors import ExchangeError
from netrunner.values import Envelope

_OPERATIONS = {"responses": Operation.CHAT, "responses/input_tokens": Operation.COUNT}
LAST_NUMBER = (1 << 31) - 1
"""The number of an error's event where nobody has counted those before it: beyond any of theirs, and readable to
clients that keep it in 32 bits."""


@implementer_only(IDialect, ITranslates)
class ResponsesDialect(OpenAIDialect):
    """OpenAI's Responses API."""

    name = "responses"
    view_type = ResponsesView

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for; what looks up earlier answers, or cancels them, only OpenAI knows."""
        return _OPERATIONS.get(endpoint) if method == b"POST" else None

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Request:
        """Return what is asked for; see ``reading``."""
        return read(envelope.body, gaps)

    def write(self, request: Request, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return ``request``, which is for no image, as this API wants it; see ``writing``."""
        assert not isinstance(request, Picture)
        return write(request, model, stream, gaps)

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> IDecoder:
        """Return a reader of one answer."""
        return Decoder(streaming, max_bytes)

    def encoder(self, asked: Asked) -> IEncoder:
        """Return a writer of one answer.

        That of a stream also has ``error``, which numbers the event like those before it.
        """
        return StreamEncoder(asked) if asked.stream else AnswerEncoder(asked)

    def counted(self, tokens: int) -> bytes:
        """Return the body that tells how many tokens a request would take."""
        return sse.compact({"object": "response.input_tokens", "input_tokens": tokens})

    def error_event(self, error: ExchangeError) -> bytes:
        """Return the event that ends a stream of which nobody has counted the events."""
        return failure(error, LAST_NUMBER)
