"""The log API of a real daemon: what flows is watched and ended, feeds end with it, and who may look is asked."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from netrunner.sse import Event, Reader
from tests.support.daemon import PATIENCE_S, Daemon
from tests.support.dialogue import STREAM_HEAD, Provider, chat, dial, event
from tests.support.sdk import Records
from tests.support.speaker import Speaker

pytestmark = pytest.mark.integration

ADMIN = "admin: {user: {env: ADMIN_USER}, password: {env: ADMIN_PASSWORD}%s}\n"
ENVIRON = {"ADMIN_USER": "anna", "ADMIN_PASSWORD": "a-long-password-of-hers"}
CREDENTIAL = {"Authorization": "Basic " + base64.b64encode(b"anna:a-long-password-of-hers").decode()}
NOBODY = "0193a1b2-0000-7000-8000-000000000009"
GUARDED = [
    "/api/logs", "/api/stats", "/api/inflight", "/api/performance", "/api/live", "/ws/dashboard", "/logs",
    f"/logs/{NOBODY}", f"/api/logs/{NOBODY}", "/performance", "/clients", "/now",
    "/api/clients", "/api/errors", "/api/repeats", "/api/health/alerts",
    *(f"/api/logs/{NOBODY}/{what}" for what in ("request", "response", "live", "ws")),
]  # fmt: skip
HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
ONE_CHAT = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "/echo events=3 delay=0.01 a"}]}


class Listener:
    """Who listens to Server-Sent Events; a context manager that hangs up."""

    def __init__(self, daemon: Daemon, path: str) -> None:
        self._connection = daemon.connect()
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()
        assert (self.response.status, self.response.getheader("Content-Type")) == (
            200, "text/event-stream; charset=utf-8",
        )  # fmt: skip
        self._reader = Reader()
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def hear(self, name: str) -> dict[str, Any]:
        """Wait for the next event of that name; return its data."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if event.name == name.encode():
                    told: dict[str, Any] = json.loads(event.data)
                    return told
            data = self.response.read1(65536)
            assert data, f"ended before {name}"
            self._events += self._reader.feed(data)


def socket_to(daemon: Daemon, path: str) -> Speaker:
    """Return one side of a WebSocket that has been accepted."""
    speaker = Speaker(dial(daemon.port), ConnectionType.CLIENT)
    speaker.say(Request(host=f"127.0.0.1:{daemon.port}", target=path))
    assert isinstance(speaker.hear(), AcceptConnection)
    return speaker


def hear(speaker: Speaker, name: str) -> dict[str, Any]:
    """Wait for the next event of that name; return its data."""
    while True:
        said = speaker.hear()
        if isinstance(said, TextMessage) and (told := json.loads(said.data))["type"] == name:
            data: dict[str, Any] = told["data"]
            return data


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.jsonl")


@pytest.fixture
def daemon(tmp_path: Path, provider: Provider, records: Records) -> Iterator[Daemon]:
    with Daemon(tmp_path / "daemon", provider.config + records.config) as daemon:
        yield daemon


def test_a_feed_tells_of_an_exchange_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, Listener(daemon, "/api/live") as feed:
        assert feed.hear("dashboard_update") == {"inflight": []}
        assert daemon.request("POST", "/v1/chat/completions", ONE_CHAT)[0] == 200
        began = feed.hear("new_request")
        assert (began["path"], began["is_inflight"], began["outcome"]) == ("/v1/chat/completions", True, None)
        ended = feed.hear("request_completed")
        assert (ended["id"], ended["status_code"], ended["is_inflight"]) == (began["id"], 200, False)
        assert ended["mapped_model"] == "echo"
        # Whoever was told of the end finds it, whether the journal is read by then or not.
        status, _, body = daemon.request("GET", f"/api/logs/{ended['id']}")
        assert (status, json.loads(body)["record"]["outcome"]) == (200, "done")


