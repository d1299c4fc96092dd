"""A real daemon for integration tests: ``twistd -n netrunner`` as a child process, in a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from netrunner.process.control import ask
from netrunner.process.state import control_path
from tests.support.forkserver import FIRST_SOCKET, Forked, fork

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Seconds for what should take a moment; whoever waits longer has failed."""
PATIENCE_TURNS = 20_000
"""Turns of the reactor for the same."""

ECHO = "providers: {echo: {type: echo}}\nmodels: [{name: echo, targets: [{provider: echo, model: echo}]}]\n"
"""A configuration that needs nobody else."""

TWISTD = str(Path(sys.executable).with_name("twistd"))
_LISTEN_FDS = "NETRUNNER_LISTEN_FDS"
_FAILURE = re.compile(r"Traceback|Unhandled")


def listening_socket() -> socket.socket:
    """Return a socket that listens on a free port of 127.0.0.1."""
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


class Daemon:
    """One netrunner process; a context manager that waits until it serves, ends it, and looks into its log.

    Args:
        folder: Configuration, state and log go there; made if need be.
        config: YAML without ``listen`` and ``state``.
        sock: A listening TCP socket to hand down; one on a free port when nothing says where to listen.
        listen: The endpoint that the daemon is to bind itself.
        take_over: The running daemon whose sockets and state are taken.
        state: The state folder; that of ``take_over``, else one in ``folder``, when not given.
        arguments: Further options of netrunner itself.
        twistd: Options of twistd itself, after ``-n``.
        environ: Added to the environment.
        descriptors: Limit of the files and sockets it may have open; that of the tests when not given.
    """

    executed = False
    """Whether it is started by executing ``twistd``; else it is forked from a process that has imported the same."""
    process: subprocess.Popen[bytes] | Forked

    def __init__(
        self,
        folder: Path,
        config: str = ECHO,
        *,
        sock: socket.socket | None = None,
        listen: str | None = None,
        take_over: Daemon | None = None,
        state: Path | None = None,
        arguments: Sequence[str] = (),
        twistd: Sequence[str] = ("--pidfile=",),
        environ: Mapping[str, str] | None = None,
        descriptors: int | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.state: Path = state or (take_over.state if take_over else folder / "state")
        self.config_path = folder / "netrunner.yaml"
        self.log_path = folder / "output.log"
        self._sock = sock if sock or listen or take_over else listening_socket()
        self._close_sock = sock is None
        self.port: int = take_over.port if take_over else self._sock.getsockname()[1] if self._sock else 0
        self.listen = listen or f"tcp:{self.port}:interface=127.0.0.1"
        self.write_config(config)
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
        self._arguments = [*limited, TWISTD, "-n", *twistd, "netrunner", "--config", str(self.config_path), *arguments]
        if take_over:
            self._arguments += ["--take-over", str(take_over.pid)]
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}

    def write_config(self, config: str) -> None:
        """Write the configuration file anew; ``reload`` makes the daemon read it."""
        where = f"listen: {self.listen}\nstate: {json.dumps(str(self.state))}\n"
        self.config_path.write_text(where + config)

    def start(self) -> None:
        """Start the process and return at once."""
        sockets = [] if self._sock is None else [self._sock.fileno()]
        with self.log_path.open("ab") as log:
            # What runs twistd, or is loaded before everything else, needs a process that is executed.
            if self.executed or self._arguments[0] != TWISTD or "LD_PRELOAD" in self._environ:
                self.process = self._execute(log, sockets)
            else:
                environ = {**self._environ, _LISTEN_FDS: str(FIRST_SOCKET)} if sockets else self._environ
                self.process = fork(self._arguments, self.folder, environ, log.fileno(), sockets)
        if self._sock is not None and self._close_sock:
            self._sock.close()

    def _execute(self, log: IO[bytes], sockets: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._arguments,
            cwd=self.folder,
            env={**self._environ, _LISTEN_FDS: str(sockets[0])} if sockets else self._environ,
            pass_fds=sockets,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def __enter__(self) -> Self:
        self._supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        name = f"netrunner-{uuid.uuid4()}"
        self._supervisor.bind(f"\0{name}")
        self._environ["NOTIFY_SOCKET"] = f"@{name}"
        self.start()
        death = os.pidfd_open(self.pid)
        try:
            select.select([self._supervisor.fileno(), death], [], [], PATIENCE_S)
        finally:
            os.close(death)
        if not any("READY=1" in message for message in self.notifications()):
            self.process.kill()
            self.process.wait()
            self._supervisor.close()
            raise AssertionError(f"netrunner did not start:\n{self.log()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._supervisor.close()
        if kind is not None:
            self.process.kill()
            self.process.wait()
            return
        self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"netrunner did not end:\n{self.log()}") from None
        self.assert_clean_log()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def log(self) -> str:
        """Return what it logged and printed so far."""
        return self.log_path.read_text(errors="replace")

    def assert_clean_log(self) -> None:
        """Raise ``AssertionError`` if anything failed unexpectedly."""
        log = self.log()
        assert not _FAILURE.search(log), log

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(timeout_s)

    def notifications(self) -> list[str]:
        """Return what it, or its successor, has told its supervisor since last asked (sd_notify(3))."""
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self._supervisor.recv(4096).decode())
        return told

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Ask until something that is under way has happened; each asking makes the daemon's reactor turn.

        Turns are counted for a machine that is busy, and seconds for one that is fast: what a pause lies before needs
        those.
        """
        limit, turns = time.monotonic() + PATIENCE_S, 0
        while not happened():
            assert turns < PATIENCE_TURNS or time.monotonic() < limit
            self.control("ping")
            turns += 1

    def wait_for_drain(self) -> None:
        """Wait until it listens no longer."""
        self.wait_for(lambda: bool(self.control("status")["draining"]))

    def control(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask its control socket."""
        return ask(control_path(self.state, self.pid), command, arguments, PATIENCE_S)

    def connect(self) -> http.client.HTTPConnection:
        """Return a client connection, opened with its first request; close it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one request on a connection of its own; return status, header fields with lowercase names, and body."""
        connection = self.connect()
        try:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()


class Executed(Daemon):
    """A daemon as an operator starts it, for tests of how it starts and of what starts others."""

    executed = True
