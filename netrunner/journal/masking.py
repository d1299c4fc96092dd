"""Credentials in heads: values of header fields and of query parameters, masked before anything is recorded.

What is left of a credential tells which one it was, never what it is: its scheme, and three characters of a long one.

This module must not look at bodies; those are redaction's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from netrunner.values import Headers

MASK = b"***"
_SHOWN_BYTES = 3
_LONG_BYTES = 12
"""Of a shorter credential nothing is shown."""
_NAMES_KEPT = 1024
"""Names of fields whose verdict is remembered; clients may send any."""

_PLAIN = frozenset(
    {
        b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"content-encoding",
        b"content-length", b"content-type", b"date", b"host", b"origin", b"referer", b"server", b"traceparent",
        b"transfer-encoding", b"user-agent", b"vary", b"via", b"x-correlation-id", b"x-forwarded-for",
        b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"x-request-id", b"x-stainless-arch",
        b"x-stainless-async", b"x-stainless-lang", b"x-stainless-os", b"x-stainless-package-version",
        b"x-stainless-retry-count", b"x-stainless-runtime", b"x-stainless-runtime-version", b"x-stainless-timeout",
    }
)  # fmt: skip
"""What most fields are, and no credential."""
_FIELD = re.compile(rb"token|secret|passw|credential|authorization|api-?key|cookie|signature", re.IGNORECASE)
_COUNT = re.compile(rb"rate-?limit|tokens$", re.IGNORECASE)
"""Names of fields that count tokens, or tell how many are left."""
_PARAMETER = re.compile(rb"(?:key|code|sig|auth|pwd)$|token|secret|passw|credential|signature", re.IGNORECASE)
_SCHEME = re.compile(rb"(?:basic|bearer|bot|digest|negotiate|token|apikey|key|aws4-hmac-sha256)[ \t]+", re.IGNORECASE)


def mask_headers(headers: Headers, credential: bytes | None = None) -> Headers:
    """Return ``headers`` with the values masked that are credentials, or may be: ``Bearer sk-***``.

    Masked fields stay as they are when they are masked again.

    Args:
        headers: As they came, names in lowercase.
        credential: Name of a further field that carries one, in lowercase: ``access.header``.
    """
    plain = _PLAIN if credential not in _PLAIN else _PLAIN - {credential}
    return [field if field[0] in plain else _masked_field(field, credential) for field in headers]


def mask_query(query: bytes) -> bytes:
    """Return a query with the values masked of parameters such as ``key``, ``api_key`` and ``access_token``."""
    if b"=" not in query:
        return query
    return b"&".join([_masked_parameter(parameter) for parameter in query.split(b"&")])


def credentials_in(query: bytes) -> list[bytes]:
    """Return the values that ``mask_query`` masks, decoded."""
    pairs = [parameter.partition(b"=") for parameter in query.split(b"&")]
    return [unquote_to_bytes(value) for name, _, value in pairs if value and _PARAMETER.search(unquote_to_bytes(name))]


@lru_cache(_NAMES_KEPT)
def _is_secret(name: bytes) -> bool:
    return _FIELD.search(name) is not None and _COUNT.search(name) is None


def _masked_field(field: tuple[bytes, bytes], credential: bytes | None) -> tuple[bytes, bytes]:
    name, value = field
    return (name, _masked(value)) if name == credential or _is_secret(name) else field


def _masked_parameter(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    if not value or not _PARAMETER.search(unquote_to_bytes(name)):
        return parameter
    return name + equals + _masked(value)


def _masked(value: bytes) -> bytes:
    scheme = value[:7]
    if scheme != b"Bearer ":
        found = _SCHEME.match(value)
        scheme = found[0] if found else b""
    secret = value[len(scheme) :]
    if secret.endswith(MASK) and len(secret) <= _SHOWN_BYTES + len(MASK):
        return value
    return scheme + (secret[:_SHOWN_BYTES] if len(secret) >= _LONG_BYTES else b"") + MASK
