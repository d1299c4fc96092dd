"""Cohere's dialect as providers speak it.

This module must not hold how anything is written or read: that is beside it.
"""

from __future__ import annotations

from zope.interface import implementer

from netrunner.dialects.cohere.decoder import ChatDecoder, EmbedDecoder
from netrunner.dialects.cohere.requests import chat, embed
from netrunner.dialects.conversation import Conversation, Embedding, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import ISpoken

CHAT = "chat"
EMBED = "embed"


@implementer(ISpoken)
class CohereDialect:
    """Cohere's APIs below ``/v2``."""

    name = "cohere"
    passes = frozenset({b"user-agent", b"x-client-name"})

    def write(self, request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request in this dialect; raises as ``ISpoken`` says."""
        if isinstance(request, Embedding):
            return Written(EMBED, embed(request, model, gaps))
        return Written(CHAT, chat(request, model, stream, gaps))

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> ChatDecoder | EmbedDecoder:
        """Return a reader of one answer."""
        return EmbedDecoder(max_bytes) if endpoint == EMBED else ChatDecoder(streaming, max_bytes)
