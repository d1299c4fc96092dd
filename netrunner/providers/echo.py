"""The provider ``echo``: answers in this process, without a key, what it was told to answer.

It says the last user message back, word by word, and draws a mosaic where an image is asked for. To be told more, it
reads orders from the header ``x-echo`` or from the beginning of that message, ``/echo ORDERS TEXT``; see
``netrunner.providers.orders`` for what they are::

    curl 127.0.0.1:8080/v1/chat/completions -d '{"model": "echo", "stream": true,
        "messages": [{"role": "user", "content": "/echo events=20 delay=0.05 think Hello you"}]}'

It keeps every rule of a good provider: the receiver is not called before ``send`` has returned, a paused call
stays silent, an aborted one for ever.

This module must not open sockets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from http import HTTPStatus

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from netrunner.dialects.openai.api import rejected
from netrunner.errors import BadRequest, UpstreamError, UpstreamRejected
from netrunner.interfaces import IClock, IEnvironment, IProvider, IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.offers import ProviderFactory
from netrunner.providers.script import Ending, Reply, reply_to
from netrunner.settings import setting
from netrunner.values import Call, Headers, Origin, ResponseHead, UpstreamRequest

_ORIGIN = Origin("http", "echo", 80)
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EchoSettings:
    """Settings of the provider ``echo``."""

    delay_s: float = setting(0.0, doc="Seconds between two events of an answer.", minimum=0.0, maximum=3600.0)
    models: tuple[str, ...] = setting(("echo",), doc="Names that its list of models holds; it answers to any.")


@implementer(IProvider, IUpstream)
class EchoProvider:
    """Chat completions, completions, embeddings, images and models, made up here."""

    dialect = "openai"

    def __init__(self, settings: EchoSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._clock: IClock = environment.clock
        self._random = environment.random

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request that ``send`` reads.

        Raises:
            BadRequest: for a body that is not in memory, which is none of its endpoints' kind.
        """
        if not isinstance(call.body, bytes) or call.upgrade is not None:
            raise BadRequest("echo answers plain requests only.", code="unsupported_request")
        return UpstreamRequest(_ORIGIN, call.method, b"/v1/" + call.endpoint.encode(), call.headers, call.body)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return True: there is no key to protect."""
        return True

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return rejected(status, headers, body)

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> EchoCall:
        """Answer ``request``, beginning after this method has returned."""
        orders = next((value for name, value in request.headers if name == b"x-echo"), b"")
        reply = reply_to(
            request.method,
            request.target.decode("ascii", "replace").removeprefix("/v1/"),
            orders.decode("latin-1"),
            request.body,
            models=self.settings.models,
            delay_s=self.settings.delay_s,
            created=int(self._clock.wall()),
            token=f"{self._random.getrandbits(96):024x}",
        )
        return EchoCall(self._clock, reply, receiver)


@implementer(IUpstreamCall)
class EchoCall:
    """One answer on its way: a piece of its body per turn of the reactor, or per delay."""

    __slots__ = ("_clock", "_next", "_over", "_paused", "_pieces", "_receiver", "_reply", "_waiting")

    def __init__(self, clock: IClock, reply: Reply, receiver: IResponseReceiver) -> None:
        self._clock = clock
        self._reply = reply
        self._receiver = receiver
        self._pieces: Iterator[bytes | Ending] = iter(reply.pieces)
        self._next: bytes | Ending | None = None
        """The piece to be sent next: sending it tells whether it is the last."""
        self._paused = False
        self._over = False
        self._waiting: IDelayedCall | None = clock.callLater(0, self._begin)

    def pause(self) -> None:
        """Say nothing until ``resume``."""
        self._paused = True

    def resume(self) -> None:
        """Go on in the next turn if there was something to say meanwhile."""
        self._paused = False
        self._go_on_after(0)

    def abort(self) -> None:
        """Say nothing any more."""
        self._over = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def write(self, data: bytes) -> None:
        """Ignore ``data``: echo never switches protocols."""

    def end(self) -> None:
        """Do nothing, as there is nothing to end."""

    def register_producer(self, producer: object) -> None:
        """Do nothing: echo takes no bytes."""

    def _begin(self) -> None:
        self._waiting = None
        self._receiver.sent(False)
        if self._over:
            return
        self._waiting = self._clock.callLater(self._reply.wait_s, self._head)

    def _head(self) -> None:
        self._waiting = None
        content_type = _EVENTS if self._reply.streaming else _JSON
        self._next = next(self._pieces, None)
        self._receiver.head_received(
            ResponseHead(self._reply.status, _reason(self._reply.status), [content_type, *self._reply.headers])
        )
        self._go_on()

    def _go_on(self) -> None:
        """Send one piece, unless paused: ``resume`` comes back here."""
        self._waiting = None
        if self._paused or self._over:
            return
        piece, self._next = self._next, next(self._pieces, None)
        self._over = self._next is None or isinstance(piece, Ending)
        if piece is Ending.CUT:
            self._receiver.failed(UpstreamError("echo broke off, as it was told to.", code="upstream_truncated"))
        elif isinstance(piece, bytes):
            self._receiver.body_received(piece, self._over)
        self._go_on_after(self._reply.delay_s)

    def _go_on_after(self, delay_s: float) -> None:
        """Arrange for the next piece; the receiver may just have paused, resumed or aborted."""
        if not (self._over or self._paused or self._waiting):
            self._waiting = self._clock.callLater(delay_s, self._go_on)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"


plugin = ProviderFactory(
    name="echo",
    build=EchoProvider,
    settings=EchoSettings,
    doc="Says back what it was told, without a key or a network.",
)
