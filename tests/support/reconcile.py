"""Both ends of a proxy that may die at any moment, each with a list of its own of what it saw."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import threading
from typing import Any, Self

from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, event

REPLY = STREAM_HEAD + b"".join(event(f"word {number}") for number in range(20)) + event("[DONE]") + END_OF_BODY


def body_of(message: bytes) -> bytes:
    """Return the body of a message that comes in chunks, taken apart."""
    _, _, rest = message.partition(b"\r\n\r\n")
    body = b""
    while (size := int(rest.partition(b"\r\n")[0], 16)) > 0:
        rest = rest.partition(b"\r\n")[2]
        body += rest[:size]
        rest = rest[size + 2 :]
    return body


class CountingProvider:
    """Answers every chat with a stream, in pieces, and writes down the id of every request it got."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in self._connections:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            while (line := file.readline()) != b"":
                size = 0
                while line.strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"x-request-id":
                        self.seen.append(value.strip().decode())
                    elif name.lower() == b"content-length":
                        size = int(value)
                    line = file.readline()
                file.read(size)
                for at in range(0, len(REPLY), 200):
                    connection.sendall(REPLY[at : at + 200])


class Callers:
    """Clients in threads, each asking one thing after the other; an answer that came whole is acknowledged.

    Args:
        port: Of the daemon.
        prefix: Of the request ids.
        count: How many there are.
    """

    def __init__(self, port: int, prefix: str, count: int) -> None:
        self._port = port
        self._numbers = itertools.count()
        self._prefix = prefix
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._stopped = False
        self._enough = threading.Condition()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        """Wait until so many were acknowledged."""
        with self._enough:
            assert self._enough.wait_for(lambda: len(self.acknowledged) >= count, 60)

    def wait_for_refusals(self, count: int) -> None:
        """Wait until so many were refused."""
        with self._enough:
            assert self._enough.wait_for(lambda: len(self.refused) >= count, 60)

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            while not self._stopped:
                self._ask(connection, f"{self._prefix}-{next(self._numbers)}")

    def _ask(self, connection: http.client.HTTPConnection, id: str) -> None:
        messages = [{"role": "user", "content": f"This is {id}."}]
        body: dict[str, Any] = {"model": "m", "stream": True, "messages": messages}
        headers = {"Content-Type": "application/json", "X-Request-ID": id}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        whole = response.read().endswith(b"data: [DONE]\n\n")
        with self._enough:
            if response.status != 200:
                self.refused.append(response.status)
            elif whole:
                self.acknowledged.append(id)
            self._enough.notify_all()
