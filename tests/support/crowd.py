"""Many conversations at once, in one thread: clients that each ask one thing, and a provider that never stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.daemon import ROOT, Daemon, listening_socket
from tests.support.dialogue import STREAM_HEAD, chat, event

PATIENCE_S = 60.0
"""Seconds before a crowd's silence is a failure."""

_PACED = (
    "import socket, sys; from benchmarks.paced import PacedUpstream;"
    "PacedUpstream(socket.socket(fileno=int(sys.argv[1]))).run()"
)


@dataclass(eq=False)
class Visitor:
    """One client, with what it has heard so far."""

    sock: socket.socket
    request: bytes
    heard: bytearray = field(default_factory=bytearray)
    over: bool = False
    """Whether the other side has ended the connection."""
    asked_at: float = 0.0
    took_s: float = 0.0
    """From the request to the last bytes heard."""

    @property
    def status(self) -> int:
        """The status of its answer; 0 while there is none."""
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", self.heard)
        return int(found[1]) if found else 0


class Crowd:
    """Clients of one port of this machine; a context manager that closes them all."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._visitors: dict[int, Visitor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for visitor in self._visitors.values():
            visitor.sock.close()
        self._epoll.close()

    def ask(self, requests: Iterable[bytes]) -> list[Visitor]:
        """Connect a client for each of ``requests``, all at once; each speaks as soon as it is let in."""
        asked = []
        for request in requests:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self._port))
            visitor = Visitor(sock, request)
            self._visitors[sock.fileno()] = visitor
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
            asked.append(visitor)
        return asked

    def ask_one(self, request: bytes) -> Visitor:
        """Connect a client and listen until the first event or an error has come."""
        (visitor,) = asked = self.ask([request])
        self.wait(asked, b"}")
        return visitor

    def wait(self, asked: Iterable[Visitor], heard: bytes) -> None:
        """Listen until each of ``asked`` has heard ``heard`` or its connection is over."""
        missing = set(asked)
        missing -= {one for one in missing if one.over or heard in one.heard}
        limit = time.monotonic() + PATIENCE_S
        while missing:
            assert time.monotonic() < limit, f"{len(missing)} heard {[bytes(one.heard) for one in missing][:3]}"
            for descriptor, mask in self._epoll.poll(1.0):
                visitor = self._visitors[descriptor]
                self._turn(visitor, mask)
                if visitor.over or heard in visitor.heard:
                    missing.discard(visitor)

    def listen(self, timeout_s: float = 0.0) -> None:
        """Hear whatever has arrived already, or does so first within ``timeout_s``."""
        for descriptor, mask in self._epoll.poll(timeout_s):
            self._turn(self._visitors[descriptor], mask)

    def _turn(self, visitor: Visitor, mask: int) -> None:
        try:
            if mask & select.EPOLLOUT:
                visitor.asked_at = time.monotonic()
                visitor.sock.send(visitor.request)
                self._epoll.modify(visitor.sock.fileno(), select.EPOLLIN)
                return
            data = visitor.sock.recv(65536)
        except OSError:
            data = b""
        visitor.heard += data
        visitor.took_s = time.monotonic() - visitor.asked_at
        if not data:
            visitor.over = True
            del self._visitors[visitor.sock.fileno()]
            visitor.sock.close()


class Paced:
    """The paced provider of the benchmarks, as a process with descriptors of its own; a context manager."""

    def __enter__(self) -> Self:
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PACED, str(sock.fileno())], cwd=ROOT, pass_fds=[sock.fileno()]
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class Unread:
    """Clients that ask and never read, and their provider, which writes whenever it can; a context manager.

    What a kernel keeps for a socket is kept small, so that a thousand of them do not fill the machine.
    """

    _DATA = event("x" * 8000)

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._upstreams: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._asked_at: dict[int, float] = {}
        self.written = 0
        """Bytes that the kernel has taken from the provider."""
        self.aborted_after_s: list[float] = []
        """For each connection of the provider that has ended, how long it had been answered to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._clients, *self._upstreams.values()):
            sock.close()
        self._epoll.close()

    def ask(self, port: int, count: int, model: str) -> None:
        """Connect ``count`` clients to the daemon at ``port``."""
        request = chat().replace(b'"model": "m"', b'"model": "%b"' % model.encode())
        request = re.sub(
            rb"Content-Length: \d+", b"Content-Length: %d" % len(request.partition(b"\r\n\r\n")[2]), request
        )
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.connect(("127.0.0.1", port))
            client.send(request)
            self._clients.append(client)

    def turn(self, wait_s: float) -> bool:
        """Write where somebody takes it, for one turn; return whether anything happened within ``wait_s``."""
        happened = self._epoll.poll(wait_s)
        for descriptor, mask in happened:
            if descriptor == self._listener.fileno():
                self._accept()
            elif mask & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                self._ended(descriptor)
            else:
                self._write(descriptor)
        return bool(happened)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                # A request has one segment; it lies there unread.
                self.written += sock.send(STREAM_HEAD)
                self._upstreams[sock.fileno()] = sock
                self._asked_at[sock.fileno()] = time.monotonic()
                self._epoll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLRDHUP)

    def _write(self, descriptor: int) -> None:
        try:
            self.written += self._upstreams[descriptor].send(self._DATA)
        except BlockingIOError:
            pass
        except OSError:
            self._ended(descriptor)

    def _ended(self, descriptor: int) -> None:
        self.aborted_after_s.append(time.monotonic() - self._asked_at[descriptor])
        self._epoll.unregister(descriptor)
        self._upstreams.pop(descriptor).close()


class Figures:
    """What a long run has measured."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, object]] = []

    def add(self, what: str, value: object) -> None:
        """Note one figure."""
        self._rows.append((what, value))

    def __str__(self) -> str:
        return "".join(f"  {what:<40} {value}\n" for what, value in self._rows)


def resident_bytes(daemon: Daemon) -> int:
    """Return the memory that a daemon has now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def descriptors(daemon: Daemon) -> int:
    """Return how many files and sockets a daemon has open."""
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def connections(daemon: Daemon, port: int) -> int:
    """Return how many sockets a daemon has open towards ``port`` of this machine (proc(5))."""
    own = set()
    for link in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            own.add(os.readlink(link))
    rows = [line.split() for line in Path(f"/proc/{daemon.pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == f"0100007F:{port:04X}" and f"socket:[{row[9]}]" in own for row in rows)


def idle(daemon: Daemon) -> bool:
    """Return whether no exchange is open."""
    return daemon.control("inflight") == {"inflight": []}


def providers(more: Mapping[str, Mapping[str, str]] = {}, /, **ports: int) -> str:
    """Return a configuration in which the model of each name is served from a port of this machine, or by ``more``."""
    named: dict[str, dict[str, object]] = {
        name: {"type": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "repair": False}
        for name, port in ports.items()
    }
    named.update({name: dict(section) for name, section in more.items()})
    models = [{"name": name, "targets": [{"provider": name, "model": name}]} for name in named]
    return f"providers: {json.dumps(named)}\nmodels: {json.dumps(models)}\n"


def wait_until(happened: Callable[[], bool], turn: Callable[[], object]) -> None:
    """Take turns until something has happened."""
    limit = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < limit
        turn()
