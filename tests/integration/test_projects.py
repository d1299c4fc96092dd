"""Tokens of projects in real daemons: the project's key arrives, the token does not; revocation everywhere at once."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import dial

pytestmark = pytest.mark.integration

MANAGEMENT = "canary-management-token-0123456789"
KEY = "sk-canary-of-the-project-0123456789"
MANAGE = {"Authorization": f"Bearer {MANAGEMENT}"}
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**CHAT, "stream": True}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'


class Provider(ThreadingHTTPServer):
    """Answers chats; streams stay open until the caller leaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.heads: list[dict[str, str]] = []
        self.refuses = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that leaves a stream is no error."""


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heads.append({name.lower(): value for name, value in self.headers.items()})
        if body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(EVENT)
            self.wfile.flush()
            self.rfile.read(1)
            return
        key = self.headers["Authorization"]
        told = json.dumps({"error": {"message": f"bad key {key}", "code": "x"}} if self.server.refuses else ANSWER)
        self.send_response(422 if self.server.refuses else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def config(provider: socketserver.TCPServer) -> str:
    url = f"http://127.0.0.1:{provider.server_address[1]}/v1"
    return (
        "access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}\n"
        f"providers: {{up: {{type: openai, base_url: '{url}', api_key: project}}}}\n"
        "models: [{name: m, targets: [{provider: up, model: m}]}]\n"
    )


@pytest.fixture(scope="module")
def daemon(config: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("projects")
    with Daemon(folder, config, environ={"MANAGEMENT_TOKEN": MANAGEMENT}) as daemon:
        yield daemon


def manage(daemon: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, _, told = daemon.request(method, path, body, MANAGE)
    return status, json.loads(told) if told else None


def project(daemon: Daemon, **wanted: Any) -> str:
    status, told = manage(daemon, "POST", "/manage/projects", {"name": "team", "api_key": KEY, **wanted})
    assert status == 201
    assert told is not None
    return str(told["id"])


def token(daemon: Daemon, project: str, **wanted: Any) -> dict[str, Any]:
    status, told = manage(daemon, "POST", "/manage/tokens", {"project_id": project, "duration_hours": 1, **wanted})
    assert status == 201
    return dict(told)


def chat(daemon: Daemon, token: str, body: Any = CHAT) -> tuple[int, dict[str, str], Any]:
    headers = {"Authorization": f"Bearer {token}"}
    status, fields, told = daemon.request("POST", "/v1/chat/completions", body, headers)
    return status, fields, json.loads(told)


def test_the_key_of_the_project_arrives_and_the_token_does_not(daemon: Daemon, provider: Provider) -> None:
    told = token(daemon, project(daemon))
    status, fields, answer = chat(daemon, told["token"])
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hi")
    assert provider.heads[-1]["authorization"] == f"Bearer {KEY}"
    assert told["token"] not in str(provider.heads[-1])
    assert fields["x-ratelimit-limit-requests"] == "1000"
    assert fields["x-ratelimit-remaining-requests"] == "999"


def test_the_official_client_is_told_what_a_withering_token_has_left(daemon: Daemon) -> None:
    limits = {"requests_per_hour": 10, "wither": {"curve": "steps", "steps": [{"after": 0.0, "share": 0.5}]}}
    told = token(daemon, project(daemon), limits=limits, max_requests=20)
    base_url = f"http://127.0.0.1:{daemon.port}/v1"
    with openai.OpenAI(base_url=base_url, api_key=told["token"], max_retries=0) as client:
        for left in range(4, -1, -1):
            answer = client.chat.completions.with_raw_response.create(**CHAT)
            assert answer.headers["x-ratelimit-limit-requests"] == "5"
            assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
            assert answer.headers["netrunner-token-requests-remaining"] == str(left + 15)
            assert answer.headers["netrunner-token-expires"] == told["expires_at"]
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(**CHAT)
    assert refused.value.code == "rate_limit_exceeded"
    assert 3500 < int(refused.value.response.headers["retry-after"]) <= 3600


def test_a_token_with_metadata_asks_for_them_and_no_provider_gets_them(daemon: Daemon, provider: Provider) -> None:
    told = token(daemon, project(daemon), metadata={"Team": "blue", "env": "ci"})
    wanted = {"Authorization": f"Bearer {told['token']}", "X-PROXY-TEAM": "blue", "x-proxy-env": "ci"}
    for wrong in ({"X-PROXY-TEAM": "red"}, {"x-proxy-env": ""}, {"x-proxy-env": "CI"}):
        status, _, answer = daemon.request("POST", "/v1/chat/completions", CHAT, {**wanted, **wrong})
        assert (status, json.loads(answer)["error"]["code"]) == (403, "metadata_mismatch")
    assert chat(daemon, told["token"])[2]["error"]["message"].startswith("The field X-PROXY-TEAM is not")
    seen = len(provider.heads)
    assert daemon.request("POST", "/v1/chat/completions", CHAT, {**wanted, "X-PROXY-More": "x"})[0] == 200
    assert not [name for name in provider.heads[seen] if name.startswith("x-proxy-")]


def test_a_refreshed_token_serves_and_the_one_before_is_refused_by_the_next_request(daemon: Daemon) -> None:
    told = token(daemon, project(daemon))
    assert chat(daemon, told["token"])[0] == 200
    status, after = manage(daemon, "POST", f"/manage/tokens/{told['id']}/refresh")
    assert status == 200
    before = chat(daemon, told["token"])
    assert (before[0], before[2]["error"]["code"]) == (401, "token_not_found")
    assert chat(daemon, after["token"])[0] == 200


def test_a_key_that_a_provider_quotes_is_masked(daemon: Daemon, provider: Provider) -> None:
    told = token(daemon, project(daemon))
    provider.refuses = True
    try:
        status, _, answer = chat(daemon, told["token"])
    finally:
        provider.refuses = False
    assert status == 422
    assert "canary" not in json.dumps(answer)


def test_a_revoked_token_is_refused_by_the_very_next_request(daemon: Daemon) -> None:
    told = token(daemon, project(daemon))
    assert chat(daemon, told["token"])[0] == 200
    assert manage(daemon, "DELETE", "/manage/tokens", {"token": told["token"]}) == (204, None)
    status, _, answer = chat(daemon, told["token"])
    assert (status, answer["error"]["code"]) == (401, "token_inactive")


def test_a_deactivated_project_refuses_its_tokens(daemon: Daemon) -> None:
    id = project(daemon)
    told = token(daemon, id)
    assert manage(daemon, "PATCH", f"/manage/projects/{id}", {"is_active": False})[0] == 200
    status, _, answer = chat(daemon, told["token"])
    assert (status, answer["error"]["code"]) == (403, "project_inactive")


def test_an_open_stream_of_a_revoked_token_ends_with_an_error(daemon: Daemon) -> None:
    told = token(daemon, project(daemon))
    connection = daemon.connect()
    headers = {"Authorization": f"Bearer {told['token']}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(STREAM), headers)
    response = connection.getresponse()
    assert response.readline().startswith(b"data:")
    assert manage(daemon, "DELETE", f"/manage/tokens/{told['id']}")[0] == 204
    rest = b""
    with pytest.raises(Exception, match="IncompleteRead") as cut:
        rest = response.read()
    rest = getattr(cut.value, "partial", rest)
    connection.close()
    assert b"token_inactive" in rest
    assert b"[DONE]" not in rest


def test_who_calls_before_the_database_is_made_waits_for_it(config: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        daemon = Daemon(tmp_path, config, sock=sock, environ={"MANAGEMENT_TOKEN": MANAGEMENT})
        with dial(daemon.port) as early:
            head = ("GET /manage/projects HTTP/1.1", "Host: localhost", f"Authorization: Bearer {MANAGEMENT}", "", "")
            early.send("\r\n".join(head).encode())
            with daemon:
                assert b" 200 OK" in early.until(b"\r\n\r\n")


def test_without_a_database_it_serves_and_says_so(config: str, tmp_path: Path) -> None:
    lost = f"{config}store: postgresql://nobody@127.0.0.1:9/none\n"
    with Daemon(tmp_path, lost, environ={"MANAGEMENT_TOKEN": MANAGEMENT}) as daemon:
        assert manage(daemon, "GET", "/manage/projects")[1]["error"]["code"] == "store_unavailable"
        assert daemon.request("GET", "/health")[0] == 200
        assert "nobody can be let in for now" in daemon.log()


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (None, "invalid_token"),
        ("Basic eDp5", "invalid_token"),
        ("Bearer ", "invalid_token"),
        ("Bearer x", "invalid_token"),
        ("Bearer ' OR 1=1 --", "invalid_token"),
        (f"Bearer nr-{'a' * 51}", "token_not_found"),
    ],
)
def test_every_other_credential_is_refused_in_one_shape(daemon: Daemon, credential: str | None, code: str) -> None:
    headers = {} if credential is None else {"Authorization": credential}
    status, fields, body = daemon.request("POST", "/v1/chat/completions", CHAT, headers)
    told = json.loads(body)["error"]
    assert (status, told["code"], told["type"]) == (401, code, "authentication_error")
    assert fields["www-authenticate"] == 'Bearer realm="netrunner"'


NOBODY = "01a216e8-0000-7000-8000-000000000000"
PATHS = [
    *[(method, "/manage/projects") for method in ("GET", "POST", "PUT")],
    *[(method, f"/manage/projects/{NOBODY}") for method in ("GET", "PATCH", "DELETE")],
    ("POST", f"/manage/projects/{NOBODY}/tokens/revoke"),
    *[(method, "/manage/tokens") for method in ("GET", "POST", "DELETE")],
    *[(method, f"/manage/tokens/{NOBODY}") for method in ("GET", "PATCH", "DELETE")],
    *[("GET", path) for path in ("/manage", "/manage/", "/manage/audit", "/manage/none", "/manage//projects")],
]


def test_nothing_is_managed_without_the_management_token(daemon: Daemon) -> None:
    for method, path in PATHS:
        status, fields, told = daemon.request(method, path, {})
        assert (status, json.loads(told)["error"]["code"]) == (401, "invalid_token"), path
        assert fields["www-authenticate"].startswith("Bearer ")


def test_a_token_of_a_project_manages_nothing(daemon: Daemon) -> None:
    told = token(daemon, project(daemon))
    assert daemon.request("GET", "/manage/projects", None, {"Authorization": f"Bearer {told['token']}"})[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/manage/tokens", {}, 400, "invalid_value"),
        ("POST", "/manage/tokens", {"project_id": NOBODY}, 400, "invalid_value"),
        ("POST", "/manage/tokens", {"project_id": NOBODY, "duration_hours": 1}, 404, "project_not_found"),
        ("POST", "/manage/tokens", {"project_id": "' OR 1=1 --", "duration_hours": 1}, 404, "project_not_found"),
        ("POST", "/manage/projects", {"name": "x", "keys": {"none": "k"}}, 400, "invalid_value"),
        ("POST", "/manage/projects", {"name": "x" * 201}, 400, "invalid_value"),
        ("POST", "/manage/projects", "name", 400, "invalid_value"),
        ("POST", "/manage/projects", {"name": "x" * 2_000_000}, 400, "invalid_json"),
        ("DELETE", "/manage/tokens", {"token": "nr-none"}, 404, "token_not_found"),
        ("PATCH", f"/manage/projects/{NOBODY}", {"name": "x"}, 404, "project_not_found"),
        ("PUT", "/manage/projects", {}, 405, "method_not_allowed"),
        ("GET", f"/manage/projects/{NOBODY}/x", None, 404, "not_found"),
        ("GET", "/manage/audit?before=1", None, 400, "invalid_filter"),
        ("GET", "/manage/tokens?state=x", None, 400, "invalid_filter"),
        ("GET", "/manage/tokens?limit=0", None, 400, "invalid_filter"),
    ],
)
def test_what_makes_no_sense_is_refused_naming_why(
    daemon: Daemon, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answered, told = manage(daemon, method, path, body)
    assert (answered, told["error"]["code"]) == (status, code)


def test_a_refused_change_is_in_the_audit_with_its_request(daemon: Daemon) -> None:
    headers = {**MANAGE, "X-Request-ID": "request-of-a-test"}
    status, answered, _ = daemon.request("DELETE", f"/manage/projects/{NOBODY}", None, headers)
    assert (status, answered["x-request-id"]) == (404, "request-of-a-test")
    _, told = manage(daemon, "GET", f"/manage/audit?project_id={NOBODY}&action=project.delete")
    (entry,) = told["data"]
    assert (entry["outcome"], entry["request_id"], entry["address"], entry["actor"]) == (
        "project_not_found",
        "request-of-a-test",
        "127.0.0.1",
        "management",
    )


def test_no_canary_lies_in_the_state_folder_or_the_log(daemon: Daemon) -> None:
    told = token(daemon, project(daemon))
    assert chat(daemon, told["token"])[0] == 200
    files = [path for path in daemon.state.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a cursor that has been moved to its place
            continue
        assert b"canary" not in data, path
        assert told["token"].encode() not in data, path
    assert "canary" not in daemon.log()
    assert told["token"] not in daemon.log()


def test_the_master_key_is_its_owners_alone(daemon: Daemon) -> None:
    assert os.stat(daemon.state / "secret.key").st_mode & 0o777 == 0o600
