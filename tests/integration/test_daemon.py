"""The daemon as an operator has it: how it starts, reloads, logs and ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.journal.upkeep import is_live
from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_path
from tests.support.daemon import ECHO, PATIENCE_S, ROOT, listening_socket
from tests.support.daemon import Executed as Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event

pytestmark = pytest.mark.integration


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def open_stream(daemon: Daemon, provider: Provider) -> tuple[Peer, Peer]:
    """Return client and provider of a stream whose first event has arrived."""
    client = dial(daemon.port)
    client.send(chat())
    upstream = provider.accept()
    upstream.message()
    upstream.send(STREAM_HEAD + event("one"))
    client.until(b"one")
    return client, upstream


def twistd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("twistd"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_sigterm_lets_an_open_stream_end_and_refuses_new_connections(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, provider.config) as daemon:
        client, upstream = open_stream(daemon, provider)
        with client, upstream:
            daemon.signal(signal.SIGTERM)
            daemon.wait_for_drain()
            with pytest.raises(ConnectionRefusedError):
                dial(daemon.port)
            upstream.send(event("two") + event("[DONE]") + END_OF_BODY)
            assert client.rest().endswith(END_OF_BODY)
        assert daemon.wait() == 0


def test_a_stream_still_open_when_the_drain_is_over_gets_an_error_event_and_no_clean_end(
    tmp_path: Path, provider: Provider
) -> None:
    with Daemon(tmp_path, provider.config + "server: {drain_s: 0.2}\n") as daemon:
        client, upstream = open_stream(daemon, provider)
        with client, upstream:
            daemon.signal(signal.SIGTERM)
            told = client.rest()
            assert b'"error"' in told
            assert b"shutting_down" in told
            assert not told.endswith(END_OF_BODY)
            assert b"[DONE]" not in told
            assert upstream.gone()
        assert daemon.wait() == 0


def test_a_second_sigterm_ends_open_streams_at_once(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, provider.config + "server: {drain_s: 3600}\n") as daemon:
        client, upstream = open_stream(daemon, provider)
        with client, upstream:
            daemon.signal(signal.SIGTERM)
            daemon.wait_for_drain()
            daemon.signal(signal.SIGTERM)
            assert b"shutting_down" in client.rest()
        assert daemon.wait() == 0


def test_a_client_that_reads_nothing_cannot_keep_the_daemon_from_ending(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, provider.config + "server: {drain_s: 0.2}\n") as daemon:
        client, upstream = open_stream(daemon, provider)
        with client, upstream:
            upstream.flood(event("x" * 1_000_000))
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0


def test_an_exchange_is_listed_and_ended_through_the_control_socket(tmp_path: Path, provider: Provider) -> None:
    with Daemon(tmp_path, provider.config) as daemon:
        client, upstream = open_stream(daemon, provider)
        with client, upstream:
            [exchange] = daemon.control("inflight")["inflight"]
            assert exchange["model"] == "m"
            daemon.control("end", id=exchange["id"])
            assert not client.rest().endswith(END_OF_BODY)
            assert upstream.gone()
        with pytest.raises(ControlError, match="no exchange"):
            daemon.control("end", id=exchange["id"])


def test_a_used_port_is_one_clear_line(tmp_path: Path) -> None:
    with listening_socket() as taken:
        config = tmp_path / "netrunner.yaml"
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        config.write_text(f"{ECHO}listen: {endpoint}\n")
        ended = twistd(tmp_path, "-n", "netrunner", "--config", str(config))
    assert ended.returncode == 1
    assert ended.stderr == f"netrunner cannot start:\n  listen: {endpoint}: address already in use\n"
    assert ended.stdout == ""


def test_everything_wrong_with_the_configuration_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("lisen: tcp:80\nunknown_model: nobody\n")
    ended = twistd(tmp_path, "netrunner", "-c", "bad.yaml")
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert lines[0] == "netrunner cannot start:"
    assert [line.split(": ")[0] for line in lines[1:]] == [f"  {tmp_path}/bad.yaml:{number}" for number in (1, 2)]


def test_help_and_version_are_our_own(tmp_path: Path) -> None:
    told = twistd(tmp_path, "netrunner", "--help").stdout
    assert "--config=" in told
    assert "SIGHUP reloads" in " ".join(told.split())
    assert twistd(tmp_path, "netrunner", "--version").stdout.startswith("netrunner 0.")


def test_a_second_daemon_on_the_same_state_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path / "a") as one:
        other = Daemon(tmp_path / "b", state=one.state)
        other.start()
        assert other.wait() == 1
        assert other.log() == (
            f"netrunner cannot start:\n  state: {one.state} is used by another netrunner that runs;"
            " --take-over PID takes its place\n"
        )
        assert [path.name for path in (one.state / "journal").iterdir()] == [one.control("status")["boot_id"]]
        assert one.request("GET", "/live")[0] == 200


def test_nothing_is_left_in_the_state_folder_by_a_clean_end_nor_for_long_by_a_kill(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with pytest.raises(ZeroDivisionError), daemon:
        raise ZeroDivisionError  # The harness kills it then.
    assert [path.name for path in (daemon.state / "control").iterdir()] == [f"{daemon.pid}.sock"]
    with Daemon(tmp_path) as next_one:
        assert [path.name for path in (daemon.state / "control").iterdir()] == [f"{next_one.pid}.sock"]
        # What a dead process's journal needs is done by a thread, while requests are served already.
        own = next_one.control("status")["boot_id"]
        next_one.wait_for(lambda: [path.name for path in (daemon.state / "journal").iterdir()] == [own])
    assert [*(daemon.state / "control").iterdir(), *(daemon.state / "journal").iterdir()] == []


def models(daemon: Daemon) -> bytes:
    return daemon.request("GET", "/v1/models")[2]


def test_sighup_takes_a_new_configuration_into_use(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        assert b'"second"' not in models(daemon)
        daemon.write_config(ECHO.replace("name: echo", "name: second"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(lambda: b'"second"' in models(daemon))


def test_a_reload_that_is_wrong_or_changes_what_is_fixed_changes_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        before = models(daemon)
        daemon.write_config(ECHO.replace("name: echo", "name: second") + "lisen: 1\n")
        with pytest.raises(ControlError, match="lisen"):
            daemon.control("reload")
        daemon.listen = "tcp:1:interface=127.0.0.1"
        daemon.write_config(ECHO.replace("name: echo", "name: second"))
        with pytest.raises(ControlError, match=r"^listen: cannot change while the process runs"):
            daemon.control("reload")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(lambda: "not reloaded" in daemon.log())
        assert models(daemon) == before


def test_log_file_is_rotated_bounded_and_reopened(tmp_path: Path) -> None:
    log = tmp_path / "netrunner.log"
    config = ECHO + "log: {max_bytes: 65536, keep: 1}\n"
    with Daemon(tmp_path, config, twistd=("--pidfile=", f"--logfile={log}")) as daemon:
        connection = daemon.connect()
        for _ in range(1500):
            connection.request("POST", "/v1/embeddings", '{"model": "echo", "input": "x"}')
            connection.getresponse().read()
        connection.close()
        written = b'netrunner_sink_written_total{sink="console"} 1500.0'
        daemon.wait_for(lambda: written in daemon.request("GET", "/metrics")[2])
        rotated = sorted(tmp_path.glob("netrunner.log*"))
        assert [path.name for path in rotated] == ["netrunner.log", "netrunner.log.1"]
        assert max(path.stat().st_size for path in rotated) < 70_000
        log.rename(tmp_path / "taken-away")
        daemon.signal(signal.SIGUSR1)
        daemon.wait_for(log.exists)


def test_a_daemon_in_the_background_keeps_its_sockets_lock_and_pid_file(tmp_path: Path) -> None:
    with listening_socket() as sock:
        port = sock.getsockname()[1]
    config = tmp_path / "netrunner.yaml"
    config.write_text(f"{ECHO}listen: tcp:{port}:interface=127.0.0.1\nstate: var\n")
    started = twistd(
        tmp_path, "--pidfile=x.pid", "--logfile=x.log", "--rundir=/", "netrunner", "--config", "netrunner.yaml"
    )
    assert (started.returncode, started.stderr) == (0, "")
    pid = int((tmp_path / "x.pid").read_text())
    death = os.pidfd_open(pid)
    try:
        status = ask(control_path(tmp_path / "var", pid), "status")
        # The lock of the folder, and that of the journal in it, were taken before the fork.
        other = Daemon(tmp_path / "other", state=tmp_path / "var")
        other.start()
        assert other.wait() == 1
        assert is_live(tmp_path / "var" / "journal" / status["boot_id"])
        with dial(port) as client:
            client.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.until(b"\r\n").startswith(b"HTTP/1.1 200")
    finally:
        os.kill(pid, signal.SIGTERM)
        ended, _, _ = select.select([death], [], [], PATIENCE_S)
        os.close(death)
    assert ended
    assert not (tmp_path / "x.pid").exists()
    log = (tmp_path / "x.log").read_text()
    assert "listening on" in log
    assert "Traceback" not in log


def test_only_a_listening_socket_that_is_configured_may_come_along(tmp_path: Path) -> None:
    with listening_socket() as sock:
        daemon = Daemon(tmp_path, sock=sock, listen="tcp:9:interface=127.0.0.1")
        daemon.start()
        assert daemon.wait() == 1
        assert f"came along for 127.0.0.1:{sock.getsockname()[1]}, which `listen` does not name" in daemon.log()
