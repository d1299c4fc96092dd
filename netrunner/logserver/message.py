"""Reads a raw HTTP/1.1 message as it passes: its head, and its body without the framing.

The bytes are kept by somebody else whatever is found here, so nothing raises: what cannot be read is told by ``error``.

This module must not keep a body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from netrunner.values import Headers

Type = Literal["request", "response"]
"""Which half of an exchange a message is."""
MAX_HEAD_BYTES = 65536


class Message:
    """One message, fed piece by piece.

    Args:
        type: A request or a response.
        take: Gets the body, framing removed; without it nothing behind the head is looked at.
    """

    def __init__(self, type: Type, take: Callable[[bytes], None] | None = None) -> None:
        self.headers: Headers = []
        self.method: bytes | None = None
        self.target = b""
        self.status: int | None = None
        self.complete_head = False
        self.error: str | None = None
        """Why the message, or its head, could not be read."""
        self._take = take
        self._fed = 0
        self._parser: Any = HttpRequestParser(self) if type == "request" else HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """See the next bytes."""
        if self._parser is None:
            return
        if not self.complete_head:
            self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # What follows belongs to another protocol, and to no HTTP body.
            if self._take is not None:
                self._take(data[upgrade.args[0] :])
        except HttpParserError as error:
            if self._take is not None or not self.complete_head:
                self._fail(f"no well-formed HTTP/1.1: {error.args[0] if error.args else 'error'}")
        if self.complete_head and self._take is None:
            self._parser = None
        elif not self.complete_head and self._fed > MAX_HEAD_BYTES:
            self._fail(f"the head is larger than {MAX_HEAD_BYTES} bytes")

    def close(self) -> None:
        """The message ended."""
        if not self.complete_head and self.error is None:
            self._fail("the message ends within its head" if self._fed else "the message is empty")
        self._parser = None

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the field called ``name`` (lowercase), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def _fail(self, error: str) -> None:
        self.error = error
        self._parser = None

    # What llhttp calls.

    def on_url(self, url: bytes) -> None:
        """More of the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, or a trailer."""
        if not self.complete_head:
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._fed > MAX_HEAD_BYTES and sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            return
        self.complete_head = True
        if isinstance(self._parser, HttpRequestParser):
            self.method = self._parser.get_method()
        else:
            self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        if self._take is not None:
            self._take(data)
