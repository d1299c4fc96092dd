"""The shipped systemd units: as systemd reads them, and as systemd would start what they name."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import ECHO, PATIENCE_S, ROOT, listening_socket

pytestmark = pytest.mark.integration

UNIT = (ROOT / "conf" / "netrunner.service").read_text()
SOCKET = (ROOT / "conf" / "netrunner.socket").read_text()
TWISTD = str(Path(sys.executable).with_name("twistd"))
(START,) = re.findall(r"(?m)^ExecStart=(.*)$", UNIT)


def connected(port: int) -> socket.socket:
    """Return a connection, once somebody listens."""
    limit = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        except ConnectionRefusedError:
            assert time.monotonic() < limit


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    binary = require_binary("systemd-analyze")
    (tmp_path / "netrunner.service").write_text(UNIT.replace("/opt/netrunner/bin/twistd", TWISTD))
    (tmp_path / "netrunner.socket").write_text(SOCKET)
    command = [binary, "verify", "--man=no", *(str(tmp_path / f"netrunner.{kind}") for kind in ("service", "socket"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_unit_starts_takes_the_socket_serves_who_waits_in_it_and_tells_of_itself(tmp_path: Path) -> None:
    binary = require_binary("systemd-socket-activate")
    with listening_socket() as sock:
        port = sock.getsockname()[1]
    config = tmp_path / "prod.yaml"
    config.write_text(f"{ECHO}listen: tcp:{port}:interface=127.0.0.1\nstate: {tmp_path}/state\n")
    start = START.replace("/opt/netrunner/bin/twistd", TWISTD).replace("/etc/netrunner/prod.yaml", str(config))
    told_at = tmp_path / "notify"
    environ = {
        "NOTIFY_SOCKET": str(told_at),
        "WATCHDOG_USEC": str(200_000),
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    passed = [f"--setenv={name}={value}" for name, value in environ.items()]
    log_path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, log_path.open("wb") as log:
        systemd.bind(str(told_at))
        systemd.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            [binary, f"--listen=127.0.0.1:{port}", *passed, *start.split()],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            # Whoever connects before it is there waits in the socket, and has it started.
            with connected(port) as client:
                client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert systemd.recv(4096) == f"MAINPID={process.pid}\nREADY=1".encode()
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
                for _ in range(3):
                    assert systemd.recv(4096) == b"WATCHDOG=1"
                process.send_signal(signal.SIGHUP)
                assert systemd.recv(4096) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            told = {systemd.recv(4096)}
            while b"STOPPING=1" not in told:
                told.add(systemd.recv(4096))
            assert told <= {b"WATCHDOG=1", b"STOPPING=1"}
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log_path.read_text()
