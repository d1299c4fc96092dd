"""The bytes of a request's head, and what may not stand in it.

This module must not know of connections.
"""

from __future__ import annotations

from netrunner.values import UpstreamRequest

_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class InvalidRequest(ValueError):
    """A request that would not be the one request it claims to be."""


def request_bytes(request: UpstreamRequest) -> bytes:
    """Return the head of ``request``, followed by its body if that is bytes (RFC 9112, 2.1, 6).

    Raises:
        InvalidRequest: for a line end, NUL or stray space where it would change what the upstream reads.
    """
    target = request.target
    parts = [request.method, b" ", target, b" HTTP/1.1\r\nhost: ", request.origin.authority, b"\r\n"]
    lines = len(request.headers) + 3
    for name, value in request.headers:
        parts += (name, b": ", value, b"\r\n")
    if request.upgrade is not None:
        parts += (b"connection: upgrade\r\nupgrade: ", request.upgrade, b"\r\n")
        lines += 2
    body = request.body
    if type(body) is bytes:
        if body or request.method in _WITH_BODY:
            parts.append(b"content-length: %d\r\n\r\n" % len(body))
            lines += 1
        else:
            parts.append(b"\r\n")
    else:
        parts.append(
            b"content-length: %d\r\n\r\n" % body.length
            if type(body.length) is int
            else b"transfer-encoding: chunked\r\n\r\n"
        )
        lines += 1
        body = b""
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head or b" " in target:
        raise InvalidRequest("a control character in the request's head")
    return head + body if body else head
