"""Ambiguous messages through a real haproxy: what reaches the upstream is what haproxy said, or less (row 5)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, Self

import h11
import pytest

from tests.http.test_server_smuggling import LENIENT, PAYLOADS, SMUGGLED, origin_form
from tests.support.binaries import require_binary
from tests.support.client import Seen
from tests.support.daemon import ECHO, PATIENCE_S, Daemon, listening_socket

pytestmark = pytest.mark.integration

CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout server 5s
    timeout client 300ms
    timeout http-request 300ms
    timeout http-keep-alive 300ms
    http-reuse always
    {lenient}

frontend with
    bind fd@{with_netrunner}
    http-request set-header X-Port %[src_port]
    default_backend netrunner

frontend without
    bind fd@{without}
    http-request set-header X-Port %[src_port]
    default_backend upstream

backend netrunner
    server one 127.0.0.1:{netrunner}

backend upstream
    timeout server 2s
    server one 127.0.0.1:{upstream}
"""


class Upstream:
    """Answers every request and writes down what came, read by h11; a context manager."""

    def __init__(self) -> None:
        self.seen: defaultdict[bytes, list[Seen]] = defaultdict(list)
        """By the port of the client, as haproxy tells it; by nothing for a request that haproxy knew nothing of."""
        self.errors: list[str] = []
        upstream = self

        class Conversation(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    upstream.converse(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 1024

        self._server = Server(("127.0.0.1", 0), Conversation)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def converse(self, sock: socket.socket) -> None:
        """Read one connection to its end."""
        reader = h11.Connection(h11.SERVER)
        head: Any = None
        body = b""
        while True:
            try:
                event = reader.next_event()
            except h11.RemoteProtocolError as error:
                self.errors.append(str(error))
                return
            if event is h11.NEED_DATA:
                reader.receive_data(sock.recv(65536))
            elif isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                port = dict(head.headers).get(b"x-port", b"")
                self.seen[port].append(Seen(head.method, origin_form(head.target), body))
                sock.sendall(reader.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")])) or b"")
                reader.send(h11.EndOfMessage())
                if reader.our_state is not h11.DONE:
                    return
                reader.start_next_cycle()
            else:
                return


def say_all(port: int, messages: list[bytes]) -> list[bytes]:
    """Say each of ``messages`` on a connection of its own, all at once; return their ports once all have ended."""
    with contextlib.ExitStack() as stack:
        socks = []
        for message in messages:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            sock.sendall(message)
            socks.append(sock)
        for sock in socks:
            with contextlib.suppress(ConnectionError):
                while sock.recv(65536):
                    pass
        return [b"%d" % sock.getsockname()[1] for sock in socks]


def in_order(some: list[Seen], of: list[Seen]) -> bool:
    """Return whether ``some`` is ``of`` but for what was refused."""
    rest = iter(of)
    return all(one in rest for one in some)


@pytest.mark.parametrize("lenient", ["", "option accept-invalid-http-request"], ids=["strict", "lenient"])
def test_no_request_comes_out_of_netrunner_that_haproxy_did_not_send(tmp_path: Path, lenient: str) -> None:
    binary = require_binary("haproxy")
    messages = [payload + SMUGGLED for payload in [*PAYLOADS, *LENIENT]]
    with Upstream() as ours, Upstream() as theirs, contextlib.ExitStack() as stack:
        route = f"routes: [{{name: all, source: /, destination: 'http://127.0.0.1:{ours.port}'}}]\n"
        daemon = stack.enter_context(
            Daemon(tmp_path, f"{ECHO}server: {{hosts: [a, b]}}\naccess: {{public: true}}\n{route}")
        )
        listeners = [stack.enter_context(listening_socket()) for _ in range(2)]
        text = CONFIG.format(
            lenient=lenient,
            with_netrunner=listeners[0].fileno(),
            without=listeners[1].fileno(),
            netrunner=daemon.port,
            upstream=theirs.port,
        )
        (tmp_path / "haproxy.cfg").write_text(text)
        haproxy = subprocess.Popen(
            [binary, "-db", "-f", tmp_path / "haproxy.cfg"], pass_fds=[one.fileno() for one in listeners]
        )
        stack.callback(haproxy.wait)
        stack.callback(haproxy.terminate)
        through, past = (say_all(one.getsockname()[1], messages) for one in listeners)
        # Without the mark of haproxy it is smuggled; what h11 cannot read has been passed on as it came.
        assert ours.seen[b""] == []
        assert ours.errors == []
        found = [(m, ours.seen[a], theirs.seen[b]) for m, a, b in zip(messages, through, past, strict=True)]
        assert [one for one in found if not in_order(one[1], one[2])] == []
        assert [(m, len(a)) for m, a, _ in found[-len(LENIENT) :] if len(a) != 2] == []
