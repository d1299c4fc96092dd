"""The logging server as a process: how it is started and ended, what it survives, and what its page tells."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.logserver.tap import Options
from netrunner.registry import Registry
from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, ROOT
from tests.support.logserver import ID, REQUEST, LogServerProcess, now_or_never

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "logserver.md").read_text()
CONSOLES = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MIB = 1 << 20


def resident_peak(pid: int) -> int:
    """Return the most memory a process has ever had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_it_stores_serves_and_ends_cleanly(tmp_path: Path) -> None:
    with LogServerProcess(tmp_path) as server:
        assert server.request("PUT", f"/{ID}/request", REQUEST)[0] == 201
        assert server.request("GET", f"/api/logs/{ID}/request") == (200, REQUEST)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_restart_finds_everything_again_before_it_takes_anything(tmp_path: Path) -> None:
    for expected in (201, 200):
        with LogServerProcess(tmp_path) as server:
            assert server.request("PUT", f"/{ID}/request", REQUEST)[0] == expected


def test_a_message_of_any_size_takes_constant_memory(tmp_path: Path) -> None:
    with LogServerProcess(tmp_path) as server:
        server.request("PUT", f"/{ID}/request", REQUEST)
        before = resident_peak(server.process.pid)
        piece = b"x" * 65536
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as sender:
            size = 128 * MIB
            sender.sendall(f"PUT /{ID}/response HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // len(piece)):
                sender.sendall(piece)
            assert sender.recv(65536).startswith(b"HTTP/1.1 201 ")
        assert resident_peak(server.process.pid) - before < 16 * MIB
        assert [path.stat().st_size for path in server.logs.glob("*_response.bin")] == [size]


def test_a_message_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    with (
        LogServerProcess(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as sender,
    ):
        sender.sendall(f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab".encode())
        now_or_never(lambda: server.files("request") == [b"ab"])
        server.process.send_signal(signal.SIGTERM)
        now_or_never(lambda: "asked to end" in server.log())
        sender.sendall(b"cd")
        assert sender.recv(65536).startswith(b"HTTP/1.1 201 ")
        assert server.process.wait(PATIENCE_S) == 0


def test_a_second_signal_cuts_what_is_under_way_and_notes_it(tmp_path: Path) -> None:
    with (
        LogServerProcess(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as sender,
    ):
        sender.sendall(f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab".encode())
        now_or_never(lambda: server.files("request") == [b"ab"])
        for said in ("asked to end", "asked again"):
            server.process.send_signal(signal.SIGTERM)
            now_or_never(lambda said=said: said in server.log())
        assert server.process.wait(PATIENCE_S) == 0
        assert [one["error"] for one in server.metadata("request")] == ["the sender broke off"]


def test_a_full_disk_is_told_and_takes_messages_again_when_there_is_room(tmp_path: Path) -> None:
    mount = f'mkdir -m 700 {tmp_path}/logs && mount -t tmpfs -o size=1m none {tmp_path}/logs && exec "$@"'
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own cannot be had here")
    with LogServerProcess(tmp_path, within=[*alone, "sh", "-c", mount, "sh"]) as server:
        status, told = server.request("PUT", f"/{ID}/request", REQUEST + b"x" * 4 * MIB)
        assert (status, json.loads(told)["error"]["code"]) == (500, "storage_failed")
        assert "No space left on device" in json.loads(told)["error"]["message"]
        assert server.request("GET", f"/api/logs/{ID}")[0] == 404
        assert server.request("PUT", f"/{ID}/request", REQUEST + b"x" * (MIB // 2))[0] == 201
        assert "was not stored: No space left on device" in server.log()


@pytest.mark.parametrize("command", [["twistd", "-n", "--pidfile=", "netrunner-logserver"], ["netrunner", "logserver"]])
def test_an_address_in_use_is_one_clear_line(tmp_path: Path, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run(
            [program, *command[1:], "--listen", endpoint, "--directory", str(tmp_path / "logs")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"netrunner-logserver cannot start:\n  listen: {endpoint}: address already in use\n"


def test_the_command_runs_it_in_the_foreground(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("netrunner"))
    path = tmp_path / "sock"
    command = [program, "logserver", "--listen", f"unix:{path}", "--directory", str(tmp_path / "logs")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            assert any(b"exchanges are known" in line for line in process.stdout)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def test_what_the_page_says_to_type_does_what_it_says(tmp_path: Path) -> None:
    require_binary("curl")
    lines = [line for block in CONSOLES for line in block.splitlines() if not line.startswith("$ twistd")]
    with LogServerProcess(tmp_path) as server:
        now_or_never(lambda: b'"indexed":true' in server.request("GET", "/health")[1])
        commands = 0
        while lines:
            command = lines.pop(0).removeprefix("$ ").replace("127.0.0.1:8081", f"127.0.0.1:{server.port}")
            expected = []
            while lines and not lines[0].startswith("$ "):
                expected.append(lines.pop(0))
            told = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
            ).stdout
            pattern = re.escape("\n".join(expected)).replace(re.escape("..."), ".*")
            pattern = re.sub(r"2026\\-11\\-25_09\\-00\\-00\\.000", r"[-0-9_.]{23}", pattern)
            assert re.fullmatch(pattern, told.replace("\r", "").removesuffix("\n"), re.DOTALL), (command, told)
            commands += 1
    assert commands == 8


def test_the_first_command_of_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = [line for block in CONSOLES for line in block.splitlines() if line.startswith("$ twistd")]
    arguments = command.partition(" netrunner-logserver ")[2].replace("tcp:8081", "tcp:0").split()
    options = Options()
    monkeypatch.setattr("netrunner.process.limits.raise_descriptors", lambda: 0)
    options.parseOptions(arguments)
    for bound in options.bound:
        bound.close()
    options.folder.close()


def test_every_option_is_told_with_its_default() -> None:
    defaults = {"listen": "`tcp:8081:interface=127.0.0.1`"}
    parameters: list[Any] = Options.optParameters
    defaults |= {name: f"`{default}`" if default else "none" for name, _, default, *_ in parameters}
    assert [name for name, default in defaults.items() if f"| `--{name}` | {default} |" not in PAGE] == []


def test_the_configuration_of_the_page_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "x.yaml").write_text(f"providers: {{echo: {{type: echo}}}}\n{text}")
    settings, _, warnings = load(str(tmp_path / "x.yaml"), lambda _: Registry.discover((), Logger()), {})
    assert ([sink.type for sink in settings.sinks], warnings) == (["console", "duplex"], [])


def test_what_arrives_is_told_and_can_be_followed_while_it_does(tmp_path: Path) -> None:
    with LogServerProcess(tmp_path) as server, ExitStack() as stack:

        def dial(text: str) -> socket.socket:
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE_S))
            peer.sendall(text.encode())
            return peer

        feed = dial("GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(feed, b"text/event-stream")
        sender = dial(f"PUT /{ID}/response HTTP/1.1\r\nHost: localhost\r\nContent-Length: 46\r\n\r\n")
        until(feed, b"event: began")
        sender.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        until(feed, b'"status":200')
        reader = dial(f"GET /api/logs/{ID}/response?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(reader, b"Content-Length: 8")
        for piece in (b"data", b"last"):
            sender.sendall(piece)
            until(reader, piece)
        until(reader, b"0\r\n\r\n")
        until(feed, b"event: ended")
        until(sender, b" 201 ")
        # A feed and a reader are no reason to wait at the end.
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


def test_what_is_not_to_be_kept_is_removed(tmp_path: Path) -> None:
    with LogServerProcess(tmp_path) as server:
        assert server.request("PUT", f"/{ID}/request", REQUEST)[0] == 201
    old = server.logs / "2020-01-01_00-00-00.000_0193a1b2_request.bin"
    old.write_bytes(REQUEST)
    with LogServerProcess(tmp_path, arguments=["--keep-days", "1"]) as server:
        now_or_never(lambda: not old.exists())
        assert server.files("request") == [REQUEST]
        assert server.request("GET", f"/api/logs/{ID}/request") == (200, REQUEST)


def until(peer: socket.socket, expected: bytes) -> None:
    """Read until something is there, and no more than what came with it."""
    heard = b""
    while expected not in heard:
        data = peer.recv(65536)
        assert data, heard
        heard += data
