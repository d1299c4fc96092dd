"""The server side of a connection: llhttp's events become requests, one answered after the other.

Bytes are fed to the parser first and acted upon afterwards, so nothing re-enters it. Each request goes
through: head checked, resource found, resource asked (``IReadsHead``), 100 Continue, body, ``process``.
Everything has its time: the header's absolute deadline, the body's minimum rate, the stall of a client that
does not read, the bytes that may be pipelined behind an answer.

This module must not know what resources do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers as TwistedHeaders
from zope.interface import implementer

from netrunner.errors import BadRequest, ExchangeError, Overloaded
from netrunner.http.ending import LINGER_S, LOOK_S, Ending
from netrunner.http.flush import Writer
from netrunner.http.headers import head_bytes, list_tokens, reason_of
from netrunner.http.reader import Reader
from netrunner.http.request import IEndsBroken, IReadsHead, Request
from netrunner.http.sweep import NEVER
from netrunner.http.turn import DISPATCH

if TYPE_CHECKING:
    from netrunner.http.site import Site

MAX_PIPELINED_BYTES = 65536
"""Bytes kept that arrive behind a request still being answered; a client that sends more is cut."""
SLICE_BYTES = 4096
"""How much is parsed at once where heads may follow each other: what is parsed costs far more than what is kept."""
PARTING_S = 1.0
"""How long an idle connection is kept once the server takes no new ones."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Channel(Ending):
    """One client's connection."""

    log = Logger()
    inside = False
    """Whether it comes out of a tunnel, where a forward proxy is not asked for whole URLs."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.factory = None
        self._reader = Reader(self)
        self._requests = self._reader.requests
        self._held = b""
        self._holds: frozenset[str] = frozenset()  # empty, it is one for all
        self._busy = False
        self._eof = False
        self._lost = False
        self._producer: Any = None
        self._rate_mark = (0.0, 0)
        self._buffered = 0
        self._switched: tuple[Callable[[bytes], None], Callable[[], None]] | None = None

    # The connection.

    def connectionMade(self) -> None:
        """Start the header's deadline."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._out = Writer(self.transport, self.site.flush)
        self.site.opened(self)
        self.deadline = self.site.sweep.now + self.site.limits.header_timeout_s

    def connectionLost(self, reason: Failure = Failure(Exception("lost"))) -> None:  # noqa: B008 - Twisted's default
        """Tell the request in progress, release everything."""
        self._lost = True
        self.deadline = NEVER
        self._out.close()
        self.site.closed(self)
        self.release_buffer()
        self._reader.close()
        self._held = b""
        requests = list(self._requests)
        self._requests.clear()
        if self._switched is not None and not self._eof:
            self._switched[1]()
        self._switched = None
        self.unregisterProducer()
        for request in requests:
            request.connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The client sent FIN: gone, if an upstream works for it; otherwise what is made here is still delivered."""
        self._eof = True
        if self._switched is not None:
            self._switched[1]()
        elif self._closing:
            self.transport.loseConnection()
        elif self._requests and self._requests[0].early is not None:
            self._requests[0].answer_early()
        elif not self._requests or not self._requests[0].body_complete:
            self.close()
        elif self._requests[0].ends_with_input and self.site.limits.half_close_aborts:
            self.transport.abortConnection()

    def writeConnectionLost(self) -> None:
        """Our own FIN is out; the client's is awaited by the linger deadline."""

    @property
    def input_ended(self) -> bool:
        """Whether the client has sent FIN."""
        return self._eof

    # Bytes in.

    def dataReceived(self, data: bytes) -> None:
        """Feed the parser, then act on what it found; keep what comes too early."""
        if self._closing:
            self._discard(len(data))
        elif self._switched is not None:
            self._switched[0](data)
        elif self._requests and (self._requests[0].body_complete or len(self._requests) > 1):
            self._held += data
            if len(self._held) > MAX_PIPELINED_BYTES:
                self.site.cuts["pipelined"] += 1
                self.transport.abortConnection()
        else:
            self._feed(data)
            if not self._busy:
                self.site.later(DISPATCH, self)

    def _feed(self, data: bytes) -> None:
        """Parse the next bytes, and no more of them than one request may need; the rest is held."""
        reader = self._reader
        if not reader.head_bytes:
            self.deadline = self.site.sweep.now + self.site.limits.header_timeout_s
        if len(data) > SLICE_BYTES and reader.receiving is None:
            self._held = data[SLICE_BYTES:] + self._held
            data = data[:SLICE_BYTES]
        rest = reader.feed(data)
        if rest:
            self._held = rest + self._held

    def _feed_held(self) -> None:
        """Parse held bytes until the front request is whole."""
        requests = self._requests
        while self._held and self._reader.refused is None:
            if requests and (requests[0].body_complete or len(requests) > 1):
                return
            held, self._held = self._held, b""
            self._feed(held)

    # Acting on it.

    def take_turn(self) -> None:
        """Act on what has come in this turn."""
        self._advance()

    def broken(self, failure: Failure) -> None:
        """What the front request brought raised what nobody expects: answer that or cut its answer, and close."""
        request = self._requests[0] if self._requests else None
        if request is None or request.finished:
            self.log.failure("a connection failed", failure)
            self.abort()
        elif request.exchange is not None and IEndsBroken.providedBy(request.resource):
            request.resource.broken(request, failure)
        else:
            request.close_after()
            try:
                request.processingFailed(failure)
            finally:
                if not request.finished:
                    self.abort()

    def _advance(self) -> None:
        """Bring the request at the front as far as it goes, and the ones behind it after it."""
        self._busy = True
        requests = self._requests
        try:
            while not self._closing and not self._lost:
                if self._held:
                    self._feed_held()
                if not requests:
                    break
                request = requests[0]
                if not request.dispatched and not self._dispatch(request):
                    break
                if not self._settle(request):
                    break
                self._next(request)
        finally:
            self._busy = False
        if (self._reader.refused is not None or self._eof) and not self._lost and not self._closing:
            self._end_input()

    def _end_input(self) -> None:
        """No further request can be read: answer why, once those before are answered."""
        refused = self._reader.refused
        if self._requests and self._requests[0].body_complete:
            return
        if refused is None:
            self.close()
        elif self._requests:
            self._fail_body(self._requests[0], refused)
        else:
            self._answer_refusal(refused)

    def _fail_body(self, request: Request, error: ExchangeError) -> None:
        """End a request whose body cannot be received: by an answer if nobody works on it yet, or if one waits."""
        if request.early is not None:
            request.answer_early()
        elif request.startedWriting or request.streamed is not None or request.head_pending:
            self.site.cuts["body"] += 1
            self.transport.abortConnection()
        else:
            request.close_after()
            request.refuse(error)

    def _dispatch(self, request: Request) -> bool:
        """Find the resource and ask it; return False for a request that is known to be broken already."""
        request.dispatched = True
        if self._reader.refused is not None and not request.body_complete:
            return False
        site = self.site
        try:
            site.admit(request)
            request.resource = resource = site.resource_for(request)
            if IReadsHead.providedBy(resource):
                waiting = resource.head_received(request)
                if waiting is not None:
                    self._await_head(request, waiting)
                    return True
            self._go_on(request)
        except ExchangeError as error:
            request.refuse(error)
        except Exception:  # noqa: BLE001 - the resource edge: whatever a resource raises becomes a clean answer
            request.close_after()
            request.processingFailed(Failure())
        return True

    def _await_head(self, request: Request, waiting: Deferred[None]) -> None:
        request.head_pending = True
        self.hold_input("head", not request.body_complete)

        def proceed(result: Any) -> None:
            request.head_pending = False
            if self._lost:
                return
            self.hold_input("head", False)
            try:
                if isinstance(result, Failure):
                    result.raiseException()
                self._go_on(request)
            except ExchangeError as error:
                request.refuse(error)
            except Exception:  # noqa: BLE001 - the resource edge, as in _dispatch
                request.close_after()
                request.processingFailed(Failure())
            if not self._busy:
                self._advance()

        waiting.addBoth(proceed)

    def _go_on(self, request: Request) -> None:
        """The head is accepted: let the body come, after ``100 Continue`` if the client waits for that."""
        if request.finished or request.early is not None:
            return
        length = request.facts.content_length
        if length and request.streamed is None:
            self.site.check_size(length)
        if not request.body_complete:
            if request.facts.expects_continue and not request.fresh and not request.startedWriting:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._await()

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
        if request.early is not None and request.body_complete:
            request.answer_early()
        elif request.body_complete and not request.finished and not request.processing:
            request.processing = True
            if not self._write_paused:
                self.deadline = NEVER
            if request.streamed is not None:
                request.streamed.finish()
            else:
                request.process()
        return bool(request.finished)

    def _take_body(self, request: Request) -> None:
        fresh, request.fresh = request.fresh, []
        if request.early is not None:
            return
        data = fresh[0] if len(fresh) == 1 else b"".join(fresh)
        if request.streamed is None:
            site, size = self.site, len(data)
            site.check_size(request.body_bytes + size)
            if site.buffered_bytes + size > site.limits.max_buffered_bytes:
                raise Overloaded("Too many request bodies are waiting here.", code="buffers_full", retry_after_s=1)
            site.buffered_bytes += size
            self._buffered += size
        request.take(data)

    def _next(self, request: Request) -> None:
        """The front request is answered: let the next one come, or end the connection."""
        del self._requests[0]
        self.release_buffer()
        if self._holds:
            self._holds = frozenset()
            self.transport.resumeProducing()
        if self._closing:
            return
        if request.keep_alive and request.body_complete:
            self._await()
        elif request.body_complete and not request.close_is_known and not self.site.accepting:
            # Its next request may be on the way: as with a connection that was idle when the end began.
            self._await()
            self.close_when_idle()
        elif request.body_complete and not self._held and not self._requests:
            self.close()
        else:
            self.linger()

    def release_buffer(self) -> None:
        """Account no longer for the front request's body."""
        self.site.buffered_bytes -= self._buffered
        self._buffered = 0

    def _answer_refusal(self, error: ExchangeError) -> None:
        status, headers, body = self.site.refusal(None, error)
        self.site.refused(None, error)
        fields = [
            *headers,
            (b"date", self.site.date()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        self.write(head_bytes(b"HTTP/1.1 %d %b" % (status, reason_of(status)), fields) + body)
        self.linger()

    # Bytes out.

    def writeSequence(self, pieces: list[bytes]) -> None:
        """Write pieces as one."""
        self.write(b"".join(pieces))

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: TwistedHeaders) -> None:
        """Write the head of a response made by ``Request.write``."""
        request = self._requests[0]
        fields: list[tuple[bytes, bytes]] = []
        for name, values in headers.getAllRawHeaders():
            if name.lower() != b"connection":
                fields += [(name, value) for value in values]
            elif b"close" in list_tokens(b",".join(values)):
                request.close_after()
        if request.clientproto == b"HTTP/1.0" and not headers.hasHeader(b"content-length"):
            request.close_after()
        fields += request.connection_field(streaming=False)
        self.write(head_bytes(b"HTTP/1.1 %b %b" % (code, reason), fields))

    def requestDone(self, request: Request) -> None:
        """The front request's response is complete."""
        if not self._busy and not self._lost:
            self._advance()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let ``producer`` be paused while the client does not read."""
        if self._lost:
            producer.stopProducing()
            return
        if not streaming:
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
        if not self._closing:
            self._watch_unread()
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read everything."""
        self._write_paused = False
        if not self._closing:
            self._await()
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
        self._holds = self._holds | {reason} if hold else self._holds - {reason}
        if bool(self._holds) != had:
            if self._holds:
                self.transport.pauseProducing()
            else:
                self._await()
                self.transport.resumeProducing()

    # Ends.

    def _await(self) -> None:
        """Set the deadline of what has to come from the client now."""
        now, limits = self.site.sweep.now, self.site.limits
        if self._write_paused:
            self.deadline = min(self._moved + limits.write_stall_s, now + LOOK_S)
        elif not self._requests:
            head_begun = self._held or self._reader.head_bytes
            self.deadline = now + (limits.header_timeout_s if head_begun else limits.idle_timeout_s)
        elif not self._requests[0].body_complete:
            self._rate_mark = (now, self._requests[0].body_bytes)
            self.deadline = now + limits.body_grace_s
        else:
            self.deadline = NEVER

    def await_rest(self) -> None:
        """Wait a moment for the rest of a body that has been answered already."""
        if not self._write_paused:
            self.deadline = self.site.sweep.now + LINGER_S

    def deadline_passed(self) -> None:
        """Whatever is awaited took too long."""
        now = self.site.sweep.now
        if self._closing or self._write_paused:
            self._is_stalled(now)
        elif not self._requests:
            if self._reader.head_bytes:
                self._answer_refusal(
                    BadRequest("The header did not arrive in time.", code="header_timeout", status=408)
                )
            self.close()
        elif not self._requests[0].body_complete:
            self._body_is_slow(now)
        else:
            self.deadline = NEVER

    def _body_is_slow(self, now: float) -> None:
        request = self._requests[0]
        if request.early is not None:
            request.answer_early()
            return
        since, had = self._rate_mark
        enough = request.body_bytes - had >= self.site.limits.body_min_rate_bytes * (now - since)
        if enough or self._holds:
            self._await()
        else:
            self._fail_body(request, BadRequest("The body arrives too slowly.", code="body_timeout", status=408))

    def switch(self, receive: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Hand raw bytes to ``receive`` from now on, and the client's end to ``ended``."""
        self._switched = (receive, ended)
        held, self._held = self._held, b""
        if held:
            receive(held)

    def close_when_idle(self) -> None:
        """Take one more request at the most; end after an answer, or when none comes in ``PARTING_S``.

        Closed at once, an idle connection would lose the request that crosses with its end on the way.
        """
        if self._requests:
            self._requests[-1].close_after()
        elif not self._closing:
            self.deadline = min(self.deadline, self.site.sweep.now + PARTING_S)
