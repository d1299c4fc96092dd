"""The server channel of a real daemon on real sockets: refusals that arrive, half close, slow clients, too many."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import ECHO, PATIENCE_S, Daemon

pytestmark = pytest.mark.integration

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "daemon", "server: {max_body_bytes: 100000}\n" + ECHO) as daemon:
        yield daemon


@contextlib.contextmanager
def dial(daemon: Daemon) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE_S) as sock:
        yield sock


def rest(sock: socket.socket) -> bytes:
    """Return everything until the server closes, in whichever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            data += piece
    return data


def status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def test_a_refused_body_does_not_cost_the_client_its_refusal(daemon: Daemon) -> None:
    for _ in range(20):
        with dial(daemon) as sock:
            sock.sendall(CHAT + b"Content-Length: 100001\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"x" * 60000)
            data = rest(sock)
            assert status(data) == 413
            assert json.loads(data.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_too_large"


def test_a_client_that_sends_fin_gets_every_answer_made_here(daemon: Daemon) -> None:
    with dial(daemon) as sock:
        sock.sendall(HEALTH * 3)
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock).count(b"HTTP/1.1 200") == 3


def test_a_request_in_single_bytes_is_answered(daemon: Daemon) -> None:
    with dial(daemon) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"):
            sock.sendall(bytes([byte]))
        assert status(rest(sock)) == 200


@pytest.mark.parametrize(
    ("expected", "head"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01"),
        (404, b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        (405, b"DELETE /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        (414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (421, b"GET /health HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100 + b"\r\n"),
        (501, b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"),
    ],
)
def test_every_refusal_is_openais_json(daemon: Daemon, expected: int, head: bytes) -> None:
    with dial(daemon) as sock:
        sock.sendall(head)
        data = rest(sock)
    assert status(data) == expected
    error = json.loads(data.partition(b"\r\n\r\n")[2])["error"]
    assert error["message"]
    assert error["code"]


def test_too_many_connections_leave_no_traceback_and_no_lasting_harm(daemon: Daemon) -> None:
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (100, 100))
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(dial(daemon))

    def is_served() -> bool:
        # The last of the crowd may still stand before us; a process that is full turns its control socket away too.
        try:
            return daemon.request("GET", "/health")[0] == 200
        except OSError:
            return False

    assert any(is_served() for _ in range(20_000))
    daemon.assert_clean_log()


# Attacks by slowhttptest, in short: counts and effects only.


def attack(daemon: Daemon, *arguments: str) -> tuple[str, int]:
    """Run slowhttptest against ``daemon``; return what it said of the end, and how many good requests went well."""
    binary = require_binary("slowhttptest")
    url = f"http://localhost:{daemon.port}/v1/chat/completions"
    running = subprocess.Popen(
        [binary, *arguments, "-u", url, "-v", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    good = 0
    with running:
        while running.poll() is None:
            assert daemon.request("GET", "/health")[0] == 200
            good += 1
        assert running.stdout is not None
        return running.stdout.read(), good


SLOW = "server: {header_timeout_s: 2, body_grace_s: 2}\n" + ECHO
HEADS = ("-H", "-i", "1", "-p", "3", "-l", "20")
BODIES = ("-B", "-i", "1", "-p", "3", "-l", "20", "-s", "8192", "-x", "10", "-t", "POST")


@pytest.mark.parametrize("kind", [HEADS, BODIES], ids=["heads", "bodies"])
def test_slow_clients_are_all_gone_while_others_are_served(tmp_path: Path, kind: tuple[str, ...]) -> None:
    with Daemon(tmp_path / "daemon", SLOW) as daemon:
        said, good = attack(daemon, *kind, "-c", "200", "-r", "200")
        assert "No open connections left" in said, said
        assert good > 0


@pytest.mark.torture
@pytest.mark.parametrize("kind", [HEADS, BODIES], ids=["heads", "bodies"])
def test_two_thousand_slow_clients_are_gone_in_time(tmp_path: Path, kind: tuple[str, ...]) -> None:
    with Daemon(tmp_path / "daemon") as daemon:
        said, good = attack(daemon, *kind, "-i", "4", "-c", "2000", "-r", "500", "-l", "60")
        assert "No open connections left" in said, said
        ended = re.search(r"Test ended on (\d+)th second", said)
        assert ended is not None, said
        # Four seconds to open them all; each may stay for 10.5.
        assert int(ended[1]) <= (15 if kind is HEADS else 26), said
        assert good > 100
