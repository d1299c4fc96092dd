"""What systemd is told, and how often."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.process.systemd import Systemd, beat_s, tell_systemd
from netrunner.testing.fakes import FakeClock


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_sign_of_life_is_sent_twice_as_often_as_it_is_waited_for(environ: dict[str, str], seconds: float) -> None:
    assert beat_s(environ, 7) == seconds


def test_signs_of_life_begin_with_the_service_and_end_with_the_process(supervisor: socket.socket) -> None:
    clock = FakeClock()
    systemd = Systemd({"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "2000000"}, clock)
    systemd.serving()
    assert supervisor.recv(100) == f"MAINPID={os.getpid()}\nREADY=1".encode()
    for _ in range(3):
        assert supervisor.recv(100) == b"WATCHDOG=1"
        clock.advance(1.0)
    supervisor.recv(100)
    systemd.stopping()
    assert supervisor.recv(100) == b"STOPPING=1"
    systemd.close()
    clock.advance(10.0)
    with pytest.raises(BlockingIOError):
        supervisor.recv(100)


def test_systemd_is_told_where_it_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        tell_systemd({"NOTIFY_SOCKET": path}, "READY=1")
        assert supervisor.recv(100) == b"READY=1"
    tell_systemd({"NOTIFY_SOCKET": path}, "STOPPING=1")
    tell_systemd({}, "STOPPING=1")
