"""One request on the server channel: an IRequest that builds what is rarely asked for only when it is.

Everything of ``twisted.web.server.Request`` works on it (``args``, ``content``, cookies, sessions, producers,
``notifyFinish``). Beside that stands the short way that the relay uses: ``begin``, ``send``, ``break_off``,
with header fields as they come and one write per call.

This module must not parse anything and must not know of upstreams.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.http import OK  # its module looks for deprecated names at each access, and this is at each request
from twisted.web.http_headers import Headers as TwistedHeaders
from twisted.web.resource import NoResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import Interface

from netrunner.errors import ExchangeError, InternalError, MethodNotAllowed, NotFound
from netrunner.http.body import RequestBody
from netrunner.http.headers import head_bytes, reason_of
from netrunner.http.lazy import lazy
from netrunner.http.rules import Facts
from netrunner.values import Headers

if TYPE_CHECKING:
    from netrunner.http.channel import Channel
    from netrunner.http.site import Site

_OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date", b"upgrade"})
"""Response fields that ``begin`` looks at: framing is written here and nowhere else."""
MAX_REST_BYTES = 65536
"""Most bytes of a body that an answer given without it waits for."""
_CHUNKED = (b"transfer-encoding", b"chunked")
_FORM = b"application/x-www-form-urlencoded"


class IReadsHead(Interface):
    """A resource that wants to decide before the body is read; others get a buffered one."""

    def head_received(request: Request) -> Deferred[None] | None:  # noqa: N805 - an interface's method
        """Called once at the end of the headers, before ``100 Continue``.

        May call ``request.stream_body``, raise an ``ExchangeError`` to refuse, answer at once, or return a
        Deferred to take its time; the body waits.
        """


class IRefuses(Interface):
    """A resource that writes an ``ExchangeError`` in its caller's dialect."""

    def refusal(request: Request, error: ExchangeError) -> tuple[int, Headers, bytes]:  # noqa: N805 - an interface's method
        """Return status, header fields and body."""


class IEndsBroken(Interface):
    """A resource that ends what it has begun for a request when something raises what nobody expects."""

    def broken(request: Request, failure: Failure) -> None:  # noqa: N805 - an interface's method
        """Log it, and end it at once, the request's connection too."""


