"""Both ends of a proxied conversation in one thread: the test speaks as the client and as the provider, in turn."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
from typing import Any, Self

PATIENCE_S = 60.0
"""Seconds before the other side's silence is a failure."""

END_OF_BODY = b"0\r\n\r\n"
"""What ends a chunked body (RFC 9112, 7.1)."""


class Peer:
    """One blocking connection; a context manager that closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._read = b""
        sock.settimeout(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    def flood(self, data: bytes) -> None:
        """Send it again and again until nobody has taken more for a second."""
        self._sock.settimeout(1.0)
        with contextlib.suppress(TimeoutError):
            while True:
                self.send(data)
        self._sock.settimeout(PATIENCE_S)

    def until(self, marker: bytes) -> bytes:
        """Return what comes up to the end of ``marker``; raise ``AssertionError`` if the connection ends before."""
        while marker not in self._read:
            data = self._sock.recv(65536)
            assert data, f"ended before {marker!r}: {self._read!r}"
            self._read += data
        position = self._read.index(marker) + len(marker)
        taken, self._read = self._read[:position], self._read[position:]
        return taken

    def exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        while len(self._read) < size:
            data = self._sock.recv(65536)
            assert data, f"ended after {self._read!r}"
            self._read += data
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def rest(self) -> bytes:
        """Return everything until the other side closes; a reset is raised."""
        while data := self._sock.recv(65536):
            self._read += data
        taken, self._read = self._read, b""
        return taken

    def gone(self) -> bool:
        """Wait for the other side to close or reset; return False if it sends something instead."""
        try:
            return not self._sock.recv(1)
        except ConnectionResetError:
            return True

    def message(self) -> tuple[bytes, bytes]:
        """Return the next head and its body, of a message with Content-Length or without a body."""
        head = self.until(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        return head, self.exactly(int(length[1]) if length else 0)

    def reset(self) -> None:
        """Break the connection with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def dial(port: int) -> Peer:
    """Connect to a port of this machine."""
    return Peer(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S))


class Provider:
    """An OpenAI-compatible upstream that says only what the test has it say; a context manager."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.settimeout(PATIENCE_S)
        self.port: int = self._sock.getsockname()[1]
        self.config = (
            f"providers: {{up: {{type: openai, base_url: 'http://127.0.0.1:{self.port}/v1', repair: false}}}}\n"
            "models: [{name: m, targets: [{provider: up, model: m}]}]\n"
        )
        """A configuration that serves the model ``m`` from here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def accept(self) -> Peer:
        """Return the next connection, which comes when a request does."""
        return Peer(self._sock.accept()[0])

    def untouched(self) -> bool:
        """Return whether nobody has connected that was not accepted."""
        self._sock.setblocking(False)
        try:
            self._sock.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self._sock.settimeout(PATIENCE_S)
        return False


def chat(*fields: str, stream: bool = True, **more: Any) -> bytes:
    """Return a chat request for the model ``m``, with further header ``fields`` and members of the body."""
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **more}
    ).encode()
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str) -> bytes:
    """Return one chunk with one event of a chat stream; ``[DONE]`` is the last one's text."""
    delta = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
    data = b"data: " + (text.encode() if text == "[DONE]" else json.dumps(delta).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


ANSWER = (
    b'{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
)


def whole(body: bytes = ANSWER) -> bytes:
    """Return an answer with a length."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
