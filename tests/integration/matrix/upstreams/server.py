"""An HTTP server in the test's own process that answers one dialect by a script and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

from tests.integration.matrix.terms import RETRY_AFTER_S, Asked, Part, Reply, ToolCall
from tests.support.daemon import PATIENCE_S

Document = dict[str, Any]


class Wrong(Exception):
    """What was asked is not what the dialect allows: a 400, as the real provider would answer."""


_JSON = "application/json"


class Answer:
    """Bytes to be sent: a body in chunks, or one with its length; ``dropped``, the connection closes within it."""

    def __init__(
        self,
        status: int,
        content_type: str,
        pieces: Iterable[bytes],
        *,
        stream: bool = False,
        dropped: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.pieces = pieces
        self.stream = stream
        self.dropped = dropped
        self.headers = headers or {}


class Upstream(ABC):
    """One scripted provider; a context manager. A dialect says what it reads and writes."""

    name: str
    path: str
    """Of the base URL."""
    sse = "text/event-stream"
    signs = False
    """Whether it signs what its model thought."""
    thinks_unasked = False
    """Whether its models think as they do when nothing is said about it, and are told no more than how much."""
    tells_when = True
    """Whether it says when to come back."""
    one_call = False
    """Whether its models make one call a turn at most."""
    retry_after: ClassVar[Mapping[str, str]] = {"retry-after": str(RETRY_AFTER_S)}
    """The header field by which the dialect tells when to come back."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.wrong: list[str] = []
        """What was not as the dialect allows."""
        self.heard = threading.Event()
        """Set when the client has a word of an answer: only then is there trouble in the middle of it."""
        self._reply = Reply()

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def config(self) -> str:
        """The settings of the provider, without braces."""
        return f"type: {self.name}, base_url: '{self.url}', api_key: {{env: MATRIX_KEY}}"

    def play(self, reply: Reply) -> None:
        """Answer with ``reply`` from now on; forget what was asked."""
        self._reply = reply
        self.asked = []
        self.wrong = []
        self.heard.clear()

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return what a request gets; called on a thread of its own."""
        try:
            asked = self.read(path, headers, json.loads(body))
        except Wrong as wrong:
            self.wrong.append(str(wrong))
            return self._refused(400, str(wrong))
        except (KeyError, TypeError, ValueError) as error:
            told = f"{type(error).__name__}: {error} in {body.decode(errors='replace')}"
            self.wrong.append(told)
            return self._refused(400, told)
        self.asked.append(asked)
        reply = self._reply
        if reply.trouble == "refuses":
            return self._refused(429, "Too many requests.", self.retry_after)
        if not asked.stream:
            whole = json.dumps(self.whole(reply)).encode()
            pieces = [whole[: len(whole) // 2]] if reply.trouble in ("drops", "ends") else [whole]
            return Answer(200, _JSON, pieces, dropped=reply.trouble in ("drops", "ends"))
        return Answer(200, self.sse, self._events(reply), stream=True, dropped=reply.trouble == "drops")

    def _events(self, reply: Reply) -> Iterator[bytes]:
        events = list(self.events(reply))
        half = len(events) // 2
        yield from events[:half]
        if reply.waits or reply.trouble is not None:
            self.heard.wait(PATIENCE_S)
        if reply.trouble is None:
            yield from events[half:]
        elif reply.trouble == "fails":
            yield from self.failure()

    def _refused(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
        return Answer(status, _JSON, [json.dumps(self.refusal(status, message)).encode()], headers=headers)

    @abstractmethod
    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for.

        Raises:
            Wrong: for what the dialect does not allow.
        """

    @abstractmethod
    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""

    @abstractmethod
    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""

    @abstractmethod
    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""

    @abstractmethod
    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is asked may hang up in the middle of an answer; everything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Answer one request."""
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.upstream.answer(self.path, headers, body)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.stream:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            # Of an answer that is dropped there should have been as much again.
            length = sum(map(len, answer.pieces)) * (2 if answer.dropped else 1)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        for piece in answer.pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.stream else piece)
            self.wfile.flush()
        if answer.dropped:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif answer.stream:
            self.wfile.write(b"0\r\n\r\n")

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


# --- what dialects share in reading ---------------------------------------------------------------------------


def known(document: Document, *names: str) -> Document:
    """Return a document that has no other fields than ``names``."""
    unknown = document.keys() - set(names)
    if unknown:
        raise Wrong(f"unknown fields: {', '.join(sorted(unknown))}")
    return document


def one_of(value: Any, *values: Any) -> Any:
    """Return a value that is one of ``values``."""
    if value not in values:
        raise Wrong(f"{value!r} is none of {values}")
    return value


def data_url(url: str) -> str:
    """Return the base64 of a data URL of a PNG."""
    head, comma, data = url.partition(",")
    if (head, comma) != ("data:image/png;base64", ","):
        raise Wrong(f"no data URL of a PNG: {head}")
    return data


def one_line(document: Any) -> bytes:
    """Return JSON without U+2028, which the SDKs of some dialects take for the end of a line; all else is as it is."""
    return json.dumps(document, ensure_ascii=False).replace("\u2028", r"\u2028").encode()


class Calls:
    """The calls of a conversation, and which of them wait for their results."""

    def __init__(self) -> None:
        self._waiting: list[ToolCall] = []

    def made(self, call: ToolCall) -> ToolCall:
        """Note a call."""
        if call.id and any(call.id == other.id for other in self._waiting):
            raise Wrong(f"two calls have the id {call.id}")
        if type(call.arguments) is not dict:
            raise Wrong(f"arguments are no object: {call.arguments!r}")
        self._waiting.append(call)
        return call

    def answered(self, *, id: str | None = None, name: str | None = None) -> ToolCall:
        """Return the call that a result belongs to: by its id, else the first of that name."""
        for call in self._waiting:
            if (call.id == id) if id else (call.name == name):
                if name is not None and call.name != name:
                    raise Wrong(f"the result of {call.name} says {name}")
                self._waiting.remove(call)
                return call
        raise Wrong(f"a result of no call: {id} {name}")

    def all_answered(self) -> None:
        """Raise ``Wrong`` if there are calls without a result."""
        if self._waiting:
            raise Wrong(f"calls without results: {self._waiting}")


def texts(*parts: Part) -> tuple[Part, ...]:
    """Return the parts that are not empty."""
    return tuple(one for one in parts if one.text or one.image or one.call or one.result_of or one.thought or one.seal)