class Request(server.Request):
    """A request whose head is checked and whose body is, or is being, received."""

    # A stream keeps its request: what every one has set is here, so that none of them has a dict.
    __slots__ = (
        "_declared", "_head", "_keep_alive", "_no_body", "_pieces", "_waiting", "aborts_on_half_close", "body_bytes",
        "body_complete", "channel", "chunked", "clientproto", "code", "dispatched", "exchange", "facts", "finished",
        "fresh", "head_pending", "method", "on_disconnect", "path", "postpath", "prepath", "processing", "producer",
        "query", "raw_headers", "resource", "sentLength", "site", "sitepath", "startedWriting", "streamingProducer",
        "uri",
    )  # fmt: skip

    channel: Channel  # type: ignore[assignment]  # ours, of the same use
    site: Site
    sitepath: list[bytes]
    aborts_on_half_close: bool
    """Whether a FIN from the client now means that it is gone: set while an upstream works for it."""
    on_disconnect: Callable[[], None] | None
    """Called once when the connection is lost before the response was complete; cheaper than a Deferred."""
    resource: Any
    streamed: RequestBody | None = None
    exchange: Any
    """The pipeline's own state for this request."""
    id: str | None = None
    """By which the audit knows it; None for most requests, which have it in ``exchange``."""
    amend: Callable[[Headers], Headers] | None = None
    """What the fields of the answer pass at last; None for most requests."""
    early: tuple[int, Headers, bytes, bytes] | None = None
    """The answer that waits for the rest of the body."""
    _announce = False
    _head: bytes | None
    _waiting: tuple[Deferred[None], ...]
    """Those who wait for the end."""
    _declared: int | None

    def __init__(self, channel: Channel, method: bytes, facts: Facts, headers: Headers, version: bytes) -> None:
        # The stock __init__ builds a dozen objects that a relayed request never touches; see ``lazy`` below.
        self.channel = channel
        self.site = channel.site
        self.method = method
        self.facts = facts
        self.raw_headers = headers
        self.clientproto = version
        self.uri = facts.target
        self.path, _, self.query = facts.target.partition(b"?")
        self._pieces: list[bytes] = []
        self.body_bytes = 0
        self.body_complete = False
        self.fresh: list[bytes] = []
        self.dispatched = self.head_pending = self.processing = self._no_body = self.aborts_on_half_close = False
        self._keep_alive = facts.keep_alive
        self.code = OK
        self.startedWriting = self.sentLength = self.chunked = self.finished = 0
        self._head = self._declared = self.resource = self.exchange = self.on_disconnect = self.producer = None
        self._waiting = ()

    # What twisted.web offers, made when asked for.

    @lazy
    def requestHeaders(self) -> TwistedHeaders:
        """All received header fields."""
        headers = TwistedHeaders()
        for name, value in self.raw_headers:
            headers.addRawHeader(name, value)
        return headers

    @lazy
    def responseHeaders(self) -> TwistedHeaders:
        """Header fields to be sent by ``write`` and ``finish``."""
        return TwistedHeaders({b"Date": [self.site.date()]})

    @lazy
    def args(self) -> dict[bytes, list[bytes]]:
        """Arguments of the query and of a form."""
        args = http.parse_qs(self.query, True) if self.query else {}
        if self.method == b"POST" and (self.header(b"content-type") or b"").lower().startswith(_FORM):
            for name, values in http.parse_qs(self.body(), True).items():
                args.setdefault(name, []).extend(values)
        return args

    @lazy
    def content(self) -> BytesIO:
        """The buffered body as a file."""
        return BytesIO(self.body())

    @lazy
    def received_cookies(self) -> dict[bytes, bytes]:
        """Cookies the client sent."""
        cookies: dict[bytes, bytes] = {}
        self.__dict__["received_cookies"] = cookies
        self.parseCookies()
        return cookies

    @lazy
    def cookies(self) -> list[bytes]:
        """Cookies to be set."""
        return []

    @lazy
    def _adapterCache(self) -> dict[str, Any]:
        """State of ``Componentized``."""
        return {}

    @lazy
    def client(self) -> Any:
        """The peer's address."""
        return self.channel.getPeer()

    @lazy
    def host(self) -> Any:
        """Our own address on this connection."""
        return self.channel.getHost()

    @lazy
    def transport(self) -> Any:
        """The connection's transport."""
        return self.channel.transport

    queued = False

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the field called ``name`` (lowercase) as it came."""
        for key, value in self.raw_headers:
            if key == name:
                return value
        return None

    # The body.

    def stream_body(self) -> RequestBody:
        """Ask for the body piece by piece instead of whole; only from ``head_received``."""
        self.streamed = RequestBody(self.channel, self.facts.content_length if not self.facts.chunked else None)
        return self.streamed

    def body(self) -> bytes:
        """Return the whole buffered body."""
        pieces = self._pieces
        if len(pieces) > 1:
            self._pieces = pieces = [b"".join(pieces)]
        return pieces[0] if pieces else b""

    def take(self, data: bytes) -> None:
        """Take the next piece of the body from the channel."""
        self.body_bytes += len(data)
        if self.streamed is not None:
            self.streamed.feed(data)
        else:
            self._pieces.append(data)

    def discard_body(self) -> None:
        """Forget the buffered body."""
        self._pieces = []
        self.channel.release_buffer()

    # Answering the short way.

    def begin(self, status: int, reason: bytes, headers: Headers) -> None:
        """Commit to a status and header fields; they leave with the first ``send``.

        Args:
            headers: Lowercase names, no hop-by-hop ones. With a ``content-length`` the body is framed by it,
                otherwise by chunks (by the end of the connection for HTTP/1.0). Without a ``date`` one is added
                (RFC 9110, 6.6.1).
        """
        self.code = status
        self.startedWriting = 1
        if self.amend is not None:
            headers = self.amend(headers)
        bodiless = status in (204, 304) or status < 200
        self._no_body = bodiless or self.method == b"HEAD"
        fields: Headers = []
        declared: int | None = None
        dated = False
        for field in headers:
            name, value = field
            if name in _OURS:
                if name == b"date":
                    dated = True
                elif name == b"upgrade":
                    fields.append((b"connection", b"upgrade"))  # one goes with the other (RFC 9110, 7.8)
                elif name == b"content-length" and declared is None and status != 204 and _is_length(value):
                    declared = int(value)
                else:
                    continue
            fields.append(field)
        self._declared = declared
        self.chunked = 0
        if declared is None and not bodiless:
            if self.clientproto == b"HTTP/1.0":
                self._keep_alive = False
            else:
                fields.append(_CHUNKED)
                self.chunked = 0 if self._no_body else 1
        if not dated:
            fields.append((b"date", self.site.date()))
        if not self._keep_alive or self.clientproto == b"HTTP/1.0":
            fields += self.connection_field(streaming=declared is None)
        self._head = head_bytes(b"HTTP/1.1 %d %b" % (status, reason or reason_of(status)), fields)

    def connection_field(self, streaming: bool) -> Headers:
        """Return what is to be said about the connection."""
        if self._keep_alive:
            return [(b"connection", b"keep-alive")] if self.clientproto == b"HTTP/1.0" else []
        # A close is announced on a stream only if the client asked for one, or if it has to know: some clients
        # then take a truncated body for a complete one.
        return [] if streaming and not self._announce and self.facts.keep_alive else [(b"connection", b"close")]

    def send(self, data: bytes, last: bool = False) -> None:
        """Send the next bytes of the body, with the head before and the terminator behind them, in one write.

        Does nothing when the client is gone.
        """
        if self._disconnected or self.finished:
            return
        self.sentLength += len(data)
        declared = self._declared
        if (
            declared is not None
            and self.sentLength != declared
            and (last or self.sentLength > declared)
            and not self._no_body
        ):
            self._cut_to(declared, data)
            return
        head, self._head = self._head, None
        out = data
        if self._no_body:
            out = b""
        elif self.chunked:
            if data:
                out = b"%x\r\n%b\r\n" % (len(data), data)
            if last:
                out += b"0\r\n\r\n"
        if head is not None:
            out = head + out
        if out:
            if head is None and not last:
                self.channel.write_now(out)
            else:
                self.channel.write(out)
        if last:
            self._end()

    def _cut_to(self, declared: int, data: bytes) -> None:
        """Send no more than was declared, then close: the client could not tell where the next answer begins."""
        left = declared - (self.sentLength - len(data))
        self._declared = None
        self.break_off(data[:left])

    def respond(self, status: int, headers: Headers, body: bytes, reason: bytes = b"") -> None:
        """Send a whole response in one write and finish.

        Before the body is in this ends the connection, and that of a client behind a reverse proxy too: nginx, for
        one, promises to keep it and then does not. So it waits for the rest of a small body that is on its way.
        """
        if self._disconnected or self.finished:
            return
        if not self.body_complete:
            if self._is_worth_waiting():
                self.early = status, headers, body, reason
                self.processing = True
                self.discard_body()
                self.channel.await_rest()
                return
            self._keep_alive = False
        self.begin(status, reason, [(b"content-length", b"%d" % len(body)), *headers])
        head, self._head = self._head, None
        assert head is not None
        self.sentLength = len(body)
        self.channel.write(head if self._no_body else head + body)
        self._end()

    def _is_worth_waiting(self) -> bool:
        facts = self.facts
        length = facts.content_length
        known = length is not None and length <= MAX_REST_BYTES and not facts.chunked
        return known and self._keep_alive and self.streamed is None and not facts.expects_continue

    def answer_early(self) -> None:
        """Send the answer that waited; the body is in by now, or is not waited for any longer."""
        early, self.early = self.early, None
        assert early is not None
        self._keep_alive = self._keep_alive and self.body_complete
        self.respond(*early)

    def close_after(self, announce: bool = False) -> None:
        """Let this response be the connection's last one; ``announce`` has a stream say so too."""
        self._keep_alive = False
        self._announce = announce

    def break_off(self, data: bytes = b"") -> None:
        """End a begun response visibly incomplete: send ``data``, then close without the terminator."""
        if self._disconnected or self.finished:
            return
        if data or self._head is not None:
            self.send(data)
        self._keep_alive = False
        self.finished = 1
        self.channel.cut()
        self._over()

    def switch(
        self, headers: Headers, receive: Callable[[bytes], None], ended: Callable[[], None], status: int = 101
    ) -> None:
        """Hand the connection over: ``receive`` gets raw bytes, ``ended`` the client's FIN or loss.

        Args:
            status: 101, or 200 for a CONNECT.
        """
        self.startedWriting = 1
        self.code = status
        fields = [*headers, (b"connection", b"Upgrade")] if status == 101 else headers
        self.channel.write(head_bytes(b"HTTP/1.1 %d %b" % (status, reason_of(status)), fields))
        self.channel.switch(receive, ended)

    # Where twisted.web calls in.

    def notifyFinish(self) -> Deferred[None]:
        """Return what fires when the response is complete, and fails when the connection is lost before."""
        told: Deferred[None] = Deferred()
        self._waiting = (*self._waiting, told)
        return told

    @property
    def ends_with_input(self) -> bool:
        """Whether a FIN now means that the client is gone: an upstream works for it, or it stands in a line."""
        return self.aborts_on_half_close or getattr(self.exchange, "stands_in_line", False)

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection."""
        return self._keep_alive

    @property
    def close_is_known(self) -> bool:
        """Whether the client could tell from the answer, or from what it asked, that the connection ends with it."""
        return self._announce or not (self.chunked and self.facts.keep_alive)

    def process(self) -> None:
        """Render the resource found when the head arrived."""
        try:
            self.render(self.resource)
        except Exception:  # noqa: BLE001 - the resource edge: whatever a resource raises becomes a clean answer
            self.processingFailed(Failure())

    def render(self, resrc: Any) -> None:
        """Write what ``resrc`` renders; what is not there, or lacks the method, is refused like all else."""
        if isinstance(resrc, NoResource):
            raise NotFound("There is nothing at this path.")
        try:
            body = resrc.render(self)
        except UnsupportedMethod as error:
            allow = b", ".join(error.allowedMethods)
            raise MethodNotAllowed("The path exists, the method does not.", headers=[(b"allow", allow)]) from error
        if body is NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            raise TypeError(f"{resrc!r} rendered a {type(body).__name__}")
        if not self.responseHeaders.hasHeader(b"content-length"):
            self.setHeader(b"content-length", b"%d" % len(body))
        self.write(b"" if self.method == b"HEAD" else body)
        self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer what a resource raised: its own refusal, or a 500 that tells nothing."""
        error = reason.value
        if not isinstance(error, ExchangeError):
            self._log.failure("a resource failed", failure=reason)
            error = InternalError("The request could not be processed.")
        self.refuse(error)
        return reason

    def refuse(self, error: ExchangeError) -> None:
        """Answer with ``error`` in the shape the resource, or else the site, gives it; cut an answer that has begun."""
        if self.startedWriting and self._head is None:
            self.break_off()
            return
        refuses: Any = self.resource if IRefuses.providedBy(self.resource) else self.site
        status, headers, body = refuses.refusal(self, error)
        self.site.refused(self, error)
        self.respond(status, headers, body)

    def finish(self) -> None:
        """End a response written by ``write``."""
        if self._head is not None:
            self.send(b"", last=True)
            return
        super().finish()

    def _cleanup(self) -> None:
        self._over()

    def _end(self) -> None:
        self.finished = 1
        self._over()

    def _over(self) -> None:
        if self.producer:
            self.unregisterProducer()
        self.on_disconnect = None
        self._pieces = []
        channel = self.channel
        waiting, self._waiting = self._waiting, ()
        channel.requestDone(self)
        for one in waiting:
            one.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """The connection went before the response was complete."""
        self._disconnected = True
        if self.streamed is not None and not self.body_complete:
            self.streamed.fail(reason)
        callback, self.on_disconnect = self.on_disconnect, None
        if callback is not None:
            callback()
        waiting, self._waiting = self._waiting, ()
        for one in waiting:
            one.errback(reason)
        self._pieces = []
        self.producer = None


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= 18
