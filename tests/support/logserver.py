"""A logging server: in memory, as a site that the test talks to, or as the real process."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred

from netrunner.http.sweep import Sweep
from netrunner.logserver.folder import Folder
from netrunner.logserver.index import Index
from netrunner.logserver.live import Live
from netrunner.logserver.reading import Reading
from netrunner.logserver.retention import Keep, Retention
from netrunner.logserver.service import Settings, site_of
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from tests.support.client import Answer, Client, answers
from tests.support.daemon import PATIENCE_S, ROOT, TWISTD
from tests.support.forkserver import Forked, fork

ID = "01939999-aaaa-7bbb-8ccc-dddddddddddd"
OTHER = "01939999-bbbb-7bbb-8ccc-dddddddddddd"
REQUEST = (
    b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 2\r\n"
    b"X-Proxy-Path: http://llm.example/v1/chat/completions?x=1\r\n\r\nhi"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"


class Threads:
    """Runs what may block: at once, or when the test says so."""

    def __init__(self) -> None:
        self.held: list[Deferred[None]] | None = None

    def __call__(self, function: Any, *arguments: Any) -> Deferred[Any]:
        if self.held is None:
            return maybeDeferred(function, *arguments)
        gate: Deferred[None] = Deferred()
        self.held.append(gate)
        return gate.addCallback(lambda _: function(*arguments))

    def hold(self) -> None:
        """Let everything wait from now on."""
        self.held = []

    def release(self) -> None:
        """Run everything that waits, and whatever comes."""
        held, self.held = self.held or [], None
        for gate in held:
            gate.callback(None)


class LogSite:
    """A logging server in memory, with real files.

    Args:
        path: Its folder.
        token: What it asks others for.
        max_bytes: Most bytes of one message.
        max_logs: Most exchanges it knows.
        read: Whether it has read its folder.
        keep: How much it keeps.
    """

    def __init__(
        self,
        path: Path,
        token: str | None = None,
        max_bytes: int = 1 << 20,
        max_logs: int = 100,
        read: bool = True,
        keep: Keep | None = None,
    ) -> None:
        self.path = path
        self.clock = FakeClock()
        self.folder = Folder(path)
        self.index = Index(max_logs)
        self.threads = Threads()
        sweep = Sweep(self.clock)
        sweep.start()
        settings = Settings(
            token=None if token is None else Secret(token),
            max_bytes=max_bytes,
            max_logs=max_logs,
            keep=keep or Keep(),
        )
        self.reading = Reading(
            self.index, lambda: self.threads(self.index.filled, self.folder.newest(2 * max_logs)), self.clock
        )
        self.live = Live(self.clock)
        self.site, self.deposit = site_of(
            self.folder, self.index, self.reading, self.live, self.threads, settings, sweep, self.clock
        )
        self.retention = Retention(
            settings.keep, self.folder, self.index, lambda: self.reading.over, self.threads, self.clock
        )
        if read:
            self.read()

    def read(self) -> None:
        """Read the folder, as the service does at its start."""
        self.reading.begin()

    def client(self, listener: str = "127.0.0.1") -> Client:
        """Return a client that came in on the address ``listener``."""
        client = Client(self.site, self.clock)
        client.transport.hostAddr = IPv4Address("TCP", listener, 8081)
        return client

    def ask(self, method: str, path: str, body: bytes = b"", *fields: str, listener: str = "127.0.0.1") -> Answer:
        """Make one request on a connection of its own and return its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        if body or method == "PUT":
            lines.append(f"Content-Length: {len(body)}")
        client = self.client(listener).say("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        heard = client.heard()
        client.settle()
        return answers(heard, method.encode(), closed=True)[0]

    def put(self, type: str, body: bytes, id: str = ID, *fields: str) -> Answer:
        """Store a message."""
        return self.ask("PUT", f"/{id}/{type}", body, *fields)

    def json(self, path: str) -> Any:
        """Return what is told at ``path``."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def files(self, ending: str = ".bin") -> dict[str, bytes]:
        """Return the files with that ending, by name."""
        return {path.name: path.read_bytes() for path in sorted(self.path.glob(f"*{ending}"))}

    def metadata(self, name: str) -> Any:
        """Return what stands beside a file, by the file's name."""
        return json.loads((self.path / f"{name.removesuffix('.bin')}_metadata.json").read_bytes())


class LogServerProcess:
    """``twistd -n netrunner-logserver``; a context manager that waits until it serves, and ends it.

    Args:
        folder: Its log goes there, its files to ``logs`` in it.
        port: Where it listens on 127.0.0.1; a free port when 0.
        arguments: Further options.
        within: A command that runs it, with its command line as arguments.
    """

    process: subprocess.Popen[bytes] | Forked

    def __init__(self, folder: Path, port: int = 0, arguments: Sequence[str] = (), within: Sequence[str] = ()) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.log_path = folder / "logserver.log"
        self.port = port or _free_port()
        self._arguments = [
            *(*within, TWISTD, "-n", "--pidfile=", "netrunner-logserver"),
            *("--listen", f"tcp:{self.port}:interface=127.0.0.1", "--directory", str(self.logs), *arguments),
        ]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start the process and wait until it serves."""
        name = f"logserver-{uuid.uuid4()}"
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": f"@{name}"}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor, self.log_path.open("ab") as log:
            supervisor.bind(f"\0{name}")
            if self._arguments[0] == TWISTD:
                self.process = fork(self._arguments, self.folder, environ, log.fileno())
            else:
                self.process = subprocess.Popen(
                    self._arguments, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            death = os.pidfd_open(self.process.pid)
            try:
                ready, _, _ = select.select([supervisor.fileno(), death], [], [], PATIENCE_S)
                started = supervisor.fileno() in ready
            finally:
                os.close(death)
        if not started:
            self.kill()
            raise AssertionError(f"the logging server did not start:\n{self.log()}")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(PATIENCE_S) == 0, self.log()
            finally:
                self.kill()
        log = self.log()
        assert "Traceback" not in log, log
        assert "Unhandled" not in log, log

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """Return what it logged and printed so far."""
        return self.log_path.read_text(errors="replace")

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Make one request; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def files(self, type: str) -> list[bytes]:
        """Return the contents of all files of one type, in the order of their names."""
        return [path.read_bytes() for path in sorted(self.logs.glob(f"*_{type}*.bin"))]

    def metadata(self, type: str) -> list[Any]:
        """Return what stands beside them."""
        return [json.loads(path.read_bytes()) for path in sorted(self.logs.glob(f"*_{type}*_metadata.json"))]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def now_or_never(happened: Any, within_s: float = PATIENCE_S) -> None:
    """Ask until something in another process has happened."""
    limit = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < limit
        select.select([], [], [], 0.01)
