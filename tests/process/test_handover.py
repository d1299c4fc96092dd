"""Sockets by inheritance, and the pid file that changes hands."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.errors import ConfigurationError
from netrunner.process import handover
from netrunner.process.control import ControlError
from netrunner.process.handover import PidFile, Predecessor, inherited
from netrunner.process.state import control_path


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_sockets_named_in_the_environment_are_taken_and_their_variable_with_them(listening: socket.socket) -> None:
    descriptor = os.dup(listening.fileno())
    environ = {"NETRUNNER_LISTEN_FDS": str(descriptor), "HOME": "/"}
    [(name, sock)] = inherited(environ, os.getpid())
    with sock:
        assert (name, sock.fileno()) == (f"127.0.0.1:{listening.getsockname()[1]}", descriptor)
    assert environ == {"HOME": "/"}


def test_systemd_sockets_begin_at_descriptor_three(listening: socket.socket) -> None:
    take = (
        "import os, sys; from netrunner.process.handover import inherited; os.dup2(int(sys.argv[1]), 3);"
        "print(inherited({'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}, os.getpid())[0][0])"
    )
    descriptor = listening.fileno()
    taken = subprocess.run(
        [sys.executable, "-c", take, str(descriptor)], pass_fds=[descriptor], capture_output=True, text=True, check=True
    )
    assert taken.stdout == f"127.0.0.1:{listening.getsockname()[1]}\n"


def test_systemd_sockets_meant_for_another_process_are_not_taken() -> None:
    assert inherited({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, 2) == []


def test_nothing_in_the_environment_is_nothing_inherited() -> None:
    assert inherited({}, 1) == []


@pytest.mark.parametrize("value", ["x", "99999"])
def test_a_variable_that_names_no_socket_is_an_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match="not listening sockets"):
        inherited({"NETRUNNER_LISTEN_FDS": value}, 1)


def test_a_process_that_cannot_be_asked_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--take-over: process 123 does not hand over: .*No such file"):
        Predecessor(tmp_path, 123)


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose process 123 accepts at its control socket, as the kernel does for it, and never answers."""
    path = control_path(tmp_path, 123)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield tmp_path


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """What sockets were told to wait at most, in seconds; none of them waits longer than a moment here."""
    told: list[float | None] = []
    settimeout = socket.socket.settimeout

    def noted(sock: socket.socket, timeout_s: float | None) -> None:
        told.append(timeout_s)
        settimeout(sock, 0.01)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    return told


def test_a_predecessor_that_does_not_answer_is_given_up_after_a_minute(
    mute: Path, patience: list[float | None]
) -> None:
    with pytest.raises(ConfigurationError, match=r"^--take-over: process 123 does not hand over: .*timed out$"):
        Predecessor(mute, 123)
    assert patience == [60.0]


def test_one_that_hands_over_and_then_hangs_is_waited_for_as_long_when_it_is_to_drain(
    mute: Path, patience: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "ask_for_descriptors", lambda *_, **__: ({"listening": []}, []))
    predecessor = Predecessor(mute, 123)
    with pytest.raises(ControlError, match=r"cannot be asked: timed out$"):
        predecessor.dismiss(take_pid_file=True)
    assert patience == [60.0]


def test_the_pid_file_passes_from_one_process_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "daemon.pid"
    path.write_text("1")
    old, new = {"pidfile": str(path)}, {"pidfile": ""}
    PidFile(new).claim(PidFile(old).release(), 2)
    assert path.read_text() == "2"
    assert (old["pidfile"], new["pidfile"]) == ("", str(path))
    assert list(tmp_path.iterdir()) == [path]


def test_no_pid_file_is_an_empty_path() -> None:
    assert PidFile({"pidfile": None}).path == PidFile({}).release() == ""
