"""Raw routes and proxies of a running daemon, driven as callers drive it."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netrunner.journal.logs import newest_first
from netrunner.values import Record
from tests.support.daemon import Daemon
from tests.support.dialogue import ANSWER, Provider, chat, dial, whole
from tests.support.proxies import ESCAPED, Microsocks

pytestmark = pytest.mark.integration
MIB = 1 << 20
CANARY = "canary-of-a-proxys-password"


class Setting:
    """A daemon with routes of every kind, what they lead to, and a proxy on the way."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.upstream = stack.enter_context(Provider())
        self.environments_proxy = stack.enter_context(Provider())
        self.socks = stack.enter_context(Microsocks(folder, credential=True))
        # Taken, so that the daemon does not get it, and listened on by nobody.
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        nobody = taken.getsockname()[1]
        there = f"http://127.0.0.1:{self.upstream.port}"
        config = {
            "providers": {
                "far": {"type": "openai", "base_url": "https://llm.example/v1", "proxy": {"env": "WRONG_PROXY"}},
                "near": {"type": "openai", "base_url": f"{there}/v1", "repair": False},
            },
            "models": [
                {"name": "m", "targets": [{"provider": "far", "model": "m"}, {"provider": "near", "model": "m"}]}
            ],
            "routes": {
                "kept": {"source": "/kept/", "destination": there},
                "replaced": {"source": "/replaced/", "destination": f"{there}/base/", "rewrite": "replace"},
                "quiet": {"source": "/quiet/", "destination": there, "record": False},
                "dead": {"source": "/dead", "destination": f"http://127.0.0.1:{nobody}"},
                "through": {"source": "/through", "destination": there, "proxy": {"env": "RIGHT_PROXY"}},
                "outside": {"source": "/outside", "destination": "http://llm.example", "proxy": "environment"},
            },
            "record_unknown": True,
            "sinks": [{"type": "console", "path": str(folder / "console")}],
        }
        environ = {
            "WRONG_PROXY": f"socks5h://me:{CANARY}@127.0.0.1:{self.socks.port}",
            "RIGHT_PROXY": f"socks5h://{ESCAPED}@127.0.0.1:{self.socks.port}",
            "HTTP_PROXY": f"http://127.0.0.1:{self.environments_proxy.port}",
            "http_proxy": "",
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items())
        self.daemon = stack.enter_context(Daemon(folder / "daemon", text, environ=environ))
        self.console = folder / "console"

    def ask(self, path: str, by: Provider | None = None, *fields: str, method: str = "GET") -> tuple[bytes, bytes]:
        """Make a request that ``by`` answers; return the head that it saw, and the answer's."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
        with dial(self.daemon.port) as client:
            client.send("\r\n".join(lines).encode())
            with (by or self.upstream).accept() as upstream:
                head = upstream.until(b"\r\n\r\n")
                upstream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return head, client.rest()

    def records(self) -> list[Record]:
        """Return what was recorded, newest first."""
        return list(newest_first(self.daemon.state))


@pytest.fixture(scope="module")
def setting(tmp_path_factory: Any) -> Iterator[Setting]:
    """The daemon, shared by all tests that disturb nobody."""
    with ExitStack() as stack:
        yield Setting(tmp_path_factory.mktemp("routes"), stack)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
def test_every_method_goes_through(setting: Setting, method: str) -> None:
    head, answer = setting.ask("/kept/a%2Fb?c=d", method=method)
    assert head.startswith(f"{method} /kept/a%2Fb?c=d HTTP/1.1\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_destination_is_told_its_own_host_the_callers_credential_and_who_was_on_the_way(setting: Setting) -> None:
    head, _ = setting.ask("/replaced/x", None, "Authorization: Bearer mine", "Via: 1.1 before")
    assert head.startswith(b"GET /base/x HTTP/1.1\r\n")
    fields = head.lower().split(b"\r\n")[1:]
    assert b"host: 127.0.0.1:%d" % setting.upstream.port in fields
    assert b"authorization: bearer mine" in fields
    assert [bool(re.fullmatch(rb"via: 1\.1 (before|netrunner-[0-9a-f]{16})", one)) for one in fields].count(True) == 2
    assert not any(one.startswith(b"connection:") for one in fields)


def test_a_destination_that_is_not_there_is_a_bad_gateway(setting: Setting) -> None:
    status, _, body = setting.daemon.request("GET", "/dead/x")
    assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_connection_failed")


def test_a_route_that_is_not_to_be_recorded_is_not(setting: Setting) -> None:
    setting.ask("/quiet/secret")
    setting.ask("/kept/open")
    paths = [record.path for record in setting.records()]
    assert paths[0] == "/kept/open"
    assert "/quiet/secret" not in paths


def test_a_path_that_leads_nowhere_is_recorded_where_that_is_wanted(setting: Setting) -> None:
    for path in ("/nowhere/at/all", "/chat/nothing", "/api/none"):
        assert setting.daemon.request("POST", path, {"a": 1})[0] == 404
        record = setting.records()[0]
        assert (record.method, record.path, record.route, record.status) == ("POST", path, "-", 404)
        assert (record.outcome, record.upstream, record.attempts) == ("refused", None, [])
    setting.daemon.wait_for(lambda: "POST /nowhere/at/all -> NOT_FOUND" in setting.console.read_text())


def test_a_route_goes_through_a_real_proxy(setting: Setting) -> None:
    head, answer = setting.ask("/through/x")
    assert head.startswith(b"GET /through/x HTTP/1.1\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"connected to 127.0.0.1:{setting.upstream.port}" in setting.socks.told()


def test_the_environments_proxy_is_told_the_whole_url(setting: Setting) -> None:
    head, answer = setting.ask("/outside/x?y", setting.environments_proxy)
    assert head.startswith(b"GET http://llm.example/outside/x?y HTTP/1.1\r\nhost: llm.example\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_proxy_that_refuses_leaves_the_request_to_the_next_candidate(setting: Setting) -> None:
    with dial(setting.daemon.port) as client:
        client.send(chat(stream=False))
        with setting.upstream.accept() as upstream:
            upstream.message()
            upstream.send(whole())
            head, body = client.message()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == ANSWER
    attempts = setting.records()[0].attempts
    assert [(one.provider, one.error) for one in attempts] == [("far", "proxy_auth_required"), ("near", None)]
    kept = [path.read_bytes() for path in setting.daemon.folder.rglob("*") if path.is_file()]
    assert len(kept) > 2
    assert not any(CANARY.encode() in data for data in kept)


def peak(daemon: Daemon) -> int:
    """Return the most bytes of memory that a daemon has held since the last time, and begin anew."""
    process = Path(f"/proc/{daemon.pid}")
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    (process / "clear_refs").write_text("5")
    assert found is not None
    return int(found[1]) * 1024


def test_200_megabytes_there_and_back_need_next_to_no_memory(setting: Setting) -> None:
    piece, pieces = bytes(range(256)) * 4096, 100
    setting.ask("/quiet/warm")
    peak(setting.daemon)
    before = peak(setting.daemon)

    def echo() -> None:
        with setting.upstream.accept() as upstream:
            upstream.until(b"\r\n\r\n")
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * MIB))
            for _ in range(pieces):
                upstream.send(upstream.exactly(MIB))

    def upload() -> None:
        for _ in range(pieces):
            client.send(piece)

    with dial(setting.daemon.port) as client:
        threads = [threading.Thread(target=one) for one in (echo, upload)]
        client.send(b"PUT /quiet/all HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (pieces * MIB))
        for thread in threads:
            thread.start()
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert all(client.exactly(MIB) == piece for _ in range(pieces))
        for thread in threads:
            thread.join()
    assert peak(setting.daemon) - before < 8 * MIB


def test_a_request_that_comes_back_is_refused(setting: Setting) -> None:
    with dial(setting.daemon.port) as client:
        client.send(b"POST /kept/round HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        with setting.upstream.accept() as upstream, dial(setting.daemon.port) as back:
            back.send(b"".join(upstream.message()))
            head, body = back.message()
            upstream.send(head + body)
        assert client.rest().startswith(b"HTTP/1.1 508 ")
    assert json.loads(body)["error"]["code"] == "loop_detected"
    newest = setting.records()[:2]
    assert {(record.status, record.outcome) for record in newest} == {(508, "refused"), (508, "done")}
