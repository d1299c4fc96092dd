"""How GigaChat's API is asked, and what its error answers mean.

This module must not open connections or read clocks, nor know where an access token comes from.
"""

from __future__ import annotations

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamError, UpstreamRejected
from netrunner.settings import ProviderSettings
from netrunner.values import Call, Headers, UpstreamRequest

INFERENCE = {"chat/completions": b"POST", "embeddings": b"POST", "tokens/count": b"POST", "models": b"GET"}
"""What a stored key may be used for, and by which method."""


class GigaChatApi(OpenAIApi):
    """GigaChat's API: asked as OpenAI's is, with an access token in the place of the key it was given for.

    Args:
        settings: The provider's; its key opens nothing here.
        name: The provider's name in the configuration, for messages.
    """

    __slots__ = ("token",)

    def __init__(self, settings: ProviderSettings, name: str) -> None:
        super().__init__(settings, name, INFERENCE)
        self.token: str | None = None
        """The access token; None when there is none, or it was refused."""

    def authorization(self, call: Call) -> bytes | None:
        """Return the access token, or the caller's own if it goes through.

        Raises:
            UpstreamError: when there is no token.
        """
        if not self.has_own_key:
            return super().authorization(call)
        if self.token is None:
            raise UpstreamError("There is no access token for the provider.", code="upstream_auth")
        return b"Bearer " + self.token.encode()

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means. A token that is refused is forgotten: the next attempt has another one."""
        error = super().classify(status, headers, body)
        if status == 401 and self.has_own_key:
            self.token, error.retryable = None, True
        return error

    def beside(
        self, request: UpstreamRequest, endpoint: str, content_type: bytes | None = None, body: bytes = b""
    ) -> UpstreamRequest:
        """Return a request that goes with ``request``, by its credential, to an endpoint that no caller may name."""
        headers = [field for field in request.headers if field[0] != b"content-type"]
        if content_type is not None:
            headers.append((b"content-type", content_type))
        return UpstreamRequest(request.origin, b"POST", self._target(endpoint), headers, body)
