"""The scripted upstream of streams: paced Server-Sent Events over raw sockets (``python -m benchmarks.paced``).

One epoll loop and one heap of due events, so that its own cost stays out of the figures.

This module must not speak more HTTP than its clients need: POST with Content-Length, keep-alive, no pipelining.
"""

from __future__ import annotations

import heapq
import select
import socket
import sys
import time
from collections.abc import Iterator

from benchmarks import wire

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
_HEALTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection:
    """One client: its unread request, its unsent bytes, and the stream it was promised."""

    __slots__ = ("asked", "backlog", "due_ns", "form", "number", "received", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.backlog = b""
        self.asked = wire.Asked(0, 0, 0, False)
        self.form = wire.form(b"/")
        self.number = self.due_ns = 0


class PacedUpstream:
    """Accepts connections on a listening socket and answers each request with the stream it asks for."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[int, int, Connection]] = []
        self._entries = 0
        self._running = True

    def run(self) -> None:
        """Serve until told to stop."""
        while self._running:
            wait_s = max(0.0, (self._due[0][0] - time.monotonic_ns()) / 1e9) if self._due else 1.0
            for descriptor, mask in self._epoll.poll(wait_s):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif connection := self._connections.get(descriptor):
                    self._ready(connection, mask)
            self._send_due()

    def stop(self) -> None:
        """Return from ``run`` within a second; may be called from another thread."""
        self._running = False

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _ready(self, connection: Connection, mask: int) -> None:
        if mask & select.EPOLLOUT:
            backlog, connection.backlog = connection.backlog, b""
            self._write(connection, backlog)
            if connection.sock.fileno() >= 0 and not connection.backlog:
                self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        if mask & ~select.EPOLLOUT and connection.sock.fileno() >= 0:
            self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.received += data
        head, blank, body = connection.received.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(head):
            return
        connection.received = b""
        if head.startswith(b"GET "):
            self._write(connection, _HEALTH)
        else:
            self._promise(connection, head.split(b" ")[1], body)

    def _promise(self, connection: Connection, path: bytes, body: bytes) -> None:
        connection.form = wire.form(path)
        try:
            connection.asked = wire.asked(body)
        except ValueError:
            self._write(connection, _REFUSAL)
            self._close(connection)
            return
        connection.number = 0
        connection.due_ns = time.monotonic_ns()
        self._write(connection, _HEAD + _chunk(connection.form.first))
        self._schedule(connection)

    def _schedule(self, connection: Connection) -> None:
        self._entries += 1
        heapq.heappush(self._due, (connection.due_ns, self._entries, connection))

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic_ns():
            connection = heapq.heappop(self._due)[2]
            if connection.sock.fileno() < 0:
                continue
            self._write(connection, b"".join(map(_chunk, self._next(connection))))
            if connection.number < connection.asked.events:
                pace_ns = connection.asked.pace_ms * 1_000_000
                connection.due_ns += pace_ns - connection.due_ns % pace_ns * connection.asked.in_step
                self._schedule(connection)
            else:
                self._write(connection, _chunk(connection.form.last) + _END)

    def _next(self, connection: Connection) -> Iterator[bytes]:
        asked = connection.asked
        now_ns = time.monotonic_ns()
        first = connection.number
        connection.number = min(asked.events, first + (asked.at_once if first else 1))
        for number in range(first, connection.number):
            yield wire.event(asked.stream, number, now_ns, connection.form)

    def _write(self, connection: Connection, data: bytes) -> None:
        if connection.backlog:
            connection.backlog += data
            return
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if sent < len(data):
            connection.backlog = data[sent:]
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _close(self, connection: Connection) -> None:
        if connection.sock.fileno() >= 0:
            del self._connections[connection.sock.fileno()]
            connection.sock.close()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> None:
    """Serve on the port of 127.0.0.1 given on the command line."""
    PacedUpstream(socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)).run()


if __name__ == "__main__":
    main()
