"""How any OpenAI-compatible API is asked, and what its error answers mean.

Providers of this family are an ``OpenAIApi`` and a default address; what differs is theirs to change.

This module must not open connections or read clocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from netrunner.dialects.openai.waits import retry_after_s
from netrunner.errors import BadRequest, ConfigurationError, Fault, NotFound, Problem, UpstreamRejected
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Headers, Origin, UpstreamRequest

INFERENCE = {
    "chat/completions": b"POST",
    "completions": b"POST",
    "embeddings": b"POST",
    "responses": b"POST",
    "moderations": b"POST",
    "rerank": b"POST",
    "images/generations": b"POST",
    "images/edits": b"POST",
    "images/variations": b"POST",
    "audio/speech": b"POST",
    "audio/transcriptions": b"POST",
    "audio/translations": b"POST",
    "models": b"GET",
}
"""What a stored key may be used for, and by which method: GET on ``chat/completions`` would list what others
have asked. ``models/NAME`` goes like ``models``."""

_PATH = re.compile(
    r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)*"
)
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)|%2f|%5c", re.I)
_JSON_BODY = (b"content-type", b"application/json")
_IDENTITY = (b"accept-encoding", b"identity")


class OpenAIApi:
    """One OpenAI-compatible API: its address, its key, and the rules for asking it.

    Args:
        settings: The provider's.
        name: The provider's name in the configuration, for messages.
        inference: What a stored key may be used for, and by which method.

    Raises:
        ConfigurationError: for a key that cannot stand in a header.
    """

    __slots__ = (
        "_authorization",
        "_base",
        "_comes_with_calls",
        "_further",
        "_inference",
        "_name",
        "_origin",
        "_query",
        "_targets",
        "has_own_key",
        "passthrough",
    )

    def __init__(self, settings: ProviderSettings, name: str, inference: Mapping[str, bytes] = INFERENCE) -> None:
        url = urlsplit(settings.base_url)
        self._origin = Origin.of(settings.base_url)
        self._base = url.path.rstrip("/").encode("ascii") + b"/"
        self._query = url.query.encode("ascii")
        self._name = name
        self._further = settings.endpoints
        self._inference = inference
        self.passthrough = settings.api_key == "passthrough"
        self._comes_with_calls = settings.api_key in ("passthrough", "project")
        self.has_own_key = isinstance(settings.api_key, Secret) or settings.api_key == "project"
        self._authorization: bytes | None = None
        if isinstance(settings.api_key, Secret):
            key = settings.api_key.reveal().strip()
            if not key or not key.isascii() or not key.isprintable():
                raise ConfigurationError([Problem(f"providers.{name}.api_key", "must be printable ASCII characters")])
            self._authorization = b"Bearer " + key.encode()
        self._targets = {endpoint: self._base + endpoint.encode() for endpoint in inference}

    def serves(self, endpoint: str) -> bool:
        """Return whether ``endpoint`` may be called: with a stored key only inference and what settings list."""
        if not self.has_own_key or endpoint in self._inference or endpoint.startswith("models/"):
            return True
        return any(
            endpoint.startswith(further[:-1]) if further.endswith("*") else endpoint == further
            for further in self._further
        )

    def request(self, call: Call) -> UpstreamRequest:
        """Return ``call`` as this API wants it: the credential that belongs here, and a body without coding.

        Raises:
            NotFound: ``endpoint_not_found`` if the stored key may not be used so.
            BadRequest: for an endpoint that is no clean path.
        """
        if self.has_own_key and self._inference.get(call.endpoint) != call.method:
            self._check_use(call)
        target = self._targets.get(call.endpoint) or self._target(call.endpoint)
        query = call.query
        if self._query:
            query = self._query + b"&" + query if query else self._query
        if query:
            target = target + b"?" + query
        headers: Headers = [_IDENTITY]
        authorization = self.authorization(call)
        if authorization is not None:
            headers.append((b"authorization", authorization))
        headers += call.headers
        if call.body and b"content-type" not in [name for name, _ in call.headers]:
            headers.append(_JSON_BODY)
        return UpstreamRequest(self._origin, call.method, target, headers, call.body, call.upgrade)

    def authorization(self, call: Call) -> bytes | None:
        """Return the credential that belongs here: the stored one, or the one that came with the call.

        That is the caller's own where it goes through, or its project's key; nothing where neither is configured.
        """
        return call.authorization if self._comes_with_calls else self._authorization

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means; see ``rejected``. A refusal of our key is not the caller's to see."""
        if status in (401, 403) and self.has_own_key:
            return UpstreamRejected(
                f"The provider {self._name} refused the key it is configured with.", code="upstream_auth", status=502
            )
        return rejected(status, headers, body)

    def _check_use(self, call: Call) -> None:
        """Refuse a call that is not among those a stored key is for."""
        wanted = b"GET" if call.endpoint.startswith("models/") else self._inference.get(call.endpoint)
        if not self.serves(call.endpoint) or (wanted is not None and wanted != call.method and call.upgrade is None):
            raise NotFound("This endpoint is not served with the stored key.", code="endpoint_not_found")

    def _target(self, endpoint: str) -> bytes:
        if _PATH.fullmatch(endpoint) is None or _DOT_SEGMENT.search(endpoint) is not None:
            raise BadRequest("The path is not a clean one.", code="invalid_path")
        return self._base + endpoint.encode()


