"""How Gemini's API is asked, and what its error answers mean.

This module must not open connections or read clocks.
"""

from __future__ import annotations

import msgspec

from netrunner.dialects.gemini import paths
from netrunner.dialects.gemini.failures import of_document
from netrunner.dialects.openai.api import OpenAIApi, rejected
from netrunner.errors import NotFound, UpstreamRejected
from netrunner.values import Call, Headers, UpstreamRequest

_OAUTH = b"Bearer ya29."
"""How Google's access tokens begin; any other credential of a caller is a key."""


class GeminiApi(OpenAIApi):
    """Gemini's API: its address, its key, and the rules for asking it; arguments as of ``OpenAIApi``."""

    __slots__ = ()

    def serves(self, endpoint: str) -> bool:
        """Return whether ``endpoint`` may be called: with a stored key only inference and what settings list."""
        return (
            self._is_inference(b"POST", endpoint) or self._is_inference(b"GET", endpoint) or self._is_listed(endpoint)
        )

    def request(self, call: Call) -> UpstreamRequest:
        """Return ``call`` as this API wants it: the key in a field of its own.

        Raises:
            NotFound: ``endpoint_not_found`` if the stored key may not be used so.
            BadRequest: for an endpoint that is no clean path.
        """
        if not (self._is_inference(call.method, call.endpoint) or self._is_listed(call.endpoint)):
            raise NotFound("This endpoint is not served with the stored key.", code="endpoint_not_found")
        request = super().request(call)
        request.headers = [
            (b"x-goog-api-key", value.removeprefix(b"Bearer "))
            if name == b"authorization" and (self.has_own_key or not value.startswith(_OAUTH))
            else (name, value)
            for name, value in request.headers
        ]
        return request

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means. A refusal of our key is not the caller's to see."""
        try:
            failure = of_document(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            failure = None
        if self.has_own_key and failure is not None and failure.bad_key:
            status = 401
        if status in (401, 403) or failure is None:
            return super().classify(status, headers, body)
        error = rejected(status, headers, body)
        error.kind = failure.kind or error.kind
        error.code = failure.code or error.code
        error.retryable = error.retryable and not failure.spent
        if error.retry_after_s is None:
            error.retry_after_s = failure.retry_after_s
        return error

    def _check_use(self, call: Call) -> None:
        """Everything was checked before."""

    def _is_inference(self, method: bytes, endpoint: str) -> bool:
        if not self.has_own_key:
            return True
        model, action = paths.parsed(endpoint)
        if model is None:
            return method == b"GET" and (endpoint == "models" or endpoint.startswith("models/"))
        return method == b"POST" and action in paths.ACTIONS

    def _is_listed(self, endpoint: str) -> bool:
        """Return whether the settings list ``endpoint``."""
        return any(
            endpoint.startswith(further[:-1]) if further.endswith("*") else endpoint == further
            for further in self._further
        )
