"""The server side of a connection: llhttp's events become requests, one answered after the other.

Bytes are fed to the parser first and acted upon afterwards, so nothing re-enters it. Each request goes
through: head checked, resource found, resource asked (``IReadsHead``), 100 Continue, body, ``process``.
Everything has an end: the header's absolute deadline, the body's minimum rate, the stall of a client that
does not read, the bytes that may be pipelined behind an answer.

This module must not know what resources do.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers as TwistedHeaders
from zope.interface import implementer

from netrunner.errors import BadRequest, ExchangeError, Overloaded
from netrunner.http import rules
from netrunner.http.request import IReadsHead, Request
from netrunner.http.sweep import NEVER

if TYPE_CHECKING:
    from netrunner.http.site import Site

MAX_PIPELINED_BYTES = 65536
"""Bytes kept that arrive behind a request still being answered; a client that sends more is cut."""
LINGER_S = 2.0
"""How long the rest of a refused body is read and thrown away, so that the refusal is not lost to a reset."""
MAX_LINGER_BYTES = 65536
MAX_CHUNK_OVERHEAD = 4096
"""Framing bytes beside the data of a chunked body, beyond which each further byte must be earned by data."""
FLUSH_S = 1.0
"""How long a cut response may take to flush before the connection is aborted."""
_UNKNOWN_METHOD = re.compile(rb"[\r\n]*[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} +[^ ]+ +HTTP/1\.[01]\r?\n")


@implementer(IPushProducer, IHalfCloseableProtocol)
class Channel(Protocol):
    """One client's connection."""

    log = Logger()
    transport: Any

    def __init__(self, site: Site) -> None:
        self.site = site
        self.factory = None
        self.deadline = NEVER
        self._requests: deque[Request] = deque()
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._receiving: Request | None = None
        self._in_head = False
        self._head_bytes = 0
        self._framing_bytes = 0
        self._refused: ExchangeError | None = None
        self._held = b""
        self._holds: set[str] = set()
        self._busy = False
        self._eof = False
        self._lingering: int | None = None
        self._closing = False
        self._lost = False
        self._producer: Any = None
        self._write_paused = False
        self._unsent = 0
        self._rate_mark = (0.0, 0)
        self._buffered = 0
        self._switched: tuple[Callable[[bytes], None], Callable[[], None]] | None = None

    # The connection.

    def connectionMade(self) -> None:
        """Start the header's deadline."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.site.opened(self)
        self._in_head = True
        self.deadline = self.site.sweep.now + self.site.limits.header_timeout_s

    def connectionLost(self, reason: Failure = Failure(Exception("lost"))) -> None:  # noqa: B008 - Twisted's default
        """Tell the request in progress, release everything."""
        self._lost = True
        self.deadline = NEVER
        self.site.closed(self)
        self._release_buffer()
        if self._switched is not None:
            switched, self._switched = self._switched, None
            switched[1]()
        requests, self._requests = self._requests, deque()
        for request in requests:
            request.connectionLost(reason)
        self._receiving = None

    def readConnectionLost(self) -> None:
        """The client sent FIN: gone, if an upstream works for it; otherwise what is made here is still delivered."""
        self._eof = True
        if self._switched is not None:
            self._switched[1]()
        elif not self._requests or not self._requests[0].body_complete:
            self._close()
        elif self._requests[0].aborts_on_half_close:
            self.transport.abortConnection()

    def writeConnectionLost(self) -> None:
        """Our own FIN is out; the client's is awaited by the linger deadline."""

    @property
    def input_ended(self) -> bool:
        """Whether the client has sent FIN."""
        return self._eof

    # Bytes in.

    def dataReceived(self, data: bytes) -> None:
        """Feed the parser, then act on what it found."""
        if self._switched is not None:
            self._switched[0](data)
        elif self._lingering is not None:
            self._lingering += len(data)
            if self._lingering > MAX_LINGER_BYTES:
                self.transport.pauseProducing()
        elif self._closing:
            return
        elif self._requests and self._requests[-1].body_complete:
            self._hold(data)
        else:
            self._feed(data)
            if not self._busy:
                self._advance()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > MAX_PIPELINED_BYTES:
            self.transport.abortConnection()

    def _feed(self, data: bytes) -> None:
        if self._in_head and not self._head_bytes:
            self.deadline = self.site.sweep.now + self.site.limits.header_timeout_s
        self._head_bytes += len(data)
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._upgrade_asked(data[upgrade.args[0] :])
        except HttpParserInvalidMethodError:
            known = _UNKNOWN_METHOD.match(data) is not None
            self._refuse("This method is not known here." if known else "This is not HTTP.", 501 if known else 400)
        except HttpParserError as error:
            if self._refused is None and not self._pipelined_after_close(error):
                self._refuse(f"This is not well-formed HTTP: {error.args[0] if error.args else 'error'}.", 400)
        if self._in_head and self._head_bytes > self.site.limits.max_header_bytes and self._refused is None:
            if len(self._url) > rules.MAX_TARGET_BYTES:
                self._refuse("The request target is too long.", 414, "target_too_long")
            else:
                self._refuse("The header is too large.", 431, "header_too_large")
        elif self._framing_bytes > MAX_CHUNK_OVERHEAD and self._receiving is not None:
            self._check_framing(self._receiving)

    def _pipelined_after_close(self, error: HttpParserError) -> bool:
        # Whatever follows a request that asked to close is none of our business (RFC 9112, 9.6).
        return bool(self._requests) and not self._requests[-1].keep_alive and self._requests[-1].body_complete

    def _check_framing(self, request: Request) -> None:
        overhead = self._framing_bytes - request.body_bytes - sum(map(len, request.fresh))
        if request.facts.chunked and overhead > MAX_CHUNK_OVERHEAD + 16 * request.body_bytes:
            self._refuse("The chunks carry more framing than data.", 400, "bad_chunks")

    def _refuse(self, message: str, status: int, code: str = "bad_http") -> None:
        self._refused = BadRequest(message, code=code, status=status)

    def _upgrade_asked(self, rest: bytes) -> None:
        request = self._requests[-1] if self._requests else None
        if request is None or self._refused is not None:
            return
        if request.facts.upgrade is not None:
            self._held += rest
            return
        # llhttp takes everything behind such a head for the new protocol. A fresh parser is brought to where
        # the body begins by a head that has the framing only.
        request.body_complete = False
        self._receiving = None
        self._parser = HttpRequestParser(self)
        framing = b"transfer-encoding: chunked\r\n" if request.facts.chunked else b""
        if request.facts.content_length is not None:
            framing = b"content-length: %d\r\n" % request.facts.content_length
        self._resuming = request
        self._parser.feed_data(b"POST / HTTP/1.1\r\nhost: h\r\n" + framing + b"\r\n")
        if rest:
            self._feed(rest)

    _resuming: Request | None = None

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """A start line begins."""
        self._url = b""
        self._headers = []
        self._in_head = True

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
            self._receiving, self._resuming = self._resuming, None
            return
        parser = self._parser
        version = parser.get_http_version()
        limits = self.site.limits
        method = parser.get_method()
        try:
            facts = rules.check(method, self._url, version, self._headers, limits.max_headers, limits.max_header_bytes)
        except rules.HeadRefused as refused:
            self._refused = self._refused or refused.error
            return
        request = Request(self, method, facts, self._headers, b"HTTP/1.1" if version == "1.1" else b"HTTP/1.0")
        self._receiving = request
        self._requests.append(request)
        self._framing_bytes = 0

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        if self._receiving is not None:
            self._receiving.fresh.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        request, self._receiving = self._receiving, None
        if request is not None:
            request.body_complete = True
        self._head_bytes = 0
        self._in_head = True

    # Acting on it.

    def _advance(self) -> None:
        """Bring the request at the front as far as it goes, and the ones behind it after it."""
        self._busy = True
        try:
            while self._requests and not self._lost and not self._closing:
                request = self._requests[0]
                if not request.dispatched:
                    self._dispatch(request)
                if not self._settle(request):
                    break
                self._next()
        finally:
            self._busy = False
        if self._refused is not None and not self._lost and not self._closing:
            if not self._requests:
                self._answer_refusal()
            elif not self._requests[0].body_complete:
                self._fail_body(self._requests[0], self._refused)

    def _fail_body(self, request: Request, error: ExchangeError) -> None:
        """End a request whose body cannot be received: by an answer if nobody works on it yet."""
        if request.startedWriting or request.streamed is not None or request.head_pending:
            self.transport.abortConnection()
        else:
            request.close_after()
            request.refuse(error)

    def _dispatch(self, request: Request) -> None:
        request.dispatched = True
        site = self.site
        try:
            site.admit(request)
            request.resource = site.resource_for(request)
            length = request.facts.content_length
            if IReadsHead.providedBy(request.resource):
                waiting = request.resource.head_received(request)
                if waiting is not None:
                    self._await_head(request, waiting)
                    return
            if length and request.streamed is None:
                site.check_size(length)
            self._go_on(request)
        except ExchangeError as error:
            self._refuse_request(request, error)
        except BaseException:  # the resource edge: whatever a resource raises becomes a clean answer
            request.close_after()
            request.processingFailed(Failure())

    def _refuse_request(self, request: Request, error: ExchangeError) -> None:
        if not request.body_complete:
            request.close_after()
        request.refuse(error)

    def _await_head(self, request: Request, waiting: Deferred[None]) -> None:
        request.head_pending = True
        self.hold_input("head", not request.body_complete)

        def proceed(result: Any) -> None:
            request.head_pending = False
            if self._lost:
                return
            self.hold_input("head", False)
            if isinstance(result, Failure):
                if isinstance(result.value, ExchangeError):
                    self._refuse_request(request, result.value)
                else:
                    request.processingFailed(result)
            else:
                self._go_on(request)
            if not self._busy:
                self._advance()

        waiting.addBoth(proceed)

    def _go_on(self, request: Request) -> None:
        if request.facts.expects_continue and not request.fresh and not request.body_complete and not request.finished:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not request.body_complete and not request.finished:
            now = self.site.sweep.now
            self._rate_mark = (now, 0)
            self.deadline = now + self.site.limits.body_grace_s

    def _settle(self, request: Request) -> bool:
        """Hand the body on; return whether the request is answered and received, so that the next may follow."""
        if request.head_pending:
            return False
        if request.fresh and not request.finished:
            try:
                self._take_body(request)
            except ExchangeError as error:
                request.close_after()
                request.refuse(error)
        if request.body_complete and not request.finished and not request.processing:
            request.processing = True
            self.deadline = NEVER
            if request.streamed is not None:
                request.streamed.finish()
            else:
                request.process()
        return bool(request.finished)

    def _take_body(self, request: Request) -> None:
        fresh, request.fresh = request.fresh, []
        if request.streamed is None:
            size = sum(map(len, fresh))
            self.site.check_size(request.body_bytes + size)
            if self.site.buffered_bytes + size > self.site.limits.max_buffered_bytes:
                raise Overloaded("Too many request bodies are waiting here.", code="buffers_full", retry_after_s=1)
            self.site.buffered_bytes += size
            self._buffered += size
        for piece in fresh:
            request.take(piece)

    def _next(self) -> None:
        """The front request is answered: let the next one come, or end the connection."""
        request = self._requests.popleft()
        self._release_buffer()
        if not request.keep_alive or not request.body_complete or self._eof:
            if request.body_complete and not self._held:
                self._close()
            else:
                self._linger()
            return
        limits = self.site.limits
        self.deadline = self.site.sweep.now + (limits.header_timeout_s if self._held else limits.idle_timeout_s)
        if self._held and not self._requests:
            held, self._held = self._held, b""
            self._feed(held)

    def _release_buffer(self) -> None:
        self.site.buffered_bytes -= self._buffered
        self._buffered = 0

    def _answer_refusal(self) -> None:
        error = self._refused
        assert error is not None
        status, headers, body = self.site.refusal(None, error)
        self.site.refused(None, error)
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, rules_reason(status))]
        lines.extend([b"%b: %b\r\n" % field for field in headers])
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        self.transport.write(b"".join(lines) + body)
        self._linger()

    # Bytes out.

    def write(self, data: bytes) -> None:
        """Write to the client."""
        self.transport.write(data)

    def writeSequence(self, pieces: list[bytes]) -> None:
        """Write pieces as one."""
        self.transport.write(b"".join(pieces))

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: TwistedHeaders) -> None:
        """Write the head of a response made by ``Request.write``."""
        lines = [b"HTTP/1.1 %b %b\r\n" % (code, reason)]
        lines.extend([b"%b: %b\r\n" % (name, value) for name, values in headers.getAllRawHeaders() for value in values])
        request = self._requests[0]
        if request.clientproto == b"HTTP/1.0" and not headers.hasHeader(b"content-length"):
            request.close_after()
        lines.append(request.connection_field(streaming=False))
        lines.append(b"\r\n")
        self.transport.write(b"".join(lines))

    def requestDone(self, request: Request) -> None:
        """The front request's response is complete."""
        if not self._busy and not self._lost:
            self._advance()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let ``producer`` be paused while the client does not read."""
        if not streaming:
            from twisted.internet._producer_helpers import _PullToPush

            producer = _PullToPush(producer, self)
            producer.startStreaming()
        self._producer = producer
        if self._write_paused:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        producer, self._producer = self._producer, None
        stop = getattr(producer, "stopStreaming", None)
        if stop is not None:
            stop()

    def pauseProducing(self) -> None:
        """The client does not read as fast as it is written to."""
        self._write_paused = True
        self._unsent = unsent(self.transport)
        self.deadline = self.site.sweep.now + self.site.limits.write_stall_s
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read everything."""
        self._write_paused = False
        self.deadline = NEVER
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is lost."""
        if self._producer is not None:
            self._producer.stopProducing()
            self._producer = None

    def hold_input(self, reason: str, hold: bool) -> None:
        """Stop or go on reading the client's body; it is read when no reason is left to hold it."""
        if self._lost or self._closing or self._eof:
            return
        had = bool(self._holds)
        (self._holds.add if hold else self._holds.discard)(reason)
        if bool(self._holds) != had:
            if self._holds:
                self.transport.pauseProducing()
            else:
                now = self.site.sweep.now
                self._rate_mark = (now, self._requests[0].body_bytes if self._requests else 0)
                if self._requests and not self._requests[0].body_complete:
                    self.deadline = now + self.site.limits.body_grace_s
                self.transport.resumeProducing()

    # Ends.

    def deadline_passed(self) -> None:
        """Whatever is awaited took too long."""
        now = self.site.sweep.now
        if self._lingering is not None or self._closing:
            self.transport.abortConnection()
        elif self._write_paused:
            left = unsent(self.transport)
            if left >= self._unsent:
                self.transport.abortConnection()
            else:
                self._unsent = left
                self.deadline = now + self.site.limits.write_stall_s
        elif self._requests and not self._requests[0].body_complete:
            self._body_is_slow(now)
        elif self._head_bytes and not self._requests:
            self._refuse("The header did not arrive in time.", 408, "header_timeout")
            self._answer_refusal()
        elif not self._requests:
            self._close()
        else:
            self.deadline = NEVER

    def _body_is_slow(self, now: float) -> None:
        if self._holds:
            self.deadline = now + self.site.limits.body_grace_s
            return
        request = self._requests[0]
        since, had = self._rate_mark
        if request.body_bytes - had >= self.site.limits.body_min_rate_bytes * (now - since):
            self._rate_mark = (now, request.body_bytes)
            self.deadline = now + self.site.limits.body_grace_s
        else:
            self._fail_body(request, BadRequest("The body arrives too slowly.", code="body_timeout", status=408))

    def _close(self) -> None:
        self._closing = True
        self.deadline = self.site.sweep.now + self.site.limits.write_stall_s
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _linger(self) -> None:
        """Close in a way that lets the client read the answer although not all it sent was read."""
        self._lingering = 0
        self._closing = True
        self._held = b""
        self.deadline = self.site.sweep.now + LINGER_S
        self.transport.unregisterProducer()
        lose = getattr(self.transport, "loseWriteConnection", None)
        if lose is None:
            self.transport.loseConnection()
        else:
            lose()

    def cut(self) -> None:
        """Flush, then FIN, without an end of the message; abort what is not flushed in time."""
        self._closing = True
        self.deadline = self.site.sweep.now + FLUSH_S
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abortConnection()

    def switch(self, receive: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Hand raw bytes to ``receive`` from now on, and the client's end to ``ended``."""
        self._switched = (receive, ended)
        self.deadline = NEVER
        held, self._held = self._held, b""
        if held:
            receive(held)

    def close_when_idle(self) -> None:
        """Take no further request: end now if nothing is in progress, otherwise after the answer."""
        if self._requests:
            self._requests[-1].close_after()
        elif not self._closing:
            self._close()

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """Return our address."""
        return self.transport.getHost()

    def isSecure(self) -> bool:
        """Return whether the connection is TLS."""
        return False

    def loseConnection(self) -> None:
        """Close, as a Resource may ask for."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()


def rules_reason(status: int) -> bytes:
    """Return the reason phrase of a status."""
    from twisted.web.http import RESPONSES

    return RESPONSES.get(status, b"-")


def unsent(transport: Any) -> int:
    """Return how many bytes a Twisted TCP transport holds that the kernel has not taken."""
    buffered = getattr(transport, "dataBuffer", b"")
    return len(buffered) - getattr(transport, "offset", 0) + getattr(transport, "_tempDataLen", 0)