def test_a_socket_tells_the_same_and_answers(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        feed = socket_to(daemon, "/ws/dashboard")
        with feed.peer:
            assert hear(feed, "dashboard_update") == {"inflight": []}
            feed.say(TextMessage(json.dumps({"type": "ping"})))
            assert hear(feed, "pong") == {}
            assert daemon.request("POST", "/v1/chat/completions", ONE_CHAT)[0] == 200
            assert hear(feed, "new_request")["id"] == hear(feed, "request_completed")["id"]
            feed.say(TextMessage(json.dumps({"type": "refresh"})))
            assert hear(feed, "dashboard_update") == {"inflight": []}
            feed.say(CloseConnection(1000))
            assert feed.hear().code == 1000
            assert feed.peer.gone()


def test_a_stream_is_watched_while_it_flows_and_ended_by_who_watches(
    daemon: Daemon, provider: Provider, records: Records
) -> None:
    with dial(daemon.port) as caller, ExitStack() as open_ones:
        caller.send(chat("X-Request-ID: watched"))
        upstream = open_ones.enter_context(provider.accept())
        upstream.until(b"]")
        [running] = json.loads(daemon.request("GET", "/api/inflight")[2])
        tail = open_ones.enter_context(Listener(daemon, f"/api/logs/{running['id']}/live"))
        socket = socket_to(daemon, f"/api/logs/{running['id']}/ws")
        open_ones.enter_context(socket.peer)
        for text in ("one", "two"):
            upstream.send(STREAM_HEAD * (text == "one") + event(text))
            assert text.encode() in caller.until(text.encode())
            for piece in (tail.hear("piece"), hear(socket, "piece")):
                assert piece["direction"] == "response"
                assert f'"content": "{text}"' in piece["text"]
        path = f"/api/inflight/{running['id']}/end"
        status, _, body = daemon.request("POST", path, headers={"X-Requested-With": "test"})
        assert (status, json.loads(body)) == (200, {"id": running["id"], "ended": True})
        rest = caller.rest()
        error = json.loads(rest[rest.index(b'{"error"') :].splitlines()[0])["error"]
        assert (error["code"], rest.endswith(b"0\r\n\r\n")) == ("cancelled", False)
        for ended in (tail.hear("ended"), hear(socket, "ended")):
            assert (ended["id"], ended["outcome"], ended["error_message"]) == (running["id"], "cancelled", "cancelled")
        assert tail.response.read() == b""
        assert (socket.hear().code, socket.peer.gone()) == (1001, True)
        assert daemon.request("POST", path, headers={"X-Requested-With": "test"})[0] == 404
    record = records.of("watched", daemon)
    assert (record["outcome"], record["error"]) == ("cancelled", "cancelled")


def test_a_daemon_that_ends_sends_all_home_who_look_on(tmp_path: Path) -> None:
    # A feed that held the process would hold it for drain_s, which is longer than anybody waits here.
    with Daemon(tmp_path, "server: {drain_s: 600}\nproviders: {echo: {type: echo}}\n") as daemon:
        feed, socket = Listener(daemon, "/api/live"), socket_to(daemon, "/ws/dashboard")
        with feed, socket.peer:
            feed.hear("dashboard_update")
            hear(socket, "dashboard_update")
            daemon.signal(signal.SIGTERM)
            assert feed.response.read() == b""
            assert (socket.hear().code, socket.peer.gone()) == (1001, True)
            assert daemon.wait() == 0


def test_everything_that_shows_records_asks_for_the_credential(tmp_path: Path) -> None:
    config = ADMIN % "" + "providers: {echo: {type: echo}}\n"
    with Daemon(tmp_path, config, environ=ENVIRON) as daemon:
        forged = {"Authorization": "Basic " + base64.b64encode(b"anna:wrong").decode()}
        for number, path in enumerate(GUARDED):
            # Of wrong ones no more than ten a minute are answered at once.
            for wrong in ({}, forged) if number < 8 else ({},):
                status, headers, body = daemon.request("GET", path, headers={**HANDSHAKE, **wrong})
                challenge = headers.get("www-authenticate", "")
                assert (path, status, challenge.startswith("Basic realm=")) == (path, 401, True)
                assert b"a-long-password" not in body
        # Changing something asks as well, before it looks for what is to be changed.
        changing = {"X-Requested-With": "test"}
        assert daemon.request("POST", f"/api/inflight/{NOBODY}/end", headers=changing)[0] == 401
        assert daemon.request("POST", f"/api/inflight/{NOBODY}/end", headers={**changing, **CREDENTIAL})[0] == 404
        assert daemon.request("GET", "/metrics", headers={})[0] in (401, 404)
        for path in ("/api/logs", "/api/stats", "/api/inflight", "/api/performance", "/logs"):
            assert daemon.request("GET", path, headers=CREDENTIAL)[0] == 200


class UnixConnection(http.client.HTTPConnection):
    """A client of a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


def ask(path: Path, target: str, headers: Mapping[str, str]) -> int:
    """Return the status of what a socket in the file system answers."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", target, headers=dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_a_listener_for_operators_serves_pages_and_nothing_else_does(tmp_path: Path) -> None:
    apart = tmp_path / "admin.sock"
    config = ADMIN % f", listen: ['unix:{apart}']" + "providers: {echo: {type: echo}}\n"
    with Daemon(tmp_path / "daemon", config, environ=ENVIRON) as daemon:
        for path in GUARDED:
            assert (path, daemon.request("GET", path, headers=CREDENTIAL)[0]) == (path, 404)
            assert (path, ask(apart, path, {})) == (path, 401)
        for path in ("/api/logs", "/api/stats", "/logs", "/performance"):
            assert (path, ask(apart, path, CREDENTIAL)) == (path, 200)
        assert ask(apart, "/v1/models", CREDENTIAL) == 404
        assert daemon.request("GET", "/v1/models")[0] == 200
