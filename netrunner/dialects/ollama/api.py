"""How an Ollama server is asked, and what its error answers mean.

This module must not open connections or read clocks.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import urlsplit

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.settings import ProviderSettings
from netrunner.values import Headers

INFERENCE = {
    "chat": b"POST",
    "generate": b"POST",
    "embed": b"POST",
    "embeddings": b"POST",
    "show": b"POST",
    "tags": b"GET",
    "version": b"GET",
}
"""What a stored key may be used for, and by which method; not to fetch, push or delete models."""

_CONTEXT = re.compile(r"exceed\w* (?:the )?(?:available |maximum |model'?s? )*context (?:length|size|window)", re.I)


class OllamaApi(OpenAIApi):
    """One Ollama server. An address without a path is that of the server, whose API is below ``/api``.

    Args:
        settings: The provider's.
        name: The provider's name in the configuration, for messages.
    """

    __slots__ = ()

    def __init__(self, settings: ProviderSettings, name: str) -> None:
        if not urlsplit(settings.base_url).path.strip("/"):
            url = urlsplit(settings.base_url)._replace(path="/api").geturl()
            settings = dataclasses.replace(settings, base_url=url)
        super().__init__(settings, name, INFERENCE)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means; Ollama says in words that a prompt is too long."""
        rejected = super().classify(status, headers, body)
        rejected.kind = kind_of(rejected.message, rejected.kind)
        return rejected


def kind_of(message: str, kind: str) -> str:
    """Return the canonical kind of an error by its message; ``kind`` if that does not tell."""
    return "context_too_long" if _CONTEXT.search(message) else kind
