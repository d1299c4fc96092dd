"""How Cohere's API is asked, and what its error answers mean.

This module must not open connections or read clocks.
"""

from __future__ import annotations

import re

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.settings import ProviderSettings
from netrunner.values import Headers

INFERENCE = {"chat": b"POST", "embed": b"POST", "rerank": b"POST"}
"""What a stored key may be used for, and by which method."""

_STAND_FOR = {498: 401, 499: 502}
"""Statuses of its own, by those that mean the same: a token that is not valid, a request cancelled on its way."""
_BLOCKED = re.compile(r"\bblocked (?:in|out)put", re.I)
"""The other thing that 498 says."""
_SPENT = re.compile(r"/ ?month|per month", re.I)


class CohereApi(OpenAIApi):
    """Cohere's API: asked as OpenAI's is, with endpoints and statuses of its own.

    Args:
        settings: The provider's.
        name: The provider's name in the configuration, for messages.
    """

    __slots__ = ()

    def __init__(self, settings: ProviderSettings, name: str) -> None:
        super().__init__(settings, name, INFERENCE)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means; a limit that lasts for the month is not worth a retry."""
        if status == 498 and _BLOCKED.search(body.decode("utf-8", "replace")):
            error = super().classify(400, headers, body)
            error.code = "content_filter"
            return error
        error = super().classify(_STAND_FOR.get(status, status), headers, body)
        if status == 429 and _SPENT.search(error.message):
            error.kind, error.retryable = "payment", False
        return error
