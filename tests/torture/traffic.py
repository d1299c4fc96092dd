"""Mixed traffic with faults: one round of everything that clients and providers do, well or badly.

Each round checks what it got; a round that was answered otherwise than it should raises.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from tests.support.dialogue import END_OF_BODY, PATIENCE_S, STREAM_HEAD, Peer, Provider, chat, event, whole

UPGRADE = (
    b"GET /v1/realtime?model=%b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Traffic:
    """What one thread does to a daemon, again and again.

    Args:
        port: The daemon's.
        provider: Serves ``model``; only this thread asks for it.
        model: Its name.
        number: Of the thread; each has an address of its own, so that the ports of this machine last.
    """

    def __init__(self, port: int, provider: Provider, model: str, number: int) -> None:
        self._port = port
        self._provider = provider
        self._model = model
        self._number = number
        self._client = 0
        self.requests = 0

    def round(self) -> None:
        """Do everything once."""
        for one in ROUND:
            one(self)

    def dial(self) -> Peer:
        self._client += 1
        source = f"127.0.{self._number + 1}.{self._client % 200 + 1}"
        return Peer(socket.create_connection(("127.0.0.1", self._port), PATIENCE_S, (source, 0)))

    def chat(self, stream: bool = True, text: str = "hi", model: str = "") -> bytes:
        self.requests += 1
        messages = [{"role": "user", "content": text}]
        return chat(model=model or self._model, stream=stream, messages=messages)

    def asked(self, client: Peer, **more: Any) -> Peer:
        """Send a chat; return the provider's end of it."""
        client.send(self.chat(**more))
        upstream = self._provider.accept()
        upstream.message()
        return upstream

    def begun(self, client: Peer) -> Peer:
        """Begin a stream; return the provider's end of it, the first event having arrived."""
        upstream = self.asked(client)
        upstream.send(STREAM_HEAD + event("one"))
        client.until(b"one")
        return upstream

    def keep_alive(self) -> None:
        """Many requests on one connection, to a provider in the process."""
        with self.dial() as client:
            for number in range(10):
                client.send(self.chat(False, f"hello {number}", "echo"))
                answer = client.until(END_OF_BODY)
                assert b" 200 " in answer, answer
                assert b"hello" in answer, answer
            client.send(self.chat(True, "/echo events=50 hello", "echo"))
            assert b"[DONE]" in client.until(END_OF_BODY)

    def warm(self) -> None:
        """A connection to the provider that is used again, and closed by it while it is idle."""
        with self.dial() as client:
            upstream = self.asked(client, stream=False)
            with upstream:
                for _ in range(5):
                    upstream.send(whole())
                    assert b" 200 " in client.message()[0]
                    client.send(self.chat(False))
                    upstream.message()
                upstream.send(whole())
                client.message()

    def whole_stream(self) -> None:
        with self.dial() as client, self.begun(client) as upstream:
            for _ in range(20):
                upstream.send(event("more"))
            upstream.send(event("[DONE]") + END_OF_BODY)
            assert client.until(END_OF_BODY).count(b"more") == 20

    def client_closes(self) -> None:
        with self.dial() as client:
            upstream = self.begun(client)
        with upstream:
            assert upstream.gone()

    def client_resets(self) -> None:
        client = self.dial()
        with self.begun(client) as upstream:
            client.reset()
            assert upstream.gone()

    def upstream_cuts(self) -> None:
        with self.dial() as client, self.begun(client) as upstream:
            upstream.send(b"40\r\ndata: half")
            upstream.__exit__()
            assert not client.rest().endswith(END_OF_BODY)

    def upstream_resets(self) -> None:
        with self.dial() as client:
            self.begun(client).reset()
            assert b"upstream_truncated" in client.rest()

    def upstream_leaves_before_its_answer(self) -> None:
        with self.dial() as client:
            self.asked(client).__exit__()
            assert b" 502 " in client.message()[0]

    def upstream_speaks_nonsense(self) -> None:
        with self.dial() as client, self.asked(client) as upstream:
            upstream.send(b"SSH-2.0-x\r\n")
            assert b" 502 " in client.message()[0]
            assert upstream.gone()

    def slow_reader(self) -> None:
        """More than the buffers hold, read late, while the provider is held back."""
        owed = event("x" * 60_000) * 15 + event("[DONE]") + END_OF_BODY
        with self.dial() as client, self.asked(client) as upstream:
            upstream.send(STREAM_HEAD)
            upstream._sock.setblocking(False)
            while owed:
                try:
                    owed = owed[upstream._sock.send(owed) :]
                except BlockingIOError:
                    # Everything between them is full: there is this much to read.
                    client.exactly(10_000)
            client.until(END_OF_BODY)

    def web_socket(self) -> None:
        self.requests += 1
        with self.dial() as client:
            client.send(UPGRADE % self._model.encode())
            with self._provider.accept() as upstream:
                upstream.until(b"\r\n\r\n")
                upstream.send(SWITCHED)
                client.until(b"\r\n\r\n")
                client.send(b"\x81\x82\0\0\0\0hi")
                assert upstream.exactly(8).endswith(b"hi")
                upstream.send(b"\x81\x02ho")
                assert client.exactly(4).endswith(b"ho")
            assert client.rest() == b""

    def errors(self) -> None:
        """What is refused here, and what the provider refuses."""
        for order, status in (("error=429 retry_after=1", 429), ("error=500", 500), ("wait=0 cut=2", 200)):
            with self.dial() as client:
                client.send(self.chat(True, f"/echo {order} x", "echo"))
                head = client.until(b"\r\n\r\n")
                assert int(head.split()[1]) == status, (order, head)
        for request, status in REFUSED.items():
            self.requests += 1
            with self.dial() as client:
                client.send(request)
                head = client.until(b"\r\n\r\n")
                assert int(head.split()[1]) == status, (request[:80], head)

    def churn(self) -> None:
        """Connections that ask little or nothing."""
        for _ in range(5):
            with self.dial() as client:
                client.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.message()
                self.requests += 1
            with self.dial() as client:
                client.send(b"POST /v1/chat/completions HTT")


def _post(body: bytes, *fields: bytes) -> bytes:
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*lines, b"", b""]) + body


REFUSED = {
    b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET /live HTTP/1.1\r\n\r\n": 400,
    b"GET /live HTTP/1.1\r\nHost: evil.example\r\n\r\n": 421,
    b"nonsense\r\n\r\n": 400,
    _post(b"{"): 400,
    _post(b"", b"Expect: 100-continue", b"Transfer-Encoding: chunked"): 400,
    _post(json.dumps({"model": "nobody", "messages": []}).encode()): 404,
}

ROUND: tuple[Callable[[Traffic], None], ...] = (
    Traffic.keep_alive,
    Traffic.warm,
    Traffic.whole_stream,
    Traffic.client_closes,
    Traffic.client_resets,
    Traffic.upstream_cuts,
    Traffic.upstream_resets,
    Traffic.upstream_leaves_before_its_answer,
    Traffic.upstream_speaks_nonsense,
    Traffic.slow_reader,
    Traffic.web_socket,
    Traffic.errors,
    Traffic.churn,
)
