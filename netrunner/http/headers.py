"""Header rules that hold on both legs: grammar, and what is hop by hop.

llhttp parses; what it lets through and should not is refused here (RFC 9110, 5.5 and 7.6.1; RFC 9112, 5).

This module must not know of connections.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from netrunner.values import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Never forwarded, in either direction (RFC 9110, 7.6.1)."""

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_NAMES_NOTHING = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"upgrade", b"Upgrade"})
"""Values of ``Connection`` that name no field, or one that is hop by hop anyway."""
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def reason_of(status: int) -> bytes:
    """Return the reason phrase of a status; ``-`` for one that has none."""
    return _REASONS.get(status, b"-")


def is_token(text: bytes) -> bool:
    """Return whether ``text`` is a token (RFC 9110, 5.6.2), as every field name must be."""
    return _TOKEN.fullmatch(text) is not None


def is_field_value(text: bytes) -> bool:
    """Return whether ``text`` holds no control character but a tab (RFC 9110, 5.5)."""
    return _BAD_VALUE.search(text) is None


def list_tokens(value: bytes) -> list[bytes]:
    """Split a comma-separated field value into its lowercase members, empty ones left out."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


def end_to_end(headers: Headers) -> Headers:
    """Return ``headers`` without the hop-by-hop ones and without every name that ``Connection`` lists."""
    named: list[bytes] | None = None
    for name, value in headers:
        if name == b"connection" and value not in _NAMES_NOTHING:
            named = (named or []) + list_tokens(value)
    if named is None:
        return [field for field in headers if field[0] not in HOP_BY_HOP]
    drop = HOP_BY_HOP.union(named)
    return [field for field in headers if field[0] not in drop]


def head_bytes(start: bytes, fields: Headers) -> bytes:
    """Return a whole head: the line ``start``, the fields, the empty line.

    A line end or NUL inside one of them would be read as another field, or as the end of the head, by the
    other side: it becomes a space, and a field whose name is no token is left out (RFC 9110, 5.5).
    """
    parts = [start, b"\r\n"]
    for name, value in fields:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    head = b"".join(parts)
    lines = len(fields) + 2
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        return head_bytes(_cleaned(start), [(name, _cleaned(value)) for name, value in fields if is_token(name)])
    return head


def _cleaned(text: bytes) -> bytes:
    return _BAD_VALUE.sub(b" ", text)
