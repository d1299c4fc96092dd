"""What a fresh installation lets in: nobody from elsewhere (row 54)."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netrunner.process.control import ask
from netrunner.process.state import control_path
from tests.support.daemon import ECHO, PATIENCE_S, ROOT, Daemon

pytestmark = pytest.mark.integration
TWISTD = str(Path(sys.executable).with_name("twistd"))
CANARY = "sk-canary-of-the-environment"
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": CANARY, "AUTH_TOKEN": CANARY}
ALONE = 'ip link set lo up; exec "$@"'


def refusal(folder: Path, config: str) -> str:
    """Return what a start by ``config`` says, which has to fail."""
    (folder / "netrunner.yaml").write_text(config)
    command = [TWISTD, "-n", "--pidfile=", "netrunner", "--config", "netrunner.yaml"]
    ended = subprocess.run(
        command, cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    return ended.stderr


def listening(pid: int) -> list[tuple[str, int]]:
    """Return the addresses of the TCP sockets that a process listens at (proc(5))."""
    own = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in own and fields[2].endswith(":0000"):
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found


def test_without_a_configuration_it_listens_on_loopback_only_and_keeps_no_key(tmp_path: Path) -> None:
    # A network of its own, since the port is fixed.
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", ALONE, "sh", TWISTD, "-n", "--pidfile=", "netrunner"]
    if subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE, bufsize=0) as daemon:
        assert daemon.stdout is not None
        try:
            log = b""
            while b"listening on" not in log:
                assert select.select([daemon.stdout], [], [], PATIENCE_S)[0], log
                log += daemon.stdout.read(65536) or b""
                assert daemon.poll() is None, log
            assert listening(daemon.pid) == [("0100007F", 8080)]
            ask(control_path(tmp_path / "var", daemon.pid), "ping")
            daemon.send_signal(signal.SIGTERM)
            log += daemon.communicate(timeout=PATIENCE_S)[0]
        finally:
            daemon.kill()
    assert daemon.returncode == 0
    assert not re.search(b"(?i)token|password|key", log), log
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY in path.read_text(errors="replace")]
    assert kept == []


@pytest.mark.parametrize("endpoint", ["tcp:8080", "tcp:8080:interface=0.0.0.0", "tcp:8080:interface=[::]"])
@pytest.mark.parametrize("access", ["", "access: {mode: open}\n"])
def test_listening_elsewhere_with_open_access_is_refused_with_the_settings_to_choose(
    tmp_path: Path, endpoint: str, access: str
) -> None:
    said = refusal(tmp_path, f'{ECHO}{access}listen: "{endpoint}"\nserver: {{hosts: [llm.example]}}\n')
    assert "is not on loopback while access.mode is open" in said
    assert "access.mode: token" in said
    assert "access.public: true" in said


def test_there_is_no_default_token(tmp_path: Path) -> None:
    said = refusal(tmp_path, f"{ECHO}access: {{mode: token}}\n")
    assert "access.token is missing, and access.mode is token" in said


def test_public_access_is_a_warning_at_every_start(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO + "access: {public: true}\nserver: {hosts: [llm.example]}\n") as daemon:
        assert "access.public lets everybody who reaches this server use it" in daemon.log()
