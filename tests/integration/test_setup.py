"""``netrunner setup``: a configuration that works at once, secrets that only their owner reads."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger

from netrunner.cli.setup import KEYS
from netrunner.config.load import interpret
from netrunner.registry import Registry
from tests.support.daemon import PATIENCE_S, ROOT, Daemon

pytestmark = pytest.mark.integration

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
COMMAND = [str(Path(sys.executable).with_name("netrunner")), "setup"]
BARE = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
BARE["PYTHONPATH"] = str(ROOT)


def setup(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it where nobody can be asked."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env={**BARE, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_daemon_started_with_what_it_wrote_lets_its_token_in(tmp_path: Path) -> None:
    done = setup(tmp_path, "--access", "token")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "start it by: twistd -n netrunner --config netrunner.yaml"
    assert (mode(tmp_path / "netrunner.yaml") & 0o037, mode(tmp_path / "netrunner.env")) == (0, 0o600)
    name, _, token = (tmp_path / "netrunner.env").read_text().strip().partition("=")
    assert (name, len(token) > 40) == ("AUTH_TOKEN", True)
    written = (tmp_path / "netrunner.yaml").read_text()
    assert token not in written + done.stdout
    rest = "".join(line for line in written.splitlines(True) if not line.startswith(("listen:", "state:")))
    with Daemon(tmp_path / "daemon", rest.replace('"netrunner.env"', f'"{tmp_path / "netrunner.env"}"')) as daemon:
        for credential, status in ((token, 200), ("wrong", 401)):
            headers = {"Authorization": f"Bearer {credential}"}
            assert daemon.request("POST", "/v1/chat/completions", CHAT, headers)[0] == status


def test_nothing_is_written_over_and_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "netrunner.yaml").write_text("mine")
    done = setup(tmp_path, "--access", "token")
    assert (done.returncode, done.stderr) == (
        1,
        "netrunner: netrunner.yaml is there already, and is not written over\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["netrunner.yaml"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--provider", "nobody"], "provider: 'nobody' is none of openai"),
        (["--provider", "openai"], "OPENAI_API_KEY is not set"),
        (["--access", "everybody"], "access: 'everybody' is none of open, token, projects"),
        (["--port", "70000"], "port: '70000' is no number"),
        (["--config", "nowhere/x.yaml"], "nowhere/x.yaml: no such file or directory"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(tmp_path: Path, words: list[str], why: str) -> None:
    done = setup(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_the_environment_stays_there(tmp_path: Path) -> None:
    key = "sk-canary-0123456789"
    done = setup(tmp_path, "--provider", "openai", OPENAI_API_KEY=key)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["netrunner.yaml"]
    assert key not in (tmp_path / "netrunner.yaml").read_text()


@pytest.mark.parametrize("name", KEYS)
def test_every_provider_it_offers_needs_no_more_than_it_asks_for(tmp_path: Path, name: str) -> None:
    from netrunner.cli.setup import _Wanted

    text = _Wanted([name], "open", 8080, str(tmp_path / "var")).configuration("x.env")
    environ = {} if KEYS[name] is None else {str(KEYS[name]): "sk-canary-0123456789"}
    log: Any = Logger("netrunner.plugins")
    settings, _, warnings = interpret("x.yaml", text.encode(), lambda folders: Registry.discover(folders, log), environ)
    assert ([one.name for one in settings.providers], warnings) == ([name], [])


def test_it_asks_in_a_terminal_and_shows_no_key(tmp_path: Path) -> None:
    key = "sk-canary-0123456789"
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=BARE, stdin=theirs, stdout=theirs, stderr=theirs,
                          start_new_session=True) as process:  # fmt: skip
        os.close(theirs)
        heard = b""
        for question, answer in (("Providers", "openai"), ("let in", "projects"), ("Port", ""), ("Key of", key)):
            limit = time.monotonic() + PATIENCE_S * 3
            while question.encode() not in heard:
                assert time.monotonic() < limit, heard
                heard += os.read(ours, 4096)
            os.write(ours, f"{answer}\n".encode())
        try:
            while data := os.read(ours, 4096):
                heard += data
        except OSError:
            pass  # the other end is closed
        assert process.wait(PATIENCE_S) == 0, heard
    os.close(ours)
    assert b"configuration is valid" in heard
    assert key.encode() not in heard
    secrets = dict(line.split("=", 1) for line in (tmp_path / "netrunner.env").read_text().splitlines())
    assert (set(secrets), secrets["OPENAI_API_KEY"]) == ({"OPENAI_API_KEY", "MANAGEMENT_TOKEN"}, key)
