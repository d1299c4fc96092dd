"""Reading one HTTP/1.1 response after another from bytes, by llhttp and strictly.

llhttp refuses malformed heads and chunks, obsolete folding, control characters in fields, duplicate or conflicting
lengths. Refused here is what it lets through: versions other than 1.0 and 1.1, statuses outside 100-599, transfer
codings other than exactly ``chunked``, floods of interim answers, of header fields and of chunk framing.

This module must not know of connections, clocks or receivers.
"""

from __future__ import annotations

import dataclasses

import httptools

from netrunner.http.headers import end_to_end, is_field_value, list_tokens
from netrunner.values import Headers, ResponseHead


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLimits:
    """What an upstream may send besides the body itself."""

    max_head_bytes: int = 65536
    """Bytes of status line and header fields, interim answers included."""
    max_headers: int = 200
    max_interim: int = 16
    """Interim (1xx) answers before the final one."""
    max_framing_bytes: int = 16384
    """Bytes of chunk sizes, chunk extensions and trailers without a byte of body among them."""


DEFAULT_LIMITS = ResponseLimits()


class ResponseReader:
    """Turns bytes into heads and bodies; ``begin`` before each response, ``feed`` for each read.

    After a ``feed``: ``head`` is the final head once it is known, ``taken`` gives the bytes of body found since it was
    last asked, ``complete`` whether the response ended, ``problem`` why it is refused (feed no more then).
    """

    __slots__ = (
        "_begun",
        "_bodiless",
        "_chunked",
        "_fed",
        "_headers",
        "_interim",
        "_interim_now",
        "_limits",
        "_parser",
        "_reason",
        "_upgrade",
        "complete",
        "head",
        "pieces",
        "problem",
        "reusable",
        "switched",
    )

    def __init__(self, limits: ResponseLimits) -> None:
        self._limits = limits
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: Headers = []
        self._reason = b""
        self._fed = self._interim = 0
        self._begun = self._chunked = self._bodiless = self._upgrade = self._interim_now = False
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.complete = False
        self.problem: str | None = None
        self.reusable = False
        """Whether another request may follow on the connection; known when ``complete``."""
        self.switched = False
        """The head is a 101: bytes of ``pieces`` and all that follow belong to the new protocol."""

    def begin(self, *, bodiless: bool, upgrade: bool) -> None:
        """Expect the next response.

        Args:
            bodiless: it answers a HEAD, and so has no body whatever its head says.
            upgrade: a protocol switch was asked for, so that 101 is an answer.
        """
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        if self._headers:
            self._headers = []
        self._reason = b""
        self._fed = self._interim = 0
        self._begun = self._chunked = self._interim_now = False
        self._bodiless = bodiless
        self._upgrade = upgrade
        self.head = None
        self.complete = self.reusable = self.switched = False

    def feed(self, data: bytes) -> None:
        """Read ``data``; results are in the attributes."""
        if not self._begun and not data.startswith(b"H"):
            # llhttp would take RTSP and ICE as well.
            self.problem = "not HTTP"
            return
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]  # begin() made it, close() comes after the last feed
        except httptools.HttpParserUpgrade as switch:
            if self.switched and (rest := data[switch.args[0] :]):
                self.pieces.append(rest)
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self.complete and self.problem is None:
                self.problem = f"not HTTP: {error}"
        if self.head is None:
            self._fed += len(data)
            if self._fed > self._limits.max_head_bytes and self.problem is None:
                self.problem = f"more than {self._limits.max_head_bytes} bytes of head"
        elif self._chunked:
            if self.pieces:
                self._fed = 0
            else:
                self._fed += len(data)
                if self._fed > self._limits.max_framing_bytes and not self.complete and self.problem is None:
                    self.problem = f"more than {self._limits.max_framing_bytes} bytes of chunk framing"

    def taken(self) -> bytes:
        """Return the bytes of body found since this was last asked."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def begun(self) -> bool:
        """Whether any byte of the response came."""
        return self._begun

    @property
    def until_eof(self) -> bool:
        """Whether the body is the kind that the end of the connection ends (RFC 9112, 6.3, rule 8)."""
        head = self.head
        return head is not None and not (
            self.complete or self.switched or self._chunked or head.get(b"content-length") is not None
        )

    def close(self) -> None:
        """Let go of the parser, which refers to this reader."""
        self._parser = None

    # Called by llhttp.

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False
        self._begun = True

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        if self.complete or self.problem is not None:
            return
        parser = self._parser
        assert parser is not None
        headers = self._headers
        self._headers = []
        reason = self._reason
        self._reason = b""
        status = parser.get_status_code()
        version = parser.get_http_version()
        if len(headers) > self._limits.max_headers:
            self.problem = f"more than {self._limits.max_headers} header fields"
        elif version not in {"1.1", "1.0"}:
            self.problem = f"HTTP version {version}"
        elif not 100 <= status <= 599:
            self.problem = f"status {status}"
        elif reason != b"OK" and not is_field_value(reason):
            self.problem = "control characters in the reason"
        elif status < 200:
            self._informational(status, reason, headers)
        else:
            self._final(status, version, reason, headers)

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self.reusable = False
        elif self.head is not None:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        if self._interim_now:
            self._interim_now = False
        elif self.head is not None and not self.switched:
            self.complete = True
            if self._chunked and self.reusable:
                # A trailer may have said close: llhttp reads nothing more then, whatever a trailer is worth.
                self.reusable = self._parser.should_keep_alive()  # type: ignore[union-attr]  # it is calling us

    def _informational(self, status: int, reason: bytes, headers: Headers) -> None:
        if status == 101:
            if not self._upgrade or not self._parser.should_upgrade():  # type: ignore[union-attr]  # it is calling us
                self.problem = "a protocol switch nobody asked for"
                return
            self.switched = True
            self.head = ResponseHead(101, reason, end_to_end(headers))
            return
        self._interim_now = True
        self._interim += 1
        if self._interim > self._limits.max_interim:
            self.problem = f"more than {self._limits.max_interim} interim answers"

    def _final(self, status: int, version: str, reason: bytes, headers: Headers) -> None:
        kept = end_to_end(headers)
        if len(kept) != len(headers):
            codings = [value for name, value in headers if name == b"transfer-encoding"]
            if codings:
                if len(codings) > 1 or codings[0].strip().lower() != b"chunked" or version != "1.1":
                    self.problem = "a transfer coding other than chunked"
                    return
                self._chunked = True
                self._fed = 0
        self.head = ResponseHead(status, reason, kept)
        parser = self._parser
        self.reusable = version == "1.1" and parser.should_keep_alive()  # type: ignore[union-attr]  # it is calling us
        if self._bodiless:
            # llhttp would wait for the body that the head of a HEAD answer describes: this parser is spent.
            self._parser = None
            self.complete = True
            self.reusable = version == "1.1" and not _closes(headers)


def _closes(headers: Headers) -> bool:
    """Return whether ``Connection: close`` is among the header fields."""
    return any(name == b"connection" and b"close" in list_tokens(value) for name, value in headers)
