"""Credentials out of what is recorded."""

from __future__ import annotations

from netrunner.values import Headers

_NAMES = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"set-cookie"}
)


def mask_headers(headers: Headers, extra: bytes = b"") -> Headers:
    """Return the fields with credentials masked."""
    return [(name, b"***") if name in _NAMES or name == extra else (name, value) for name, value in headers]
