"""The hand-over: a new process on the old sockets, nobody refused, no stream cut."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import ECHO, PATIENCE_S, Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event
from tests.support.nginx import Nginx

pytestmark = pytest.mark.integration

LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Load:
    """Clients that ask again and again until told to stop, and note everything that is not an answer.

    Args:
        port: Of this machine.
        request: What they ask.
        pace: Requests a second, of all of them together; as many as they can when not given.
    """

    def __init__(self, port: int, request: bytes = LIVE, pace: float | None = None) -> None:
        self._request = request
        self._gap_s = 4 / pace if pace else 0.0
        self.answers = 0
        self.failures: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.stirred = threading.Condition(self._lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run while the block does."""
        clients = [threading.Thread(target=self._guard, args=(kind,)) for kind in (self._fresh, self._kept) * 2]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._over.set()
            for client in clients:
                client.join(PATIENCE_S)

    def wait_for_more(self, answers: int = 200) -> None:
        """Wait until so many more requests were answered, or one was not."""
        with self.stirred:
            goal = self.answers + answers
            assert self.stirred.wait_for(lambda: self.answers >= goal or self.failures, PATIENCE_S)

    def _guard(self, kind: object) -> None:
        try:
            kind()  # type: ignore[operator]  # a bound method
        except (OSError, AssertionError) as error:
            with self.stirred:
                self.failures.append(repr(error))
                self.stirred.notify_all()

    def _answered(self, head: bytes) -> None:
        assert head.startswith(b"HTTP/1.1 200"), head
        with self.stirred:
            self.answers += 1
            self.stirred.notify_all()
        self._over.wait(self._gap_s)

    def _fresh(self) -> None:
        """Each request on a connection of its own."""
        while not self._over.is_set():
            with dial(self._port) as peer:
                peer.send(self._request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                self._answered(peer.message()[0])
                assert peer.rest() == b""

    def _kept(self) -> None:
        """Requests on one connection until the server says it will close it."""
        while not self._over.is_set():
            with dial(self._port) as peer:
                head = b""
                while not self._over.is_set() and b"connection: close" not in head.lower():
                    peer.send(self._request)
                    head = peer.message()[0]
                    self._answered(head)


def hand_over_under_load(folder: Path, first: Daemon, port: int, config: str = ECHO, times: int = 3) -> None:
    """Replace ``first`` and its successors while clients keep asking on ``port``."""
    load = Load(port)
    with ExitStack() as daemons:
        old = daemons.enter_context(first)
        with load.running():
            for number in range(times):
                load.wait_for_more()
                new = daemons.enter_context(Daemon(folder / str(number), config, take_over=old))
                assert old.wait() == 0
                load.wait_for_more()
                assert load.failures == []
                old = new
    assert load.failures == []


def test_successors_take_over_under_load_and_nobody_is_refused(tmp_path: Path) -> None:
    first = Daemon(tmp_path / "first")
    hand_over_under_load(tmp_path, first, first.port)


@pytest.mark.torture
def test_twenty_successors_in_a_row_refuse_nobody(tmp_path: Path) -> None:
    first = Daemon(tmp_path / "first")
    hand_over_under_load(tmp_path, first, first.port, times=20)


def test_behind_nginx_nobody_notices_a_hand_over(tmp_path: Path) -> None:
    config = ECHO + "access: {public: true}\n"
    first = Daemon(tmp_path / "first", config)
    with Nginx(tmp_path / "nginx", first.port) as nginx:
        hand_over_under_load(tmp_path, first, nginx.port, config)
        assert nginx.errors() == ""


def test_open_streams_outlive_the_hand_over_and_their_process_ends_after_them(tmp_path: Path) -> None:
    with Provider() as provider, Daemon(tmp_path / "old", provider.config) as old, ExitStack() as peers:
        streams = []
        for _ in range(5):
            client = peers.enter_context(dial(old.port))
            client.send(chat())
            upstream = peers.enter_context(provider.accept())
            upstream.message()
            upstream.send(STREAM_HEAD + event("before"))
            client.until(b"before")
            streams.append((client, upstream))
        with Daemon(tmp_path / "new", provider.config, take_over=old) as new:
            assert new.request("GET", "/live")[0] == 200
            assert len(old.control("inflight")["inflight"]) == 5
            assert new.control("inflight") == {"inflight": []}
            for client, upstream in streams:
                assert old.process.poll() is None
                upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
                told = client.rest()
                assert b"after" in told
                assert told.endswith(END_OF_BODY)
            assert old.wait() == 0


def test_a_request_on_a_connection_that_the_old_process_had_accepted_is_still_answered(tmp_path: Path) -> None:
    with Daemon(tmp_path / "old") as old, dial(old.port) as unused, dial(old.port) as used:
        used.send(LIVE)
        used.message()
        with Daemon(tmp_path / "new", take_over=old):
            old.wait_for_drain()
            for peer in (unused, used):
                peer.send(LIVE)
                head = peer.message()[0]
                assert head.startswith(b"HTTP/1.1 200")
                assert b"connection: close" in head.lower()
            assert old.wait() == 0


def test_the_pid_file_names_the_successor_and_goes_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "netrunner.pid"
    with Daemon(tmp_path / "old", twistd=[f"--pidfile={pid_file}"]) as old:
        assert pid_file.read_text() == str(old.pid)
        with Daemon(tmp_path / "new", take_over=old) as new:
            assert old.wait() == 0
            new.wait_for(lambda: new.control("status")["pid_file"] == str(pid_file))
            assert pid_file.read_text() == str(new.pid)
    assert not pid_file.exists()


def test_the_supervisor_follows_the_successor(tmp_path: Path) -> None:
    with Daemon(tmp_path / "old") as old, Daemon(tmp_path / "new", take_over=old) as new:
        assert old.wait() == 0
        assert old.notifications() == []
        new.signal(signal.SIGTERM)
        assert new.wait() == 0
        assert new.notifications() == ["STOPPING=1"]


def test_a_successor_that_listens_elsewhere_is_refused_and_the_old_one_serves_on(tmp_path: Path) -> None:
    with Daemon(tmp_path / "old") as old:
        new = Daemon(tmp_path / "new", take_over=old, listen="tcp:9:interface=127.0.0.1")
        new.start()
        assert new.wait() == 1
        assert f"a socket came along for 127.0.0.1:{old.port}, which `listen` does not name" in new.log()
        assert old.request("GET", "/live")[0] == 200
        assert old.control("status")["draining"] is False


def test_a_successor_that_dies_before_it_serves_changes_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path / "old") as old:
        new = Daemon(tmp_path / "new", take_over=old, twistd=["--pidfile=", "--logfile=/no/such/folder/x.log"])
        new.start()
        assert new.wait() == 1
        assert old.request("GET", "/live")[0] == 200
        assert old.control("status")["listening"] == [f"127.0.0.1:{old.port}"]


def test_a_unix_socket_is_handed_over_and_keeps_its_path(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"

    def alive() -> bool:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            peer = Peer(sock)
            peer.send(CLOSE)
            return peer.message()[0].startswith(b"HTTP/1.1 200")

    config = ECHO + "server: {hosts: [localhost]}\n"
    with Daemon(tmp_path / "old", config, listen=f"unix:{path}") as old:
        assert alive()
        with Daemon(tmp_path / "new", config, listen=old.listen, take_over=old):
            assert old.wait() == 0
            assert alive()
