"""The control socket on a real path: who may speak, what is too much, what travels along."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with
from twisted.internet.threads import deferToThread

import pytest_twisted
from netrunner.process.control import (
    MAX_REQUEST_BYTES,
    Commands,
    ControlError,
    ControlSocket,
    NoArguments,
    Reply,
    ask,
    ask_for_descriptors,
)

pytestmark = pytest.mark.integration
US = frozenset({os.geteuid()})
T = TypeVar("T")


@asynccontextmanager
async def listening(path: Path, commands: Commands | None = None, allowed: frozenset[int] = US) -> AsyncIterator[None]:
    if commands is None:
        commands = Commands()
        commands.add("ping", NoArguments, lambda _: Reply({"pong": True}))
    control = ControlSocket(path, commands, allowed)
    control.start(reactor)
    try:
        yield
    finally:
        await control.stop()


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    return await deferToThread(function, *arguments)


@pytest_twisted.ensureDeferred
async def test_the_socket_is_private_and_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "1.sock"
    async with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await in_thread(ask, path, "ping") == {"pong": True}
    assert not path.exists()


@pytest_twisted.ensureDeferred
async def test_a_path_longer_than_the_kernel_takes_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with listening(folder / "1.sock"):
        assert await in_thread(ask, folder / "1.sock", "ping") == {"pong": True}
    assert list(folder.iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_sockets_of_dead_processes_are_cleared_away_and_those_of_living_ones_stay(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1.sock"))
    async with listening(tmp_path / "2.sock"), listening(tmp_path / "3.sock"):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["2.sock", "3.sock"]


@pytest_twisted.ensureDeferred
async def test_other_users_get_no_answer(tmp_path: Path) -> None:
    async with listening(tmp_path / "1.sock", allowed=frozenset({os.geteuid() + 1})):
        with pytest.raises(ControlError, match=r"reset|hung up|pipe"):
            await in_thread(ask, tmp_path / "1.sock", "ping")


def converse(path: Path, *lines: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(b"".join(lines))
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest_twisted.ensureDeferred
async def test_answers_come_in_order_and_a_mistake_does_not_end_the_conversation(tmp_path: Path) -> None:
    async with listening(tmp_path / "1.sock"):
        said = await in_thread(
            converse, tmp_path / "1.sock", b"nonsense\n", b'{"command": "ping"}\n', b'{"command": "p'
        )
    wrong, right = said.splitlines()
    assert wrong.startswith(b'{"ok":false,"error":"JSON is malformed')
    assert right == b'{"ok":true,"pong":true}'


@pytest_twisted.ensureDeferred
async def test_a_request_without_end_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path / "1.sock"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "1.sock"))
            client.settimeout(20)
            await in_thread(client.sendall, b"x" * (MAX_REQUEST_BYTES + 1))
            assert await in_thread(client.recv, 1000) == b'{"ok":false,"error":"a request has at most 65536 bytes"}\n'
            assert await in_thread(client.recv, 1000) == b""


@pytest_twisted.ensureDeferred
async def test_descriptors_travel_beside_the_answer_and_stay_open_here(tmp_path: Path) -> None:
    files = [os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY) for _ in range(40)]
    commands = Commands()
    commands.add("files", NoArguments, lambda _: Reply({"text": "x" * 100_000}, files))
    async with listening(tmp_path / "1.sock", commands):
        values, received = await in_thread(ask_for_descriptors, tmp_path / "1.sock", "files")
    assert len(values["text"]) == 100_000
    assert [os.fstat(one).st_ino for one in received] == [os.fstat(one).st_ino for one in files]
    assert not set(received) & set(files)
    for one in files + received:
        os.close(one)


def test_nobody_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"1\.sock cannot be asked: No such file or directory$"):
        ask(tmp_path / "1.sock", "ping")
