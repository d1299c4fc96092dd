"""GigaChat's dialect as providers speak it.

This module must not hold how anything is written or read: that is beside it.
"""

from __future__ import annotations

from zope.interface import implementer

from netrunner.dialects.conversation import Conversation, Embedding, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gigachat.decoder import ChatDecoder, EmbedDecoder
from netrunner.dialects.gigachat.requests import chat, embed
from netrunner.dialects.interfaces import ISealsCalls

CHAT = "chat/completions"
EMBED = "embeddings"


@implementer(ISealsCalls)
class GigaChatDialect:
    """GigaChat's APIs below ``/v1``."""

    name = "gigachat"
    passes = frozenset({b"user-agent", b"x-client-id", b"x-session-id"})

    def write(self, request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
        """Return a request in this dialect; raises as ``ISpoken`` says."""
        if isinstance(request, Embedding):
            return Written(EMBED, embed(request, model, gaps))
        return Written(CHAT, chat(request, model, stream, gaps))

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> ChatDecoder | EmbedDecoder:
        """Return a reader of one answer."""
        return EmbedDecoder(max_bytes) if endpoint == EMBED else ChatDecoder(streaming, max_bytes)
