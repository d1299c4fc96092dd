"""What a request's head must be before anything looks at it: the rules llhttp leaves to us.

Version, Host, target, framing and expectation (RFC 9112, 3.2, 5.1, 6.1, 6.3; RFC 9110, 7.2, 10.1.1).
Where two readings of a message are possible it is refused, since the next hop may choose the other one.

This module must not know of connections.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from netrunner.errors import BadRequest, ExchangeError, MethodNotAllowed, TooLarge
from netrunner.http.headers import list_tokens
from netrunner.values import Headers

MAX_TARGET_BYTES = 8192
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH".split()
)
"""Those that make sense to a Resource or a raw route; llhttp also knows those of RTSP and of HTTP's cousins."""
_KNOWN_BUT_REFUSED = frozenset({b"CONNECT", b"TRACE"})

# Narrower than RFC 3986's reg-name: no host has sub-delims, and a comma is how two Host fields look when joined.
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ORIGIN_FORM = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_ABSOLUTE_FORM = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(/[\x21\x22\x24-\x7e]*|\?[\x21\x22\x24-\x7e]*|)")
_DOT_SEGMENT = re.compile(rb"(?:^|/|%2f)(?:\.|%2e){1,2}(?:$|/|%2f|;|%3b)|%5c|\\|%00", re.IGNORECASE)


class Facts(msgspec.Struct):
    """What the rules found out about an acceptable head."""

    target: bytes
    """In origin form, or ``*``."""
    host: bytes | None
    """Lowercase, port included; None only for HTTP/1.0."""
    content_length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes | None
    """The protocol asked for, when it can be granted: a GET that lists ``upgrade`` and has no body."""


class HeadRefused(Exception):
    """The head breaks a rule; ``error`` is what the caller is told. The connection ends with it."""

    def __init__(self, error: ExchangeError) -> None:
        super().__init__(error.message)
        self.error = error


def _refuse(message: str, code: str, status: int = 400) -> HeadRefused:
    return HeadRefused(BadRequest(message, code=code, status=status))


def check_size(target: bytes, headers: Headers, max_bytes: int) -> None:
    """Refuse a head whose start line and fields are more than ``max_bytes`` together (431), or its target (414)."""
    if len(target) > MAX_TARGET_BYTES:
        raise _refuse(f"The request target is longer than {MAX_TARGET_BYTES} bytes.", "target_too_long", 414)
    if sum([len(name) + len(value) for name, value in headers]) + 4 * len(headers) + len(target) > max_bytes:
        raise _refuse(f"The header is larger than {max_bytes} bytes.", "header_too_large", 431)


def check(method: bytes, target: bytes, version: str, headers: Headers, max_headers: int) -> Facts:
    """Return the facts of a head, or raise ``HeadRefused``.

    Args:
        method, target: As on the start line.
        version: As llhttp tells it, ``"1.1"``.
        headers: Lowercase names, stripped values.
        max_headers: Most fields allowed; beyond it 431.
    """
    if len(headers) > max_headers:
        raise _refuse(f"More than {max_headers} header fields.", "too_many_headers", 431)
    if version not in {"1.1", "1.0"}:
        raise _refuse("Only HTTP/1.1 and HTTP/1.0 are spoken here.", "http_version_not_supported", 505)
    if method not in METHODS:
        status = 405 if method in _KNOWN_BUT_REFUSED else 501
        raise HeadRefused(MethodNotAllowed("This method is not answered here.", status=status))
    fields = _single_fields(headers)
    host, target = _host_and_target(fields.get(b"host"), target, method, version)
    length, chunked = _framing(fields, version)
    connection = list_tokens(fields.get(b"connection", b"")) if b"connection" in fields else []
    keep_alive = b"close" not in connection if version == "1.1" else b"keep-alive" in connection
    upgrade = None
    if b"upgrade" in fields and b"upgrade" in connection:
        grantable = method == b"GET" and version == "1.1" and not chunked and not length
        upgrade = b"websocket" if grantable and fields[b"upgrade"].lower() == b"websocket" else None
    return Facts(target, host, length, chunked, keep_alive, _expects(fields, version), upgrade)


_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_JOINED = frozenset({b"connection", b"upgrade"})


def _single_fields(headers: Headers) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in fields:
                raise _refuse(f"More than one {name.decode()} header field.", "duplicate_header")
            fields[name] = value
        elif name in _JOINED:
            fields[name] = fields[name] + b"," + value if name in fields else value
    return fields


@lru_cache(maxsize=256)
def _host_and_target(host: bytes | None, target: bytes, method: bytes, version: str) -> tuple[bytes | None, bytes]:
    if host is None and version == "1.1":
        raise _refuse("An HTTP/1.1 request needs a Host header field.", "missing_host")
    if host is not None and _HOST.fullmatch(host) is None:
        raise _refuse("The Host header field is malformed.", "bad_host")
    if _ORIGIN_FORM.fullmatch(target) is None:
        if target == b"*" and method == b"OPTIONS":
            return (host.lower() if host else None), target
        absolute = _ABSOLUTE_FORM.fullmatch(target)
        if absolute is None or _HOST.fullmatch(absolute[1]) is None:
            raise _refuse("The request target is malformed.", "bad_target")
        if host is not None and host.lower() != absolute[1].lower():
            raise _refuse("The Host header field is not that of the request target.", "ambiguous_host")
        host, target = absolute[1], absolute[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    if _DOT_SEGMENT.search(target.split(b"?", 1)[0]):
        raise _refuse("The path holds a dot segment, a backslash or a NUL.", "bad_path")
    return (host.lower() if host else None), target


def _framing(fields: dict[bytes, bytes], version: str) -> tuple[int | None, bool]:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise _refuse("Content-Length beside Transfer-Encoding.", "ambiguous_framing")
        if version == "1.0":
            raise _refuse("Transfer-Encoding in an HTTP/1.0 request.", "ambiguous_framing")
        if coding.lower() != b"chunked":
            raise _refuse("The only transfer coding known here is chunked.", "unknown_transfer_coding", 501)
        return None, True
    if length is None:
        return None, False
    if not length.isdigit() or len(length) > 18:
        raise _refuse("The Content-Length is malformed.", "bad_content_length")
    return int(length), False


def _expects(fields: dict[bytes, bytes], version: str) -> bool:
    expect = fields.get(b"expect")
    if expect is None or version == "1.0":
        return False
    if expect.lower() != b"100-continue":
        raise _refuse("The only expectation known here is 100-continue.", "expectation_failed", 417)
    return True


def too_large(limit: int) -> TooLarge:
    """Return the error of a body over ``limit`` bytes."""
    return TooLarge(f"The body is larger than {limit} bytes.")
