"""Recorded messages as raw HTTP/1.1, the way the logging server keeps them.

A message whose length is known is framed by ``Content-Length``, any other by chunks; one that broke off has no end.

This module must not send anything.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from netrunner.values import Headers, MessageHead, Origin, Record

Direction = Literal["request", "response"]
DIRECTIONS: tuple[Direction, Direction] = ("request", "response")
LAST_CHUNK = b"0\r\n\r\n"
_WRITTEN_HERE = frozenset({b"content-length", b"transfer-encoding", b"host", b"x-proxy-path"})
_CHUNKED = (b"transfer-encoding", b"chunked")
_NOT_KEPT = (b"netrunner-body", b"not kept")
"""Stands in a message of which there is a head only, although it had a body."""
_SPELLED = {b"te": b"TE", b"www-authenticate": b"WWW-Authenticate", b"etag": b"ETag", b"dnt": b"DNT"}


def raw_head(direction: Direction, head: MessageHead, record: Record, length: int | None, chunked: bool) -> bytes:
    """Return start line, fields and the empty line.

    Args:
        direction: Which message of the exchange.
        head: As recorded: framing may be among its fields, and is not believed.
        record: What is known of the exchange.
        length: Bytes of the body, if they are to be declared.
        chunked: Whether the body follows in chunks.
    """
    fields: Headers = [field for field in head.headers if field[0] not in _WRITTEN_HERE]
    if length is not None:
        fields.insert(0, (b"content-length", b"%d" % length))
    elif chunked:
        fields.insert(0, _CHUNKED)
    if direction == "request":
        host = next((value for name, value in head.headers if name == b"host"), None)
        fields.insert(0, (b"host", _authority(record) if host is None else host))
        fields.append((b"x-proxy-path", _proxy_url(head.start, host)))
    lines = [head.start, *(b"%b: %b" % (_spelled(name), value) for name, value in fields)]
    return b"".join(_one_line(line) + b"\r\n" for line in lines) + b"\r\n"


def chunk(data: bytes) -> bytes:
    """Return ``data`` as a chunk (RFC 9112, 7.1); an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def declared_length(head: MessageHead) -> int | None:
    """Return the ``Content-Length`` a head names, None when there is none, or no number."""
    for name, value in head.headers:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= 18 else None
    return None


def bodiless(direction: Direction, head: MessageHead, record: Record) -> bool:
    """Return whether such a message has no body whatever its fields say (RFC 9112, 6.3)."""
    if direction == "request":
        return False
    return record.method == "HEAD" or head.start.split(b" ")[1:2] in ([b"204"], [b"304"])


def may_have_body(request: MessageHead) -> bool:
    """Return whether a request that declares no length may have a body all the same."""
    fields = {name for name, _ in request.headers}
    return b"transfer-encoding" in fields or request.start.split(b" ")[0] in (b"POST", b"PUT", b"PATCH")


def head_of(direction: Direction, record: Record) -> MessageHead:
    """Return the head that a record alone tells, for a message of which nothing was kept."""
    if direction == "request":
        start = f"{record.method} {record.path} HTTP/1.1".encode("utf-8", "backslashreplace")
        had_body = record.bytes_in > 0
    else:
        start = f"HTTP/1.1 {record.status} {_reason(record.status)}".encode()
        had_body = record.bytes_out > 0
    return MessageHead(start, [_NOT_KEPT] if had_body else [])


def _reason(status: int) -> str:
    if status == 499:
        return "Client Closed Request"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "-"


def _authority(record: Record) -> bytes:
    """Return the value of Host where the client sent none: an empty one is for an unknown authority (RFC 9110, 7.2)."""
    return Origin.of(record.upstream).authority if record.upstream else b""


def _proxy_url(start: bytes, host: bytes | None) -> bytes:
    target = start.split(b" ")[1] if start.count(b" ") >= 1 else b"/"
    return b"http://%b%b" % (host, target) if host and target.startswith(b"/") else target


def _spelled(name: bytes) -> bytes:
    return _SPELLED.get(name) or b"-".join(part.capitalize() for part in name.split(b"-"))


def _one_line(text: bytes) -> bytes:
    """Return ``text`` without what would end its line."""
    if b"\r" in text or b"\n" in text or b"\0" in text:
        text = text.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b" ")
    return text
