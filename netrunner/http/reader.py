"""The parser of one connection: llhttp's events become requests, and every way a message can be wrong an error.

Bytes are fed first and acted upon afterwards, so nothing re-enters the parser. What llhttp does not bound is
bounded here: the head by bytes, a chunked body by the framing it may carry beside its data.

This module must not write, must not know of time, and must not decide what becomes of a request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from netrunner.errors import BadRequest, ExchangeError
from netrunner.http import forwarding, rules
from netrunner.http.request import Request

if TYPE_CHECKING:
    from netrunner.http.channel import Channel

MAX_FRAMING_BYTES = 65536
"""Framing beside the data of a chunked body that is never questioned."""
MAX_FRAMING_PER_BYTE = 16
"""Framing for each byte of data beyond that; one byte a chunk needs five."""
_UNKNOWN_METHOD = re.compile(rb"[\r\n]*[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} +[^ ]+ +HTTP/1\.[01]\r?\n")


class Reader:
    """Feeds llhttp; ``requests`` grows by what it finds, ``refused`` tells why there will be no more."""

    __slots__ = (
        "_barren_bytes",
        "_body_bytes",
        "_body_mark",
        "_channel",
        "_check",
        "_fed",
        "_framing_bytes",
        "_headers",
        "_in_head",
        "_limits",
        "_parser",
        "_resuming",
        "_surely_small",
        "_url",
        "head_bytes",
        "receiving",
        "refused",
        "requests",
    )

    def __init__(self, channel: Channel) -> None:
        self.requests: list[Request] = []
        self.refused: ExchangeError | None = None
        self.receiving: Request | None = None
        """The request whose body is awaited."""
        self.head_bytes = 0
        """Bytes that came of the head now awaited; 0 between messages."""
        self._channel = channel
        self._limits = channel.site.limits
        self._check = forwarding.check if self._limits.forward and not channel.inside else rules.check
        self._surely_small = min(rules.MAX_TARGET_BYTES, self._limits.max_header_bytes)
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = True
        self._resuming: Request | None = None
        self._fed = 0
        self._framing_bytes = self._body_bytes = self._body_mark = self._barren_bytes = 0

    def close(self) -> None:
        """Read nothing any more: let go of parser and channel, which otherwise live on in a cycle. Idempotent."""
        if self._parser is not None:
            self._parser = self.receiving = None
            del self._channel

    def feed(self, data: bytes) -> bytes:
        """Parse ``data``; return the bytes behind a head that asked for another protocol, which are still to be fed."""
        if self.refused is not None or self._parser is None:
            return b""
        self._fed = len(data)
        self.head_bytes += self._fed
        rest = b""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            self._upgrade_asked()
        except HttpParserInvalidMethodError:
            known = _UNKNOWN_METHOD.match(data) is not None
            self._refuse("This method is not known here." if known else "This is not HTTP.", 501 if known else 400)
        except HttpParserError as error:
            self._malformed(str(error.args[0]) if error.args else "error")
        if self._in_head:
            if self.head_bytes > self._limits.max_header_bytes:
                self._head_is_long()
        elif self.receiving is not None and self.receiving.facts.chunked:
            self._check_framing(self._fed)
        return rest

    def _malformed(self, what: str) -> None:
        requests = self.requests
        if requests and not requests[-1].facts.keep_alive and requests[-1].body_complete:
            # Whatever follows a request that asked to close is none of our business (RFC 9112, 9.6).
            return
        if "HTTP version" in what or "PRI" in what:
            self._refuse("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505, "http_version_not_supported")
        else:
            self._refuse(f"This is not well-formed HTTP: {what}.", 400)

    def _head_is_long(self) -> None:
        if len(self._url) > rules.MAX_TARGET_BYTES:
            self._refuse("The request target is too long.", 414, "target_too_long")
        else:
            self._refuse("The header is too large.", 431, "header_too_large")

    def _check_framing(self, fed: int) -> None:
        """Refuse endless chunk extensions and trailers, but no body of one-byte chunks."""
        self._framing_bytes += fed
        if self._body_bytes == self._body_mark:
            self._barren_bytes += fed
        else:
            self._body_mark, self._barren_bytes = self._body_bytes, 0
        allowed = MAX_FRAMING_BYTES + (MAX_FRAMING_PER_BYTE + 1) * self._body_bytes
        if self._framing_bytes > allowed or self._barren_bytes > MAX_FRAMING_BYTES:
            self._refuse("The chunks carry more framing than data.", 400, "bad_chunks")

    def _refuse(self, message: str, status: int, code: str = "bad_http") -> None:
        if self.refused is None:
            self.refused = BadRequest(message, code=code, status=status)

    def _upgrade_asked(self) -> None:
        self.head_bytes = 0
        if self.refused is not None or self.requests[-1].facts.upgrade is not None:
            return
        # llhttp takes everything behind such a head for the new protocol. A fresh parser is brought to where
        # the body begins by a head that has the framing only.
        request = self.requests[-1]
        request.body_complete = False
        framing = b"transfer-encoding: chunked\r\n" if request.facts.chunked else b""
        if request.facts.content_length is not None:
            framing = b"content-length: %d\r\n" % request.facts.content_length
        if not request.facts.keep_alive:
            framing += b"connection: close\r\n"
        self._resuming = request
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
        self.head_bytes = 0

    # What llhttp calls; none of these may raise.

    def on_message_begin(self) -> None:
        """A start line begins."""
        self._url = b""
        self._headers = []
        self._in_head = True
        self.head_bytes = self.head_bytes or 1

    def on_url(self, url: bytes) -> None:
        """More of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; trailers come this way too and are dropped."""
        if self._in_head:
            self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole: check it by the rules."""
        self._in_head = False
        if self._resuming is not None:
            self.receiving, self._resuming = self._resuming, None
            return
        if self.refused is not None:
            # A message behind a refused one is not looked at: nobody can tell where it really began.
            return
        parser = self._parser
        assert parser is not None
        version = parser.get_http_version()
        limits = self._limits
        method = parser.get_method()
        try:
            if self.head_bytes + self._fed > self._surely_small:
                # How large it is exactly is not known here: other messages may stand beside it.
                rules.check_size(self._url, self._headers, limits.max_header_bytes)
            facts = self._check(method, self._url, version, self._headers, limits.max_headers)
        except rules.HeadRefused as refused:
            self.refused = refused.error
            return
        request = Request(self._channel, method, facts, self._headers, b"HTTP/1.1" if version == "1.1" else b"HTTP/1.0")
        self.receiving = request
        self.requests.append(request)
        if facts.chunked:
            self._framing_bytes = self._body_bytes = self._body_mark = self._barren_bytes = 0

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        receiving = self.receiving
        if receiving is not None:
            receiving.fresh.append(data)
            self._body_bytes += len(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        request, self.receiving = self.receiving, None
        if request is not None:
            request.body_complete = True
        self.head_bytes = 0
        self._in_head = True