# --- error answers ------------------------------------------------------------------------------------------

_KINDS = {
    400: "bad_request",
    401: "auth",
    402: "payment",
    403: "permission",
    404: "not_found",
    405: "bad_request",
    408: "timeout",
    413: "too_large",
    415: "bad_request",
    422: "bad_request",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_CALLERS_FAULT = frozenset({400, 405, 409, 413, 415, 422})
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit_balance_too_low"})
_CODES = {"context_length_exceeded": "context_too_long", "unsupported_parameter": "unsupported_parameter"}
_LIMITED = frozenset({429, 503})


def rejected(status: int, headers: Headers, body: bytes) -> UpstreamRejected:
    """Return what an OpenAI-style error answer means, for retry and fallback to look at.

    Args:
        status: HTTP status, 400 or more.
        headers: Of the answer, names lowercase.
        body: As much of its body as was kept.
    """
    error = _error_in(body)
    fields = {**_told(error), **dict(reversed(headers))}
    message, code = _said(error)
    message, code = message[:1000], code and code[:64]
    kind = _CODES.get(code or "", _KINDS.get(status, "upstream_error" if status >= 500 else "bad_request"))
    retryable = status in _RETRYABLE
    if status == 429 and code in _SPENT:
        kind, retryable = "payment", False
    if fields.get(b"x-should-retry") in (b"true", b"false"):
        retryable = fields[b"x-should-retry"] == b"true"
    return UpstreamRejected(
        message or f"The provider answered with status {status}.",
        kind=kind,
        fault=Fault.CALLER if status in _CALLERS_FAULT else Fault.UPSTREAM,
        retryable=retryable,
        code=code,
        status=status,
        retry_after_s=retry_after_s(fields, message, status in _LIMITED),
    )


def _error_in(body: bytes) -> Any:
    """Return what an error document tells, in one of the shapes that are about."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(document, list) and document:  # Gemini's compatible API wraps its errors so
        document = document[0]
    return document.get("error", document) if isinstance(document, dict) else None


def _said(error: Any) -> tuple[str, str | None]:
    """Return the message and code of what an error document tells."""
    if isinstance(error, str):
        return error, None
    if not isinstance(error, dict):
        return "", None
    message, code = error.get("message"), error.get("code")
    if not isinstance(code, str):
        code = error.get("type")
    return message if isinstance(message, str) else "", code if isinstance(code, str) and code else None


def _told(error: Any) -> dict[bytes, bytes]:
    """Return the header fields that OpenRouter tells in its errors: those of whoever it asked itself."""
    metadata = error.get("metadata") if isinstance(error, dict) else None
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    told = headers.items() if isinstance(headers, dict) else ()
    return {name.lower().encode(): str(value).encode() for name, value in told}
